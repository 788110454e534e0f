"""ZeroMQ sockets under asyncio. The law: nobody but this and `caller` imports zmq; nothing here reads a message.

`zmq.asyncio` is left out: it costs 57 ms to import and a future a message. A ZeroMQ socket has one descriptor that
becomes readable when its state may have changed, edge-triggered: after every receive and send the state must be looked
at again, which `_Socket` does.
"""

import asyncio
import errno
import itertools
import socket
from collections.abc import Callable, Sequence

import zmq
from zmq.utils.monitor import parse_monitor_message

from cdktr.caller import connect, is_connected, monitor_of, new_socket, why_away
from cdktr.errors import StartError, UnreachableError
from cdktr.settings import ANY_ADDRESS, Address, addresses

#: Messages taken from one socket before the event loop gets a turn.
BURST = 64

#: Messages that a subscriber may be behind before it loses some: several of the largest reports of an agent.
MAX_UNREAD = 100_000

#: The flags of a part of a message, and of its last: `send_multipart` takes as long to make them as to send.
_MORE, _LAST = int(zmq.SNDMORE | zmq.NOBLOCK), int(zmq.NOBLOCK)

#: Seconds that an agent tries one address before the next.
CONNECT_S = 3.0

#: Seconds that finding out why there is none may take, for each address.
WHY_S = 1.0

#: Seconds between its rounds of all addresses: first, and at most.
PAUSE_S = (0.05, 1.0)

#: What a reply needs to find its way: the frames before the message, as they came.
Peer = tuple[bytes, ...]


class _Socket:
    """One ZeroMQ socket in the event loop: messages in by callback, out by `_send`."""

    def __init__(self, raw: zmq.Socket[bytes], on_frames: Callable[[list[bytes]], None]) -> None:
        self._raw = raw
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._loop.add_reader(raw.fileno(), self._drain)
        self._again()

    def close(self) -> None:
        """Close at once; what is not sent within the linger time is dropped."""
        if not self._raw.closed:
            self._loop.remove_reader(self._raw.fileno())
            self._raw.close()

    def _again(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._scheduled = False
        self._drain()

    def _drain(self) -> None:
        for _ in range(BURST):
            if self._raw.closed:
                return
            try:
                frames = self._raw.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                self._on_frames(frames)
            except BaseException:
                # The edge was taken: what is left would wait for the next message.
                self._again()
                raise
        self._again()

    def _send(self, frames: Sequence[bytes]) -> bool:
        """False when it cannot be sent now: the peer is gone, or does not read."""
        try:
            for frame in frames[:-1]:
                self._raw.send(frame, _MORE)
            self._raw.send(frames[-1], _LAST)
        except zmq.ZMQError as error:
            if error.errno in (errno.EAGAIN, errno.EHOSTUNREACH):
                return False
            raise
        finally:
            self._again()
        return True


def _bind(raw: zmq.Socket[bytes], host: str, port: int, setting: str) -> int:
    """Bind and return the port; 0 takes any free one. Raises StartError that names the setting to change."""
    raw.setsockopt(zmq.IPV6, ":" in host)
    try:
        address = "*" if host in ("*", "0.0.0.0", "") else f"[{host}]" if ":" in host else socket.gethostbyname(host)
        raw.bind(f"tcp://{address}:{port or '*'}")
    except (zmq.ZMQError, OSError, UnicodeError) as error:
        raw.close()
        code = getattr(error, "errno", None)
        if code == errno.EADDRINUSE:
            raise StartError(
                f"Port {port} on {host} is in use, perhaps by another cdktr; stop that or set {setting} to a free port"
            ) from None
        if code == errno.EACCES:
            raise StartError(f"Port {port} needs more rights than this user has; set {setting} above 1023") from None
        raise StartError(f"Cannot listen on {host}:{port}: {error}; check CDKTR_PRINCIPAL_HOST and {setting}") from None
    return int(raw.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


def own_address(choice: Sequence[Address]) -> Address:
    """The first that is an address of this host; one alone is not doubted. Raises StartError."""
    if len(choice) == 1:
        return choice[0]
    for address in choice:
        if address.host in ANY_ADDRESS or _is_local(address.host):
            return address
    raise StartError(
        f"None of {', '.join(map(str, choice))} is an address of this host; add one to CDKTR_PRINCIPAL_HOST"
    )


def _is_local(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        where = socket.getaddrinfo(host, 0, family, socket.SOCK_STREAM)[0][4]
        with socket.socket(family) as probe:
            probe.bind(where)
    except (OSError, UnicodeError):
        return False
    return True


class Endpoints:
    """The three sockets of a principal."""

    def __init__(
        self,
        host: str,
        ports: tuple[int, int, int],
        on_request: Callable[[Peer, list[bytes]], None],
        on_log: Callable[[bytes], None],
    ) -> None:
        """Bind the API, the log intake and the log publisher on `ports`. Raises StartError, then nothing is bound."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        #: The connections to the publisher, by descriptor.
        self._watchers: set[int] = set()
        names = ("CDKTR_PRINCIPAL_PORT", "CDKTR_LOGS_LISTENING_PORT", "CDKTR_LOGS_PUBLISHING_PORT")
        kinds = (zmq.ROUTER, zmq.PULL, zmq.XPUB)
        raws = [new_socket(self._context, kind, linger_ms=500) for kind in kinds]
        raws[0].setsockopt(zmq.ROUTER_MANDATORY, 1)
        raws[2].setsockopt(zmq.SNDHWM, MAX_UNREAD)
        # Before it is bound, so that nobody connects unseen.
        monitor = raws[2].get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        try:
            bound = [_bind(raw, host, port, name) for raw, port, name in zip(raws, ports, names, strict=True)]
        except StartError:
            self._context.destroy(linger=0)
            raise
        #: The ports in force: API, log intake, log publisher.
        self.ports = (bound[0], bound[1], bound[2])
        self._api = _Socket(raws[0], lambda frames: self._request(frames, on_request))
        self._logs = _Socket(raws[1], lambda frames: on_log(b"".join(frames)))
        # Subscriptions are drained, not counted: any peer can cancel one that it never made.
        self._live = _Socket(raws[2], lambda _: None)
        self._publisher = raws[2]
        self._monitor = _Socket(monitor, self._watched)

    @staticmethod
    def _request(frames: list[bytes], on_request: Callable[[Peer, list[bytes]], None]) -> None:
        # Everything up to the first empty frame that has others behind it is the way back; a plain DEALER sends none.
        cut = frames.index(b"", 1) + 1 if b"" in frames[1:-1] else 1
        on_request(tuple(frames[:cut]), frames[cut:])

    def reply(self, peer: Peer, message: bytes) -> bool:
        """Answer a request; False when the peer is gone."""
        return self._api._send([*peer, message])

    @property
    def has_subscribers(self) -> bool:
        """False while publishing would reach nobody."""
        return bool(self._watchers)

    def publish(self, messages: Sequence[bytes]) -> None:
        """Send to the subscribers; whoever reads too slowly loses messages."""
        for message in messages:
            self._live._send([message])

    def _watched(self, frames: list[bytes]) -> None:
        event = parse_monitor_message(frames)
        (self._watchers.add if event["event"] == zmq.EVENT_ACCEPTED else self._watchers.discard)(event["value"])

    def close(self) -> None:
        """Close all three."""
        self._publisher.disable_monitor()
        for each in (self._monitor, self._api, self._logs, self._live):
            each.close()
        self._context.term()


class Requester:
    """An agent's connection to a principal: many requests under way at once, each with its own reply.

    Of several addresses one is connected at a time: ZeroMQ would deal the requests out among them. When the connection
    breaks or cannot be made it is the turn of the next, round and round, each time with a new socket; so it also
    goes on where libzmq itself would not connect again.
    """

    def __init__(self, host: str, port: int) -> None:
        """`host` may be a list, as in `CDKTR_PRINCIPAL_HOST`."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._addresses = addresses(host, port)
        #: All of them, for people.
        self.address = ", ".join(map(str, self._addresses))
        self._turn = 0
        #: Connections that broke or could not be made since there was one.
        self._failures = 0
        self._ids = itertools.count()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._up = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._sockets: list[_Socket] = []
        try:
            self._begin()
        except UnreachableError:
            self.close()
            raise

    def _begin(self) -> None:
        raw = new_socket(self._context, zmq.DEALER, linger_ms=500)
        # Nothing is queued for a principal that is not there: the sender shall know.
        raw.setsockopt(zmq.IMMEDIATE, 1)
        raw.setsockopt(zmq.RECONNECT_IVL, -1)
        monitor = monitor_of(raw)
        self._raw = raw
        self._timer = self._loop.call_later(CONNECT_S, self._next)
        self._dealer = _Socket(raw, self._reply)
        self._sockets = [_Socket(monitor, self._monitored), self._dealer]
        connect(raw, self._addresses[self._turn])

    def _next(self) -> None:
        """Go to the next address; after a whole round in vain, not at once."""
        self._up.clear()
        here = self._addresses[self._turn]
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(UnreachableError(f"The connection to the principal at {here} broke"))
        self._raw.setsockopt(zmq.LINGER, 0)
        self._drop()
        self._failures += 1
        self._turn = (self._turn + 1) % len(self._addresses)
        rounds, within = divmod(self._failures, len(self._addresses))
        pause = 0.0 if within else min(PAUSE_S[0] * 2 ** min(rounds - 1, 10), PAUSE_S[1])
        self._timer = self._loop.call_later(pause, self._begin)

    def _drop(self) -> None:
        self._timer.cancel()
        if self._sockets:
            self._raw.disable_monitor()
        for each in self._sockets:
            each.close()
        self._sockets = []

    async def why_away(self) -> str:
        """The addresses, each with the reason why it does not answer, as far as a connection of its own tells."""
        return await self._loop.run_in_executor(None, why_away, self._addresses, WHY_S)

    async def connected(self) -> None:
        """Return when there is a connection."""
        await self._up.wait()

    async def request(self, message: bytes, timeout_s: float) -> bytes:
        """Ask and return the reply. Raises UnreachableError after `timeout_s` or when the connection breaks."""
        number = next(self._ids).to_bytes(8, "big")
        if not self._up.is_set() or not self._dealer._send([number, b"", message]):
            raise UnreachableError(f"There is no principal at {self.address}")
        reply: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[number] = reply
        here = self._addresses[self._turn]
        try:
            return await asyncio.wait_for(reply, timeout_s)
        except TimeoutError:
            raise UnreachableError(f"The principal at {here} did not answer in {timeout_s:g} s") from None
        finally:
            del self._waiting[number]

    def _reply(self, frames: list[bytes]) -> None:
        waiting = self._waiting.get(frames[0])
        if waiting is not None and not waiting.done():
            waiting.set_result(frames[-1])

    def _monitored(self, frames: list[bytes]) -> None:
        if is_connected(frames):
            self._timer.cancel()
            self._failures = 0
            self._up.set()
        else:
            self._next()

    def close(self) -> None:
        """Close; requests under way are dropped."""
        self._drop()
        self._context.term()
