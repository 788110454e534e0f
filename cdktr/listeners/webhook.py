"""Signed requests over HTTP have workflows run: `POST /trigger/<workflow id>`; and `GET /health` tells how it is.

Who does not hold the secret learns nothing of the workflows: of a trigger, the signature is looked at before anything
that depends on them. A request that is sent again is the same event: its signature is the key of its trigger, so it
makes no second run.

Nor can such a one use up what others may ask. What is not rightly signed counts for its client, what is for its
workflow. Whether a signature is right shows only once the body is here, so a client that has used up its share, and
sends wrong ones, is still listened to: what that costs is bounded by the longest body and the number of connections.
"""

import logging
import math
import os
import reprlib
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from cdktr import signing
from cdktr.client import Principal
from cdktr.errors import (
    CdktrError,
    NotFoundError,
    ProtocolError,
    RefusedError,
    SettingError,
    StartError,
    UnreachableError,
)
from cdktr.listeners.base import ReadyListener, Triggered
from cdktr.listeners.http import Answer, Request, Server, error
from cdktr.messages import load, unfit
from cdktr.rate import Rates
from cdktr.settings import SHORTEST_SECRET
from cdktr.signing import Signed, verify

log = logging.getLogger(__name__)

HEALTH = "/health"
TRIGGER = "/trigger/"

#: Characters of a key that the sender gives.
LONGEST_KEY = 150

#: Seconds after which to ask again when the principal is away or cannot write.
AWAY_S = 5

#: The headers in which a forge names the event; to a ping it wants an answer, and no more.
EVENTS = ("x-github-event", "x-gitea-event")

#: What is answered to a signature that is none.
UNSIGNED = (
    "The signature is missing or wrong. It is the header X-Cdktr-Signature: sha256=<hex>, HMAC-SHA256 of "
    "<unix seconds>.<workflow id>.<body> with the shared secret; the header X-Cdktr-Timestamp holds the seconds"
)
UNSIGNED_FORGE = (
    "The signature is missing or wrong. It is that of a forge: the header X-Hub-Signature-256: sha256=<hex>, "
    "HMAC-SHA256 of the body with the shared secret"
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may trigger what, and how often."""

    secret: bytes = field(repr=False)
    #: Those that may be triggered; none means all.
    workflows: frozenset[str] = frozenset()
    #: Whether requests are signed as a forge does it, such as GitHub or Gitea, and in no other way.
    forge: bool = False
    #: What every trigger is given.
    params: Mapping[str, str] = field(default_factory=dict)
    #: Requests for one workflow that are rightly signed, and of one client that are not.
    per_minute: int = 60
    #: Bytes.
    max_body: int = 64 * 1024

    def __post_init__(self) -> None:
        """Raises SettingError."""
        if self.forge and len(self.workflows) != 1:
            raise SettingError(
                "--github needs exactly one --workflow: such a signature covers the body, and not which workflow it is "
                "for; start one listener a workflow, each with a secret of its own"
            )


class Door(Protocol):
    """The way to the principal."""

    def trigger(self, workflow_id: str, params: Mapping[str, Any], key: str) -> Triggered:
        """Raises as `ReadyListener.run_workflow` does."""

    def is_there(self) -> bool:
        """Whether the principal answers."""


class Webhook:
    """What is answered to a request; sockets are another's. For several threads."""

    def __init__(
        self,
        policy: Policy,
        door: Door,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._door = door
        self._clock = clock
        self._monotonic = monotonic
        self._unsigned = Rates(policy.per_minute)
        self._signed = Rates(policy.per_minute)
        self._lock = threading.Lock()

    def admit(self, request: Request) -> Answer | None:
        """See `http.Site`."""
        path = request.path.partition("?")[0]
        is_trigger = path.startswith(TRIGGER) and path != TRIGGER
        if is_trigger and request.method == "POST" and signing.has_signature(request.headers, self._policy.forge):
            return None
        if (late := self._too_often(self._unsigned, request.client)) is not None:
            return late
        if path == HEALTH:
            return self._health() if request.method in ("GET", "HEAD") else _not_allowed("GET, HEAD")
        if not is_trigger:
            return error(404, f"There is POST {TRIGGER}<workflow id>, and GET {HEALTH}")
        return self._refused(Signed.NOT) if request.method == "POST" else _not_allowed("POST")

    def _too_often(self, rates: Rates, name: str) -> Answer | None:
        """The answer to one request too many."""
        with self._lock:
            wait_s = rates.take(name, self._monotonic())
        if not wait_s:
            return None
        return error(429, "There were too many requests; wait", {"Retry-After": str(math.ceil(wait_s))})

    def _refused(self, signed: Signed) -> Answer:
        """The answer to a signature that is not right."""
        if signed is Signed.LATE:
            text = (
                f"The request was signed more than {signing.WINDOW_S // 60} minutes before or after now, by the clock "
            )
            return error(401, f"{text}here; sign it anew, and look at the clocks", note="signed at another time")
        text = UNSIGNED_FORGE if self._policy.forge else UNSIGNED
        return error(401, text, {"WWW-Authenticate": "Cdktr-Signature"}, "unsigned")

    def _health(self) -> Answer:
        if self._door.is_there():
            return Answer(200, {"status": "ok"})
        return Answer(503, {"status": "the principal is away"}, {"Retry-After": str(AWAY_S)})

    def answer(self, request: Request) -> Answer:
        """See `http.Site`."""
        policy = self._policy
        workflow_id = unquote(request.path.partition("?")[0].removeprefix(TRIGGER))
        signed = verify(policy.secret, request.headers, workflow_id, request.body, self._clock(), policy.forge)
        if signed in (Signed.NOT, Signed.LATE):
            return self._too_often(self._unsigned, request.client) or self._refused(signed)
        if (late := self._too_often(self._signed, workflow_id)) is not None:
            return late
        if policy.workflows and workflow_id not in policy.workflows:
            return error(403, f"{workflow_id} may not be triggered here", note="not one of --workflow")
        if signed is Signed.FORGE:
            if any(request.headers.get(name) == "ping" for name in EVENTS):
                return Answer(200, {"status": "ok"}, note="a ping of the forge")
            return self._trigger(workflow_id, {}, f"webhook:{_digest(request.headers[signing.FORGE_SIGNATURE])}")
        if "idempotency-key" in request.headers:
            return error(400, 'Idempotency-Key is not covered by the signature; give it in the body, as "key"')
        try:
            params, key = read_body(request.body)
        except ValueError as wrong:
            return error(400, str(wrong))
        own = _digest(request.headers[signing.SIGNATURE]) if key is None else f"key:{key}"
        return self._trigger(workflow_id, params, f"webhook:{own}")

    def _trigger(self, workflow_id: str, params: Mapping[str, Any], key: str) -> Answer:
        try:
            run = self._door.trigger(workflow_id, {**params, **self._policy.params}, key)
        except UnreachableError:
            return error(503, "The principal is away; try again", {"Retry-After": str(AWAY_S)}, "the principal is away")
        except NotFoundError as wrong:
            return error(404, str(wrong), note=str(wrong))
        except RefusedError as wrong:
            return error(422, str(wrong), note=str(wrong))
        except CdktrError as wrong:
            return error(503, str(wrong), {"Retry-After": str(AWAY_S)}, str(wrong))
        note = f"{run.run_id}, as before" if run.repeated else run.run_id
        return Answer(200 if run.repeated else 202, {"workflow_instance_id": run.run_id}, note=note)


def _not_allowed(methods: str) -> Answer:
    return error(405, f"This path takes {methods}", {"Allow": methods})


def _digest(signature: str) -> str:
    """Names a signature without showing it: who reads the key could send it again."""
    return sha256(signature.lower().encode()).hexdigest()


def read_body(body: bytes) -> tuple[dict[str, Any], str | None]:
    """Parameters and key of a signed request. Raises ValueError that says what is expected."""
    if not body:
        return {}, None
    try:
        found = load(body.decode(), "the body")
    except (ProtocolError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict) or found.keys() - {"params", "key"}:
        raise ValueError(
            'The body must be nothing, or a JSON object such as {"params": {"day": "2026-01-31"}, "key": "7"}'
        )
    params, key = found.get("params", {}), found.get("key")
    if not isinstance(params, dict):
        raise ValueError('"params" must be an object whose values are texts, numbers, true or false')
    for name, value in params.items():
        if (wrong := unfit(name) or unfit(value)) is not None:
            raise ValueError(f"The parameter {reprlib.repr(name)} is {wrong}")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= LONGEST_KEY and key.isprintable()):
        raise ValueError(f'"key" must be a text of 1 to {LONGEST_KEY} characters that can be printed')
    return params, key


def read_secret(file: str | None, setting: str) -> bytes:
    """The secret in a file, else that of the setting. Raises SettingError when there is none that can be used."""
    if file is None:
        if setting:
            # An environment may hold bytes that are no text.
            return setting.encode(errors="surrogateescape")
        raise SettingError("A webhook needs a secret: give --secret-file FILE, or set CDKTR_WEBHOOK_SECRET")
    try:
        with Path(file).open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            secret = opened.read(64 * 1024).strip()
    except OSError as wrong:
        raise SettingError(f"--secret-file {file} cannot be read: {wrong.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise SettingError(
            f"--secret-file {file} can be used by others than its owner and the readers of its group; "
            f"`chmod o=,g-w {file}` mends it"
        )
    if len(secret) < SHORTEST_SECRET:
        raise SettingError(
            f"--secret-file {file} holds {len(secret)} bytes; a secret has at least {SHORTEST_SECRET}, "
            "such as `openssl rand -hex 32` makes"
        )
    return secret


class WebhookListener(ReadyListener):
    """Serves the webhook until `stop`."""

    def __init__(self, policy: Policy, host: str, port: int, principal: Principal) -> None:
        """Listen; `port` 0 is any. Raises StartError."""
        self.principal = principal
        self._over = threading.Event()
        try:
            self._server = Server(host, port, Webhook(policy, self), policy.max_body)
        except OSError as wrong:
            where = f"Port {port} of {host}"
            raise StartError(f"{where} cannot be had: {wrong.strerror}; give --port or --bind another value") from None
        #: The port that it has.
        self.port = self._server.port

    def start_listening(self) -> None:
        """Serve."""
        self._server.serve(self._over.is_set)

    def stop(self) -> None:
        """See `ReadyListener`; requests under way are answered."""
        self._over.set()

    def trigger(self, workflow_id: str, params: Mapping[str, Any], key: str) -> Triggered:
        """See `Door`."""
        return self.run_workflow(workflow_id, params, key)

    def is_there(self) -> bool:
        """See `Door`."""
        return self.principal.ping().success
