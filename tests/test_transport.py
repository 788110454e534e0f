import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq

from cdktr import caller, transport
from cdktr.caller import MAX_MESSAGE
from cdktr.errors import StartError, UnreachableError
from cdktr.settings import addresses
from cdktr.transport import BURST, Endpoints, Peer, Requester, own_address
from tests.integration.wire import Tcp

#: Seconds: a limit for a hanging test, not a measure.
PATIENCE_S = 20.0

Socket = zmq.Socket[bytes]
ANY = (0, 0, 0)


class Desk:
    """A principal's sockets that answer each request with `answer(frames)`, None meaning not at all."""

    def __init__(self, answer: Callable[[list[bytes]], bytes | None] = b"+".join) -> None:
        self.requests: list[list[bytes]] = []
        self.peers: list[Peer] = []
        self.logs: list[bytes] = []
        self._answer = answer
        self.endpoints = Endpoints("127.0.0.1", ANY, self._take, self.logs.append)
        self.api, self.logs_in, self.logs_out = self.endpoints.ports

    def _take(self, peer: Peer, frames: list[bytes]) -> None:
        self.requests.append(frames)
        self.peers.append(peer)
        answer = self._answer(frames)
        if answer is not None:
            assert self.endpoints.reply(peer, answer)


async def until(check: Callable[[], object]) -> None:
    """Return as soon as `check()` is true."""
    async with asyncio.timeout(PATIENCE_S):
        while not check():
            await asyncio.sleep(0.005)


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test in an event loop in which no callback may fail."""

    async def watched() -> None:
        problems: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(PATIENCE_S):
            await test
        assert problems == []

    asyncio.run(watched())


@contextmanager
def peer(kind: int, port: int) -> Iterator[Socket]:
    """A foreign socket."""
    context: zmq.Context[Socket] = zmq.Context()
    try:
        raw: Socket = context.socket(kind)
        raw.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
        raw.connect(f"tcp://127.0.0.1:{port}")
        yield raw
    finally:
        context.destroy(linger=0)


async def received(raw: Socket) -> list[bytes]:
    """The next message of a foreign socket, while the event loop goes on."""
    return await asyncio.to_thread(raw.recv_multipart)


# Requests and replies.


@pytest.mark.parametrize(
    ("kind", "sent", "frames"),
    [
        (zmq.REQ, [b"hello"], [b"hello"]),
        (zmq.REQ, [b""], [b""]),
        (zmq.REQ, [b"a", b"b"], [b"a", b"b"]),
        (zmq.REQ, [b"a", b"", b"b"], [b"a", b"", b"b"]),
        (zmq.DEALER, [b"hello"], [b"hello"]),
        (zmq.DEALER, [b""], [b""]),
        (zmq.DEALER, [b"", b"hello"], [b"hello"]),
        (zmq.DEALER, [b"1", b"", b"hello"], [b"hello"]),
        (zmq.DEALER, [b"1", b"2", b"", b"hello"], [b"hello"]),
        (zmq.DEALER, [b"a", b"b"], [b"a", b"b"]),
        (zmq.DEALER, [b"a", b""], [b"a", b""]),
    ],
)
def test_a_request_and_the_way_back(kind: int, sent: list[bytes], frames: list[bytes]) -> None:
    async def test() -> None:
        desk = Desk(lambda _: b"reply")
        with peer(kind, desk.api) as raw:
            raw.send_multipart(sent)
            reply = await received(raw)
        assert desk.requests == [frames]
        envelope = [] if kind == zmq.REQ else sent[: len(sent) - len(frames)]
        assert reply == [*envelope, b"reply"]
        desk.endpoints.close()

    run(test())


def test_more_messages_than_one_turn_takes() -> None:
    async def test() -> None:
        desk = Desk()
        with peer(zmq.DEALER, desk.api) as raw, peer(zmq.PUSH, desk.logs_in) as push:
            for number in range(BURST * 5):
                raw.send(b"%d" % number)
                push.send(b"%d" % number)
            await until(lambda: len(desk.requests) == len(desk.logs) == BURST * 5)
            replies = [(await received(raw))[0] for _ in range(BURST * 5)]
        assert replies == desk.logs == [b"%d" % number for number in range(BURST * 5)]
        desk.endpoints.close()

    run(test())


def test_a_peer_that_is_gone_gets_no_reply() -> None:
    async def test() -> None:
        desk = Desk(lambda _: None)
        with peer(zmq.DEALER, desk.api) as raw:
            raw.send(b"hello")
            await until(lambda: desk.requests)
        await until(lambda: not desk.endpoints.reply(desk.peers[0], b"late"))
        desk.endpoints.close()

    run(test())


def test_a_message_that_is_too_large_closes_its_connection_only() -> None:
    async def test() -> None:
        desk = Desk(lambda frames: b"%d" % len(frames[0]))
        with peer(zmq.DEALER, desk.api) as raw, Tcp(desk.api) as tcp:
            tcp.socket.sendall(b"\x01\x00" + b"\x02" + (MAX_MESSAGE + 1).to_bytes(8, "big"))
            assert await asyncio.to_thread(tcp.is_closed)
            raw.send(bytes(MAX_MESSAGE))
            assert await received(raw) == [b"%d" % MAX_MESSAGE]
        desk.endpoints.close()

    run(test())


# Binding.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


NAMES = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")


@pytest.mark.parametrize("place", range(3))
def test_a_port_in_use_is_named_and_nothing_stays_bound(place: int) -> None:
    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ports = [free_port() for _ in range(3)]
            ports[place] = server.getsockname()[1]
            with pytest.raises(
                StartError, match=f"Port {ports[place]} on 127.0.0.1 is in use.* {NAMES[place]} to a free"
            ):
                Endpoints("127.0.0.1", (ports[0], ports[1], ports[2]), lambda *_: None, lambda _: None)
        endpoints = Endpoints("127.0.0.1", (ports[0], ports[1], ports[2]), lambda *_: None, lambda _: None)
        assert endpoints.ports == tuple(ports)
        endpoints.close()

    run(test())


@pytest.mark.parametrize("host", ["203.0.113.1", "no..host"])
def test_an_address_of_another_host(host: str) -> None:
    async def test() -> None:
        with pytest.raises(StartError, match=f"Cannot listen on {host}:0: .*CDKTR_PRINCIPAL_HOST"):
            Endpoints(host, ANY, lambda *_: None, lambda _: None)

    run(test())


@pytest.mark.parametrize("host", ["0.0.0.0", "*", "localhost"])
def test_names_and_wildcards_can_be_bound(host: str) -> None:
    async def test() -> None:
        endpoints = Endpoints(host, ANY, lambda *_: None, lambda _: None)
        socket.create_connection(("127.0.0.1", endpoints.ports[0]), PATIENCE_S).close()
        endpoints.close()

    run(test())


# Log messages.


def test_publishing_reaches_those_who_watch() -> None:
    async def test() -> None:
        desk = Desk()
        assert not desk.endpoints.has_subscribers
        desk.endpoints.publish([b"to nobody"])
        with peer(zmq.SUB, desk.logs_out) as sub:
            sub.setsockopt(zmq.SUBSCRIBE, b"a.")
            got: list[bytes] = []

            def heard() -> bool:
                desk.endpoints.publish([b"a.sync"])
                return bool(sub.poll(20))

            await until(heard)
            await until(lambda: desk.endpoints.has_subscribers)
            desk.endpoints.publish([b"b.1", b"a.1", b"a", b"a.2"])
            while got[-1:] != [b"a.2"]:
                got += await received(sub)
            assert [each for each in got if each != b"a.sync"] == [b"a.1", b"a.2"]
        await until(lambda: not desk.endpoints.has_subscribers)
        desk.endpoints.close()

    run(test())


def test_one_watcher_of_two_is_left() -> None:
    async def test() -> None:
        desk = Desk()
        with peer(zmq.SUB, desk.logs_out):
            with peer(zmq.SUB, desk.logs_out):
                await until(lambda: len(desk.endpoints._watchers) == 2)
            await until(lambda: len(desk.endpoints._watchers) == 1)
            assert desk.endpoints.has_subscribers
        await until(lambda: not desk.endpoints.has_subscribers)
        desk.endpoints.close()

    run(test())


# The agent's connection.


def test_many_requests_under_way_at_once() -> None:
    async def test() -> None:
        kept: list[tuple[Peer, bytes]] = []
        desk = Desk(lambda _: None)
        requester = Requester("127.0.0.1", desk.api)
        await requester.connected()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(requester.request(b"%d" % n, PATIENCE_S)) for n in range(200)]
            await until(lambda: len(desk.requests) == 200)
            kept = [(each, frames[0]) for each, frames in zip(desk.peers, desk.requests, strict=True)]
            for each, number in reversed(kept):
                assert desk.endpoints.reply(each, b"answer " + number)
        assert [task.result() for task in asked] == [b"answer %d" % n for n in range(200)]
        requester.close()
        desk.endpoints.close()

    run(test())


def test_a_request_without_answer_ends_and_a_late_answer_is_nobodys() -> None:
    async def test() -> None:
        desk = Desk(lambda frames: None if frames == [b"slow"] else b"reply")
        requester = Requester("127.0.0.1", desk.api)
        await requester.connected()
        with pytest.raises(UnreachableError, match=r"did not answer in 0\.05 s"):
            await requester.request(b"slow", 0.05)
        await until(lambda: desk.requests)
        assert desk.endpoints.reply(desk.peers[0], b"late")
        assert await requester.request(b"quick", PATIENCE_S) == b"reply"
        requester.close()
        desk.endpoints.close()

    run(test())


def test_a_broken_connection_is_told_at_once_and_made_again() -> None:
    async def test() -> None:
        answered: list[bool] = []
        desk = Desk(lambda _: None)
        requester = Requester("127.0.0.1", desk.api)
        await requester.connected()
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(ended(requester.request(b"hello", 3600)))
            await until(lambda: desk.requests)
            desk.endpoints.close()
        assert "broke" in asked.result()
        assert "There is no principal" in await ended(requester.request(b"hello", 3600))
        again = Endpoints(
            "127.0.0.1", desk.endpoints.ports, lambda to, _: answered.append(again.reply(to, b"back")), print
        )
        await requester.connected()
        assert await requester.request(b"hello", PATIENCE_S) == b"back"
        assert answered == [True]
        requester.close()
        again.close()

    async def ended(request: Coroutine[Any, Any, bytes]) -> str:
        with pytest.raises(UnreachableError) as caught:
            await request
        return str(caught.value)

    run(test())


def test_nothing_is_kept_for_a_principal_that_is_not_there() -> None:
    async def test() -> None:
        requester = Requester("127.0.0.1", free_port())
        with pytest.raises(UnreachableError, match="There is no principal at 127"):
            await requester.request(b"hello", 3600)
        requester.close()

    run(test())


async def reply_of(requester: Requester) -> bytes:
    """From whoever is there; a request that finds a broken connection is made again."""
    while True:
        await requester.connected()
        try:
            return await requester.request(b"hello", PATIENCE_S)
        except UnreachableError:
            await asyncio.sleep(0.005)


def test_one_address_is_used_at_a_time_and_the_next_when_it_is_gone() -> None:
    async def test() -> None:
        first, second = Desk(lambda _: b"first"), Desk(lambda _: b"second")
        requester = Requester(f"127.0.0.1:{free_port()},127.0.0.1:{first.api},127.0.0.1:{second.api}", 1)
        await requester.connected()
        assert [await requester.request(b"%d" % n, PATIENCE_S) for n in range(20)] == [b"first"] * 20
        first.endpoints.close()
        assert await reply_of(requester) == b"second"
        second.endpoints.close()
        await until(lambda: not requester._up.is_set())
        answered: list[bool] = []
        again = Endpoints(
            "127.0.0.1", first.endpoints.ports, lambda to, _: answered.append(again.reply(to, b"again")), print
        )
        assert await reply_of(requester) == b"again"
        requester.close()
        again.close()

    run(test())


def test_an_address_that_says_nothing_is_left_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_S", 0.2)

    async def test() -> None:
        desk = Desk(lambda _: b"reply")
        with socket.create_server(("127.0.0.1", 0)) as mute:
            requester = Requester(f"127.0.0.1:{mute.getsockname()[1]},127.0.0.1:{desk.api}", 1)
            assert await reply_of(requester) == b"reply"
            requester.close()
        desk.endpoints.close()

    run(test())


def test_a_connection_that_was_ended_for_its_size_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq itself would not."""
    monkeypatch.setattr(caller, "MAX_REPLY", 1000)

    async def test() -> None:
        desk = Desk(lambda frames: bytes(2000) if frames == [b"much"] else b"reply")
        requester = Requester("127.0.0.1", desk.api)
        await requester.connected()
        with pytest.raises(UnreachableError, match="broke"):
            await requester.request(b"much", PATIENCE_S)
        assert await reply_of(requester) == b"reply"
        requester.close()
        desk.endpoints.close()

    run(test())


def test_attempts_in_vain_leave_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PAUSE_S", (0.001, 0.001))

    async def test() -> None:
        requester = Requester(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}", 1)
        await until(lambda: requester._failures > 10)
        before = len(os.listdir("/proc/self/fd"))
        await until(lambda: requester._failures > 100)
        assert len(os.listdir("/proc/self/fd")) < before + 10
        requester.close()

    run(test())


# Which address is of this host.


def test_the_first_address_of_this_host() -> None:
    def own(hosts: str) -> str:
        return str(own_address(addresses(hosts, 5561)))

    assert own("203.0.113.2,no..host,127.0.0.2:7,127.0.0.1") == "127.0.0.2:7"
    assert own("203.0.113.2,localhost") == "localhost:5561"
    assert own("203.0.113.2,0.0.0.0") == "0.0.0.0:5561"
    # One alone is what was asked for: binding it tells what is wrong.
    assert own("203.0.113.2") == "203.0.113.2:5561"
    with pytest.raises(StartError, match=r"None of 203\.0\.113\.2:5561, 203\.0\.113\.1:7 is an address of this host"):
        own("203.0.113.2,203.0.113.1:7")
