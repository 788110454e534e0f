"""The replies of the original API, which every request gets one of, and their bytes.

A reply is one frame of UTF-8 text: its kind, and where the kind has one, a text after the byte 0x01.
"""

from dataclasses import dataclass
from typing import Any

from cdktr.errors import ProtocolError
from cdktr.messages import SEPARATOR, dump, read_text


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its kind, and the text after it (None where the kind stands alone)."""

    kind: str
    payload: str | None = None

    def encode(self) -> bytes:
        """The frame."""
        text = self.kind if self.payload is None else self.kind + SEPARATOR + self.payload
        return text.encode("utf-8", "backslashreplace")


PONG = Reply("PONG")
OK = Reply("OK")
REPLY_KINDS = frozenset({"PONG", "OK", "SUCCESS", "CLIENTERROR", "SERVERERROR", "UNPROC"})


def success(value: Any) -> Reply:
    """SUCCESS with a value as JSON."""
    return Reply("SUCCESS", dump(value))


def client_error(message: object) -> Reply:
    """The request is at fault."""
    return Reply("CLIENTERROR", str(message))


def server_error(message: object) -> Reply:
    """The principal is at fault, or cannot do it now."""
    return Reply("SERVERERROR", str(message))


def decode_reply(frame: bytes) -> Reply:
    """The reply of a frame. Raises ProtocolError."""
    kind, separator, payload = read_text(frame).partition(SEPARATOR)
    if kind not in REPLY_KINDS or (bool(separator) == (kind in ("PONG", "OK"))):
        raise ProtocolError(f"{kind[:40]!r} is no reply")
    return Reply(kind, payload if separator else None)
