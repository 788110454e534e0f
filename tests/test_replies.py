import pytest

from cdktr.errors import ProtocolError
from cdktr.replies import OK, PONG, Reply, client_error, decode_reply, server_error, success


@pytest.mark.parametrize(
    ("reply", "frame"),
    [
        (PONG, b"PONG"),
        (OK, b"OK"),
        (success({"a": [1, "\x01ü"]}), b'SUCCESS\x01{"a":[1,"\\u0001\\u00fc"]}'),
        (client_error("No\x01way"), b"CLIENTERROR\x01No\x01way"),
        (server_error(ValueError("ü")), "SERVERERROR\x01ü".encode()),
        (Reply("UNPROC", ""), b"UNPROC\x01"),
    ],
)
def test_replies_as_bytes(reply: Reply, frame: bytes) -> None:
    assert reply.encode() == frame
    assert decode_reply(frame) == reply


def test_a_reply_can_always_be_encoded() -> None:
    assert client_error("\ud800").encode() == b"CLIENTERROR\x01\\ud800"


@pytest.mark.parametrize(
    "frame", [b"", b"pong", b"PONG\x01", b"OK\x01x", b"SUCCESS", b"CLIENTERROR", b"\xff", b"WHAT\x01x"]
)
def test_what_is_no_reply(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_reply(frame)
