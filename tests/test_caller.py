"""The blocking client against real sockets, answered in a thread."""

import asyncio
import contextlib
import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import zmq

from cdktr.caller import Caller, Subscriber
from cdktr.errors import UnreachableError
from cdktr.settings import Address
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


# Several addresses.


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing, as a principal that is suspended; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """A port that does not even take a connection: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as stack:
        port = int(server.getsockname()[1])
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


@pytest.mark.parametrize("other", [contextlib.nullcontext, black_hole, silent])
def test_one_that_does_not_answer_leaves_time_for_the_next(
    other: Callable[[], contextlib.AbstractContextManager[int | None]],
) -> None:
    """And is not tried again while that one answers."""
    with other() as dead, answering(lambda frames: frames[0]) as port:
        caller = Caller(f"127.0.0.1:{dead or free_port()},127.0.0.1", port)
        timeout_s = 2.0 if other is silent else PATIENCE_S
        assert [caller.call(b"hello", timeout_s) for _ in range(2)] == [b"hello"] * 2
        caller.close_socket()
        assert str(caller._addresses[0]) == f"127.0.0.1:{port}"
        assert caller.call(b"hello", timeout_s) == b"hello"
        caller.close()


def test_after_a_silence_the_next_is_asked() -> None:
    with answering(lambda _: None) as first, answering(lambda _: b"reply") as second:
        caller = Caller(f"127.0.0.1:{first},127.0.0.1:{second}", 1)
        with pytest.raises(UnreachableError, match=rf"The principal at 127\.0\.0\.1:{first} did not answer"):
            caller.call(b"hello", 0.5)
        assert caller.call(b"hello", PATIENCE_S) == b"reply"
        caller.close()


def test_all_that_do_not_answer_are_named() -> None:
    with silent() as mute, black_hole() as hole:
        refused, none = free_port(), "no..host:7"
        caller = Caller(f"127.0.0.1:{mute},127.0.0.1:{hole},127.0.0.1:{refused},{none}", 1)
        with pytest.raises(UnreachableError) as caught:
            caller.call(b"hello", 1.0)
        caller.close()
    said = str(caught.value)
    assert f"127.0.0.1:{mute} (it did not answer in 1 s), 127.0.0.1:{hole} (no answer), " in said
    assert f"127.0.0.1:{refused} ({os.strerror(errno.ECONNREFUSED)}), {none} (" in said


def test_nothing_is_left_open() -> None:
    with silent() as mute, black_hole() as hole:
        caller = Caller(f"127.0.0.1:{mute},127.0.0.1:{hole},127.0.0.1:{free_port()}", 1)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(UnreachableError):
                caller.call(b"hello", 0.1)
        caller.close()
        assert len(os.listdir("/proc/self/fd")) <= before


def test_what_is_published_is_heard_by_its_topic() -> None:
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        port = publisher.bind_to_random_port("tcp://127.0.0.1")
        subscriber = Subscriber([Address("127.0.0.1", port), Address("127.0.0.1", 1)], b"etl\x01")
        try:
            assert publisher.recv() == b"\x01etl\x01"
            for message in (b"etl.daily\x01no", b"etl\x01one", b"etl\x01two"):
                publisher.send(message)
            heard: list[bytes] = []
            while len(heard) < 2:
                heard += subscriber.receive(10)
            assert heard == [b"etl\x01one", b"etl\x01two"]
            assert subscriber.receive(0) == []
        finally:
            subscriber.close()
