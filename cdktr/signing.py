"""Who may trigger over HTTP: signatures of a request that only the holder of the secret can make.

Two kinds. Ours covers the time, the workflow and the body: HMAC-SHA256 of `<unix seconds>.<workflow id>.<body>`. That
of GitHub and Gitea covers the body alone. Who verifies takes one of them: what one of ours covers could else be sent
as the body of a forge's, for another workflow and at any time.
"""

import hmac
import re
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256

#: Seconds that the clocks of sender and receiver may be apart, and for which a request is good.
WINDOW_S = 300

#: The headers, in lower case.
SIGNATURE = "x-cdktr-signature"
TIMESTAMP = "x-cdktr-timestamp"
FORGE_SIGNATURE = "x-hub-signature-256"

_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})", re.IGNORECASE | re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
#: How what we sign begins, and no event of a forge: should both be made with the same secret.
_OURS = re.compile(rb"[0-9]*+\.")


class Signed(Enum):
    """What a signature is worth."""

    NOT = "none, or a wrong one"
    LATE = "right, but not of this time"
    OURS = "right"
    FORGE = "right, and the body is the event of a forge"


def sign(secret: bytes, timestamp: str, workflow_id: str, body: bytes) -> str:
    """The value of our signature's header."""
    return _sign(secret, f"{timestamp}.{workflow_id}.".encode() + body)


def _sign(secret: bytes, text: bytes) -> str:
    return f"sha256={hmac.new(secret, text, sha256).hexdigest()}"


def has_signature(headers: Mapping[str, str], forge: bool = False) -> bool:
    """Whether a request has what looks like a signature of that kind; names of `headers` are in lower case."""
    return bool(_SIGNATURE.fullmatch(headers.get(FORGE_SIGNATURE if forge else SIGNATURE, "")))


def verify(
    secret: bytes, headers: Mapping[str, str], workflow_id: str, body: bytes, now_s: float, forge: bool = False
) -> Signed:
    """What the signature of a request is worth; names of `headers` are in lower case. With `forge` it must be that of
    a forge, and else ours."""
    if forge:
        is_right = _is(headers.get(FORGE_SIGNATURE, ""), _sign(secret, body)) and not _OURS.match(body)
        return Signed.FORGE if is_right else Signed.NOT
    timestamp = headers.get(TIMESTAMP, "")
    is_right = _is(headers.get(SIGNATURE, ""), sign(secret, timestamp, workflow_id, body))
    if not is_right or not _SECONDS.fullmatch(timestamp):
        return Signed.NOT
    return Signed.OURS if abs(int(timestamp) - now_s) <= WINDOW_S else Signed.LATE


def _is(given: str, expected: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return bool(_SIGNATURE.fullmatch(given)) and hmac.compare_digest(given.lower(), expected)
