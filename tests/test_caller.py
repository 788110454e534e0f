"""The blocking client against real sockets, answered in a thread."""

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from cdktr.caller import Caller
from cdktr.errors import UnreachableError
from tests.test_transport import PATIENCE_S, Desk, free_port, until


@contextlib.contextmanager
def answering(answer: Callable[[list[bytes]], bytes | None]) -> Iterator[int]:
    """Endpoints in a thread of their own; gives the port."""
    ports: list[int] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        desk = Desk(answer)
        ports.append(desk.api)
        ready.set()
        await until(stop.is_set)
        desk.endpoints.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield ports[0]
    finally:
        stop.set()
        thread.join()


def test_a_caller_asks_again_and_again() -> None:
    with answering(lambda frames: b"to " + frames[0]) as port:
        caller = Caller("127.0.0.1", port)
        assert [caller.call(b"%d" % number, PATIENCE_S) for number in range(20)] == [b"to %d" % n for n in range(20)]
        caller.close()
        assert caller.address == f"127.0.0.1:{port}"


def test_a_caller_can_be_used_after_a_silence() -> None:
    with answering(lambda frames: None if frames == [b"hush"] else b"reply") as port:
        caller = Caller("127.0.0.1", port)
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.05 s"):
            caller.call(b"hush", 0.05)
        assert caller.call(b"hello", PATIENCE_S) == b"reply"
        caller.close()


def test_a_caller_with_an_address_that_is_none() -> None:
    caller = Caller("no..host", 5561)
    with pytest.raises(UnreachableError, match=r"No principal answers at no\.\.host:5561 \("):
        caller.call(b"hello", 3600)
    caller.close()


def test_a_caller_says_at_once_that_nobody_is_there() -> None:
    caller = Caller("127.0.0.1", free_port())
    refused = os.strerror(errno.ECONNREFUSED)
    with pytest.raises(
        UnreachableError, match=rf"{caller.address} \({refused}\); start one with `cdktr start principal`"
    ):
        caller.call(b"hello", 3600)
    caller.close()


def test_a_caller_hears_at_once_that_its_principal_ended() -> None:
    """Long before its time-out; and connects anew when there is another."""
    with contextlib.ExitStack() as stack:
        asked = threading.Event()

        def silent(_frames: list[bytes]) -> None:
            asked.set()

        first = contextlib.ExitStack()
        port = first.enter_context(answering(silent))

        def end() -> None:
            asked.wait(PATIENCE_S)
            first.close()

        closer = threading.Thread(target=end)
        closer.start()
        caller = stack.enter_context(contextlib.closing(Caller("127.0.0.1", port)))
        with pytest.raises(UnreachableError, match="ended the connection"):
            caller.call(b"hello", 3600)
        closer.join()
        with pytest.raises(UnreachableError, match="No principal answers"):
            caller.call(b"hello", 3600)
