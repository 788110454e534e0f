"""The blocking client against real sockets, answered in a thread."""

import asyncio
import contextlib
import errno
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq

from cdktr.caller import MOST_IDLE, SILENT, Caller, Callers, Subscriber, why_away
from cdktr.errors import CdktrError, UnreachableError
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


NewCaller = Callable[[str, int], Caller]


@pytest.fixture
def new_caller() -> Iterator[NewCaller]:
    """Makes callers, which are ended after the test."""
    made: list[Caller] = []
    with zmq.Context() as context:

        def make(host: str, port: int) -> Caller:
            made.append(Caller(host, port, context))
            return made[-1]

        yield make
        for caller in made:
            caller.close_socket()


def test_a_caller_asks_again_and_again(new_caller: NewCaller) -> None:
    with answering(lambda frames: b"to " + frames[0]) as port:
        caller = new_caller("127.0.0.1", port)
        assert [caller.call(b"%d" % number, PATIENCE_S) for number in range(20)] == [b"to %d" % n for n in range(20)]
        assert caller.address == f"127.0.0.1:{port}"


def test_a_caller_can_be_used_after_a_silence(new_caller: NewCaller) -> None:
    with answering(lambda frames: None if frames == [b"hush"] else b"reply") as port:
        caller = new_caller("127.0.0.1", port)
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.05 s"):
            caller.call(b"hush", 0.05)
        assert caller.call(b"hello", PATIENCE_S) == b"reply"


def test_a_caller_with_an_address_that_is_none(new_caller: NewCaller) -> None:
    caller = new_caller("no..host", 5561)
    with pytest.raises(UnreachableError, match=r"No principal answers at no\.\.host:5561 \("):
        caller.call(b"hello", 3600)


def test_a_caller_says_at_once_that_nobody_is_there(new_caller: NewCaller) -> None:
    caller = new_caller("127.0.0.1", free_port())
    refused = os.strerror(errno.ECONNREFUSED)
    with pytest.raises(
        UnreachableError, match=rf"{caller.address} \({refused}\); start one with `cdktr start principal`"
    ):
        caller.call(b"hello", 3600)


def test_who_takes_a_connection_and_is_silent_is_there(new_caller: NewCaller) -> None:
    """As a principal that is suspended: the kernel takes connections for it."""
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        port = stopped.getsockname()[1]
        nobody = free_port()
        told = rf"127\.0\.0\.1:{port} \(it takes the connection and does not answer\)"
        caller = new_caller(f"127.0.0.1:{port}", 5561)
        with pytest.raises(
            UnreachableError, match=rf"{told}; one is there that is stopped or overloaded, or "
        ) as caught:
            caller.call(b"hello", 0.1)
        assert "start one" not in str(caught.value)
        refused = rf"127\.0\.0\.1:{nobody} \(Connection refused\)"
        both = why_away([Address("127.0.0.1", port), Address("127.0.0.1", nobody)], PATIENCE_S)
        assert re.fullmatch(f"{told}, {refused}", both)


def test_a_caller_hears_at_once_that_its_principal_ended(new_caller: NewCaller) -> None:
    """Long before its time-out; and connects anew when there is another."""
    with contextlib.ExitStack() as first:
        asked = threading.Event()

        def silent(_frames: list[bytes]) -> None:
            asked.set()

        port = first.enter_context(answering(silent))

        def end() -> None:
            asked.wait(PATIENCE_S)
            first.close()

        closer = threading.Thread(target=end)
        closer.start()
        caller = new_caller("127.0.0.1", port)
        with pytest.raises(UnreachableError, match="ended the connection"):
            caller.call(b"hello", 3600)
        closer.join()
        with pytest.raises(UnreachableError, match="No principal answers"):
            caller.call(b"hello", 3600)


# Several threads.


def test_a_thread_that_waits_keeps_no_other_waiting() -> None:
    """Answered as long as one waits; and when it is over, no more connections were made than were needed at once."""
    resting, free = threading.Event(), threading.Event()

    def answer(frames: list[bytes]) -> bytes | None:
        if frames == [b"rest"]:
            resting.set()
            return None
        return b"to " + frames[0]

    with answering(answer) as port, contextlib.closing(Callers("127.0.0.1", port)) as callers:

        def rest() -> None:
            with pytest.raises(UnreachableError, match=r"did not answer in 1 s"):
                callers.call(b"rest", 1.0)
            free.set()

        waiting = threading.Thread(target=rest)
        waiting.start()
        assert resting.wait(PATIENCE_S)
        assert callers.call(b"hello", PATIENCE_S) == b"to hello"
        assert not free.is_set()
        waiting.join()
        assert [callers.call(b"hello", PATIENCE_S) for _ in range(10)] == [b"to hello"] * 10
        assert len(callers._idle) == 2


def test_many_threads_get_each_its_own_answer() -> None:
    threads, each = 16, 100
    with answering(lambda frames: b"to " + frames[0]) as port:
        callers = Callers("127.0.0.1", port)

        def ask(name: int) -> bool:
            asked = [b"%d %d" % (name, number) for number in range(each)]
            return [callers.call(one, PATIENCE_S) for one in asked] == [b"to " + one for one in asked]

        with ThreadPoolExecutor(threads) as pool:
            assert list(pool.map(ask, range(threads))) == [True] * threads
        assert 1 <= len(callers._idle) <= threads
        callers.close()
        assert callers._idle == []


def test_no_more_idle_connections_are_kept_than_are_of_use() -> None:
    with answering(lambda frames: b"reply") as port, contextlib.closing(Callers("127.0.0.1", port)) as callers:
        # As when as many threads ask at once.
        held = [callers._borrow() for _ in range(MOST_IDLE + 4)]
        assert {each.call(b"hello", PATIENCE_S) for each in held} == {b"reply"}
        for each in held:
            callers._give_back(each)
        assert callers._idle == held[-MOST_IDLE:]
        assert [each._raw for each in held[:-MOST_IDLE]] == [None] * 4
        assert callers.call(b"hello", PATIENCE_S) == b"reply"


def test_what_is_closed_ends_with_the_last_call_that_was_under_way() -> None:
    asked, closed = threading.Event(), threading.Event()

    def answer(frames: list[bytes]) -> bytes:
        asked.set()
        assert closed.wait(PATIENCE_S)
        return b"late"

    with answering(answer) as port, ThreadPoolExecutor(1) as pool:
        callers = Callers("127.0.0.1", port)
        waiting = pool.submit(callers.call, b"hello", PATIENCE_S)
        assert asked.wait(PATIENCE_S)
        callers.close()
        with pytest.raises(CdktrError, match="was closed; make another"):
            callers.call(b"hello", PATIENCE_S)
        closed.set()
        assert waiting.result() == b"late"
        assert callers._context.closed
        callers.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_makes_connections_of_its_own() -> None:
    """Also when another thread was asking at that moment; and the parent's serve it as before."""
    resting = threading.Event()

    def answer(frames: list[bytes]) -> bytes | None:
        if frames == [b"rest"]:
            resting.set()
            return None
        return b"to " + frames[0]

    with (
        answering(answer) as port,
        ThreadPoolExecutor(1) as pool,
        contextlib.closing(Callers("127.0.0.1", port)) as callers,
    ):
        assert callers.call(b"parent", PATIENCE_S) == b"to parent"
        waiting = pool.submit(callers.call, b"rest", 1.0)
        assert resting.wait(PATIENCE_S)
        child = os.fork()
        if child == 0:
            signal.alarm(int(PATIENCE_S))
            try:
                assert callers.call(b"child", PATIENCE_S) == b"to child"
                callers.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(UnreachableError):
            waiting.result()
        assert callers.call(b"parent", PATIENCE_S) == b"to parent"


def test_a_process_that_may_open_no_more_files_is_told_and_goes_on_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: zmq.Socket[bytes]) -> None:
        raise zmq.ZMQError(errno.EMFILE)

    with answering(lambda frames: b"reply") as port, contextlib.closing(Callers("127.0.0.1", port)) as callers:
        with monkeypatch.context() as patch:
            patch.setattr("cdktr.caller.monitor_of", full)
            for _ in range(3):
                with pytest.raises(UnreachableError, match=rf"to 127\.0\.0\.1:{port} can be made here: Too many open"):
                    callers.call(b"hello", PATIENCE_S)
        assert len(callers._idle) == 1
        assert callers.call(b"hello", PATIENCE_S) == b"reply"


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(new_caller: NewCaller) -> None:
    main = threading.get_ident()

    def answer(frames: list[bytes]) -> bytes:
        if frames == [b"first"]:
            signal.pthread_kill(main, signal.SIGINT)
        return b"to " + frames[0]

    with answering(answer) as port:
        caller = new_caller("127.0.0.1", port)
        with pytest.raises(KeyboardInterrupt):
            caller.call(b"first", PATIENCE_S)
        assert caller.call(b"second", PATIENCE_S) == b"to second"


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
    other: Callable[[], contextlib.AbstractContextManager[int | None]], new_caller: NewCaller
) -> None:
    """And is not tried again while that one answers."""
    with other() as dead, answering(lambda frames: frames[0]) as port:
        caller = new_caller(f"127.0.0.1:{dead or free_port()},127.0.0.1", port)
        timeout_s = 2.0 if other is silent else PATIENCE_S
        assert [caller.call(b"hello", timeout_s) for _ in range(2)] == [b"hello"] * 2
        caller.close_socket()
        assert str(caller._addresses[0]) == f"127.0.0.1:{port}"
        assert caller.call(b"hello", timeout_s) == b"hello"


def test_after_a_silence_the_next_is_asked(new_caller: NewCaller) -> None:
    with answering(lambda _: None) as first, answering(lambda _: b"reply") as second:
        caller = new_caller(f"127.0.0.1:{first},127.0.0.1:{second}", 1)
        with pytest.raises(UnreachableError, match=rf"The principal at 127\.0\.0\.1:{first} did not answer"):
            caller.call(b"hello", 0.5)
        assert caller.call(b"hello", PATIENCE_S) == b"reply"


def test_all_that_do_not_answer_are_named(new_caller: NewCaller) -> None:
    with silent() as mute, black_hole() as hole:
        refused, none = free_port(), "no..host:7"
        caller = new_caller(f"127.0.0.1:{mute},127.0.0.1:{hole},127.0.0.1:{refused},{none}", 1)
        with pytest.raises(UnreachableError) as caught:
            caller.call(b"hello", 1.0)
    said = str(caught.value)
    assert f"127.0.0.1:{mute} ({SILENT}), 127.0.0.1:{hole} (no answer), " in said
    assert f"127.0.0.1:{refused} ({os.strerror(errno.ECONNREFUSED)}), {none} (" in said


def test_nothing_is_left_open() -> None:
    with silent() as mute, black_hole() as hole:
        callers = Callers(f"127.0.0.1:{mute},127.0.0.1:{hole},127.0.0.1:{free_port()}", 1)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(UnreachableError):
                callers.call(b"hello", 0.1)
        callers.close()
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
