"""Who may trigger over HTTP: signatures of a request that only the holder of the secret can make.

Two kinds. Ours covers the time, the workflow and the body: HMAC-SHA256 of `<unix seconds>.<workflow id>.<body>`. That
of GitHub and Gitea covers the body alone.
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


def verify(
    secret: bytes, headers: Mapping[str, str], workflow_id: str, body: bytes, now_s: float, forge: bool = False
) -> Signed:
    """What the signature of a request is worth; names of `headers` are in lower case. With `forge` that of a forge is
    accepted, too."""
    timestamp = headers.get(TIMESTAMP, "")
    if SIGNATURE in headers:
        expected = sign(secret, timestamp, workflow_id, body)
        if not _is(headers[SIGNATURE], expected) or not _SECONDS.fullmatch(timestamp):
            return Signed.NOT
        return Signed.OURS if abs(int(timestamp) - now_s) <= WINDOW_S else Signed.LATE
    if forge and FORGE_SIGNATURE in headers and _is(headers[FORGE_SIGNATURE], _sign(secret, body)):
        return Signed.FORGE
    return Signed.NOT


def _is(given: str, expected: str) -> bool:
    """In a time that does not tell how much of it is right."""
    return bool(_SIGNATURE.fullmatch(given)) and hmac.compare_digest(given.lower(), expected)
