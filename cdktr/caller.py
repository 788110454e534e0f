"""A plain blocking client of ZeroMQ, for the command line and event listeners; and how a socket of ours is made.

Apart from `transport` so that it loads fast: no asyncio.
"""

import socket
from typing import Any

import zmq

from cdktr.errors import UnreachableError

#: Bytes; a larger message ends the connection that sends it. A principal takes less from anybody than a client takes
#: from its principal: libzmq does not connect again after such a message.
MAX_MESSAGE = 32 * 1024 * 1024
MAX_REPLY = 1024 * 1024 * 1024

#: Milliseconds: how often a silent connection is tried, and how long it may stay silent.
HEARTBEAT_MS = 2000
HEARTBEAT_TIMEOUT_MS = 10000


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


def connect(raw: zmq.Socket[bytes], host: str, port: int) -> None:
    """Connect in the background, as a client. Raises UnreachableError for what is no address."""
    raw.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY)
    raw.setsockopt(zmq.IPV6, ":" in host)
    try:
        raw.connect(f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}")
    except zmq.ZMQError as error:
        raise UnreachableError(f"{host}:{port} is no address: {error}; check CDKTR_PRINCIPAL_HOST") from None


class Caller:
    """One connection to a principal, one request at a time. For one thread."""

    def __init__(self, host: str, port: int) -> None:
        self.address = f"{host}:{port}"
        self._host, self._port = host, port
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._raw: zmq.Socket[bytes] | None = None
        #: Readable when the connection broke.
        self._monitor: zmq.Socket[bytes] | None = None

    def call(self, message: bytes, timeout_s: float) -> bytes:
        """Ask and return the reply. Raises UnreachableError: at once where nothing listens, when the connection
        breaks, or after `timeout_s`."""
        raw, monitor = self._connected(timeout_s)
        raw.send(message)
        poller = zmq.Poller()
        for each in (raw, monitor):
            poller.register(each, zmq.POLLIN)
        ready = dict(poller.poll(int(timeout_s * 1000)))
        if raw in ready:
            return raw.recv()
        # A REQ socket that got no answer cannot be used again.
        self.close_socket()
        why = "ended the connection" if ready else f"did not answer in {timeout_s:g} s"
        raise UnreachableError(f"The principal at {self.address} {why}")

    def _connected(self, timeout_s: float) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        if self._monitor is not None and self._monitor.poll(0):
            self.close_socket()
        if self._raw is None or self._monitor is None:
            self._knock(timeout_s)
            self._raw = new_socket(self._context, zmq.REQ)
            self._monitor = self._raw.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            connect(self._raw, self._host, self._port)
        return self._raw, self._monitor

    def _knock(self, timeout_s: float) -> None:
        # ZeroMQ connects in the background and says nothing of a refusal: ask TCP first.
        try:
            socket.create_connection((self._host, self._port), timeout_s).close()
        except (OSError, UnicodeError) as error:
            why = "no such address" if isinstance(error, UnicodeError) else error.strerror or "no answer"
            raise UnreachableError(
                f"No principal answers at {self.address} ({why}); start one with `cdktr start principal`, "
                "or say where it is with --principal-host and --principal-port"
            ) from None

    def close_socket(self) -> None:
        """Drop the connection; the next call makes a new one."""
        if self._raw is not None:
            self._raw.disable_monitor()
            self._raw.close()
        if self._monitor is not None:
            self._monitor.close()
        self._raw = self._monitor = None

    def close(self) -> None:
        """Drop everything."""
        self.close_socket()
        self._context.term()
