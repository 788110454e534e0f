"""A plain blocking client of ZeroMQ, for the command line and event listeners; and how a socket of ours is made.

Apart from `transport` so that it loads fast: no asyncio.
"""

import errno
import os
import selectors
import socket
import sys
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

import zmq

from cdktr.errors import CdktrError, UnreachableError
from cdktr.settings import Address, addresses

#: Bytes; a larger message ends the connection that sends it. A principal takes less from anybody than a client takes
#: from its principal: libzmq does not connect again after such a message.
MAX_MESSAGE = 32 * 1024 * 1024
MAX_REPLY = 1024 * 1024 * 1024

#: Milliseconds: how often a silent connection is tried, and how long it may stay silent.
HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 10000

#: Why an address does not answer: it takes connections all the same, or not even that is known.
SILENT = "it takes the connection and does not answer"
NO_ANSWER = "no answer"

#: Seconds that an address is tried alone before the next of a list is tried beside it.
HEAD_START_S = 0.25

#: Connections that may be idle: after many threads have asked at once, no more are kept.
MOST_IDLE = 16

#: Published messages that are taken at once.
MOST_HEARD = 1_000


def new_socket(context: zmq.Context[Any], kind: int, *, linger_ms: int = 0) -> zmq.Socket[bytes]:
    """A socket with limits where ZeroMQ has none."""
    raw: zmq.Socket[bytes] = context.socket(kind)
    raw.setsockopt(zmq.LINGER, linger_ms)
    raw.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
    raw.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    raw.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    raw.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    raw.setsockopt(zmq.BACKLOG, 1024)
    return raw


def connect(raw: zmq.Socket[bytes], address: Address) -> None:
    """Connect in the background, as a client. Raises UnreachableError for what is no address."""
    raw.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY)
    raw.setsockopt(zmq.IPV6, ":" in address.host)
    try:
        raw.connect(f"tcp://{address}")
    except zmq.ZMQError as error:
        raise UnreachableError(f"{address} is no address: {error}; check CDKTR_PRINCIPAL_HOST") from None


def monitor_of(raw: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Tells what becomes of the connection of a client's socket: a first event that `is_connected`, and any other once
    it is over. To be made before the socket connects."""
    return raw.get_monitor_socket(
        zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        | zmq.EVENT_CLOSED
        | zmq.EVENT_DISCONNECTED
    )


def is_connected(event: list[bytes]) -> bool:
    """Whether a message of a monitor says that the connection stands."""
    return int.from_bytes(event[0][:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_SUCCEEDED


class _Knock:
    """TCP connections to several addresses: ZeroMQ connects in the background and says nothing of why it fails."""

    def __init__(self) -> None:
        #: Why no connection can be made.
        self.failed: dict[Address, str] = {}
        self._selector = selectors.DefaultSelector()

    def first(self, candidates: Sequence[Address], deadline: float) -> Address | None:
        """The first that takes a connection. One that does not answer delays the next by a head start."""
        coming = list(candidates)
        try:
            while coming or self._selector.get_map():
                if coming:
                    self._begin(coming.pop(0))
                if not self._selector.get_map():
                    continue
                left = max(deadline - time.monotonic(), 0)
                events = self._selector.select(min(left, HEAD_START_S) if coming else left)
                for key, _ in events:
                    if self._ended(key):
                        address: Address = key.data
                        return address
                if not events and not coming:
                    break
            return None
        finally:
            for key in list(self._selector.get_map().values()):
                self._ended(key)
            self._selector.close()

    def _begin(self, address: Address) -> None:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        try:
            where = socket.getaddrinfo(*address, family, socket.SOCK_STREAM)[0][4]
            each = socket.socket(family)
            each.setblocking(False)
            error = each.connect_ex(where)
        except (OSError, UnicodeError) as wrong:
            self.failed[address] = getattr(wrong, "strerror", None) or "no such address"
            return
        if error in (0, errno.EINPROGRESS):
            self._selector.register(each, selectors.EVENT_WRITE, address)
        else:
            each.close()
            self.failed[address] = os.strerror(error)

    def _ended(self, key: selectors.SelectorKey) -> bool:
        """Close; whether it is connected."""
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        with key.fileobj as each:
            error = each.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.failed[key.data] = os.strerror(error)
        return not error


def why_away(where: Sequence[Address], timeout_s: float) -> str:
    """The addresses of a principal that does not answer, each with the reason: `10.0.0.7:5561 (Connection refused)`."""
    told = []
    for address in where:
        knock = _Knock()
        taken = knock.first([address], time.monotonic() + timeout_s) is not None
        told.append(f"{address} ({SILENT if taken else knock.failed.get(address, NO_ANSWER)})")
    return ", ".join(told)


class Caller:
    """A connection to one of several principals, one request at a time. For one thread."""

    def __init__(self, host: str, port: int, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """`host` may be a list, as in `CDKTR_PRINCIPAL_HOST`. The context is the owner's to end."""
        #: Where to begin comes first.
        self._addresses = list(addresses(host, port))
        #: All of them, for people.
        self.address = ", ".join(map(str, self._addresses))
        self._context = context
        self._raw: zmq.Socket[bytes] | None = None
        #: Readable when the connection broke.
        self._monitor: zmq.Socket[bytes] | None = None

    def call(self, message: bytes, timeout_s: float) -> bytes:
        """Ask and return the reply. Raises UnreachableError: at once where nothing listens, when the connection
        breaks, or after `timeout_s`; then the next call begins at the next address."""
        raw, monitor = self._connected(timeout_s)
        try:
            raw.send(message)
            poller = zmq.Poller()
            for each in (raw, monitor):
                poller.register(each, zmq.POLLIN)
            ready = dict(poller.poll(int(timeout_s * 1000)))
            if raw in ready:
                return raw.recv()
        except BaseException:
            # As by Ctrl-C: what is asked next must not get this reply.
            self.close_socket()
            raise
        # A REQ socket that got no answer cannot be used again.
        self.close_socket()
        silent = self._addresses.pop(0)
        self._addresses.append(silent)
        if ready:
            raise UnreachableError(f"The principal at {silent} ended the connection", was_asked=True)
        raise UnreachableError(
            f"The principal at {silent} did not answer in {timeout_s:g} s; it is stopped or overloaded: look at its "
            "process and its log, or give it longer with CDKTR_DEFAULT_ZMQ_TIMEOUT_MS",
            was_asked=True,
        )

    def _connected(self, timeout_s: float) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        if self._monitor is not None and self._monitor.poll(0):
            self.close_socket()
        if self._raw is None or self._monitor is None:
            return self._connect(timeout_s)
        return self._raw, self._monitor

    def _connect(self, timeout_s: float) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        deadline = time.monotonic() + timeout_s
        failed: dict[Address, str] = {}
        while candidates := [each for each in self._addresses if each not in failed]:
            knock = _Knock()
            address = knock.first(candidates, deadline)
            failed |= knock.failed
            if address is None:
                break
            # Whoever takes a connection and then says nothing leaves the others their share of the time.
            share = (deadline - time.monotonic()) / (len(candidates) - len(knock.failed))
            sockets = self._shake_hands(address, share)
            if sockets is not None:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                return sockets
            failed[address] = SILENT
        told = ", ".join(f"{each} ({failed.get(each, NO_ANSWER)})" for each in self._addresses)
        if SILENT in failed.values():
            raise UnreachableError(
                f"No principal answers at {told}; one is there that is stopped or overloaded, or another program has "
                "that port: `ss -ltnp` on that host names the process; look at it and at its log"
            )
        raise UnreachableError(
            f"No principal answers at {told}; start one with `cdktr start principal`, "
            "or give the host and port where it is, as by CDKTR_PRINCIPAL_HOST and CDKTR_PRINCIPAL_PORT"
        )

    def _shake_hands(self, address: Address, timeout_s: float) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]] | None:
        self._raw = raw = new_socket(self._context, zmq.REQ)
        self._monitor = monitor = monitor_of(raw)
        connect(raw, address)
        if monitor.poll(max(int(timeout_s * 1000), 1)) and is_connected(monitor.recv_multipart()):
            return raw, monitor
        self.close_socket()
        return None

    def close_socket(self) -> None:
        """Drop the connection; the next call makes a new one."""
        if self._raw is not None:
            self._raw.disable_monitor()
            self._raw.close()
        if self._monitor is not None:
            self._monitor.close()
        self._raw = self._monitor = None


class Callers:
    """Connections to one of several principals, for any number of threads: a call has one for itself, so that none
    waits for another that rests at the principal. One that is idle again serves the next call."""

    def __init__(self, host: str, port: int) -> None:
        """As `Caller`. Raises SettingError for what is no host."""
        addresses(host, port)  # before anything is made that would be left behind
        self._where = (host, port)
        self._is_closed = False
        #: What a parent process made: its connections are not touched, not even to close them.
        self._inherited: list[object] = []
        self._begin()
        self._idle.append(Caller(host, port, self._context))
        _ALL.add(self)

    def _begin(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._lock = threading.Lock()
        self._idle: list[Caller] = []
        self._busy = 0

    def begin_again(self) -> None:
        """To be called first in a process that came to be by a fork: what ZeroMQ made before would hang there."""
        self._inherited += [self._context, self._idle]
        self._begin()

    def call(self, message: bytes, timeout_s: float) -> bytes:
        """As `Caller.call`. Raises CdktrError after `close`."""
        caller = self._borrow()
        try:
            return caller.call(message, timeout_s)
        except (OSError, zmq.ZMQError) as error:
            # As when this process may open no more files.
            caller.close_socket()
            raise UnreachableError(f"No connection to {caller.address} can be made here: {error.strerror}") from error
        finally:
            self._give_back(caller)

    def _borrow(self) -> Caller:
        with self._lock:
            if self._is_closed:
                raise CdktrError("This connection to the principal was closed; make another")
            self._busy += 1
            # The one that was used last: others may have been idle for so long that their connection is gone.
            return self._idle.pop() if self._idle else Caller(*self._where, self._context)

    def _give_back(self, caller: Caller) -> None:
        with self._lock:
            self._busy -= 1
            self._idle.append(caller)
            if len(self._idle) > MOST_IDLE:
                # The one that was not used for the longest time.
                self._idle.pop(0).close_socket()
            if self._is_closed:
                self._drop()

    def close(self) -> None:
        """Drop everything that is idle now, and what is not as soon as it is."""
        with self._lock:
            self._is_closed = True
            self._drop()

    def _drop(self) -> None:
        while self._idle:
            self._idle.pop().close_socket()
        if not self._busy:
            self._context.term()


#: Those of this process.
_ALL: weakref.WeakSet[Callers] = weakref.WeakSet()


def _forked() -> None:
    for callers in list(_ALL):
        callers.begin_again()


# As by a web server that makes its workers once the application is loaded.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Subscriber:
    """What principals publish, as it comes, if it begins with `topic`. For one thread; who is slow misses some."""

    def __init__(self, where: Sequence[Address], topic: bytes) -> None:
        """Raises UnreachableError for what is no address."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._raw = new_socket(self._context, zmq.SUB)
        self._raw.setsockopt(zmq.SUBSCRIBE, topic)
        for address in where:
            connect(self._raw, address)

    def receive(self, wait_s: float) -> list[bytes]:
        """The messages that there are, not all of them when they are many; waits for the first."""
        found: list[bytes] = []
        wait_ms = int(wait_s * 1000)
        while len(found) < MOST_HEARD and self._raw.poll(0 if found else wait_ms):
            found.append(self._raw.recv())
        return found

    def close(self) -> None:
        """Drop everything."""
        self._raw.close()
        self._context.term()
