"""A small HTTP server for requests with short bodies: JSON answers, one request a connection, all of it bounded.

It reads less than HTTP allows: no chunked bodies, no folded headers, no line that ends in LF alone. A request that two
programs could read differently is refused, and as each connection ends after its answer, nothing can be hidden in what
follows it.
"""

import errno
import json
import logging
import re
import socket
import socketserver
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from threading import Lock
from typing import Any, Protocol

from cdktr.text import printable

log = logging.getLogger(__name__)

#: Bytes of the lines before the body, and how many of them.
MAX_HEAD = 16 * 1024
MAX_HEADERS = 64

#: Seconds in which a request must be here, and in which its answer must be taken.
REQUEST_S = 10.0
ANSWER_S = 5.0

#: Connections at once, and how many of them may be of one client: one that is slow leaves room for others.
MOST = 64
MOST_OF_CLIENT = 32

#: How much is read of what is refused, and for how long: a client that is still sending may not see the answer.
DRAIN_BYTES = 1024 * 1024
DRAIN_S = 1.0

#: Seconds between looks whether to stop.
LOOK_S = 0.25

#: What an accept fails with while this process or its host has no room for another connection.
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_FIRST = re.compile(rb"([A-Z]{1,16}) ([\x21-\x7e]{1,4096}) HTTP/1\.[01]")
#: Possessive: what a stranger sends must not be read in more than one way, which takes time without end.
_HEADER = re.compile(rb"([\w!#$%&'*+.^`|~-]++):([\t\x20-\x7e\x80-\xff]*+)", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """A request. `body` is empty until it was admitted."""

    #: The address that it came from; of IPv6, where one client has many, the network.
    client: str
    method: str
    path: str
    #: By names in lower case.
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: the JSON object `value`; `note` is for the log."""

    status: int
    value: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    def encode(self, with_body: bool = True) -> bytes:
        """As it is sent."""
        body = json.dumps(self.value).encode() + b"\n"
        lines = {
            "Date": formatdate(usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        head = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        return head.encode("latin-1") + (body if with_body else b"")


def error(status: int, text: str, headers: Mapping[str, str] | None = None, note: str = "") -> Answer:
    """An answer that says what is wrong."""
    return Answer(status, {"error": text}, headers or {}, note)


class Site(Protocol):
    """What the server serves. It is asked by several threads."""

    def admit(self, request: Request) -> Answer | None:
        """An answer without the body, or None when that is wanted."""

    def answer(self, request: Request) -> Answer:
        """The answer to the whole request."""


class Refused(Exception):
    """A request that is not to be read further."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def read_head(head: bytes, client: str) -> Request:
    """The request of its lines, up to the empty one. Raises Refused."""
    first, *lines = head.split(b"\r\n")
    match = _FIRST.fullmatch(first)
    if match is None:
        raise Refused(error(400, "The first line is not METHOD /path HTTP/1.1"))
    if len(lines) > MAX_HEADERS:
        raise Refused(error(431, f"There are more than {MAX_HEADERS} headers"))
    headers: dict[str, str] = {}
    for line in lines:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise Refused(error(400, "A header is not NAME: VALUE"))
        name, value = found[1].decode().lower(), found[2].strip(b" \t").decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Request(client, match[1].decode(), match[2].decode(), headers)


def length_of(request: Request, most: int) -> int:
    """The bytes of its body. Raises Refused."""
    if "transfer-encoding" in request.headers:
        raise Refused(error(411, "Transfer-Encoding is not accepted; send the body with its Content-Length"))
    text = request.headers.get("content-length")
    if text is None:
        raise Refused(error(411, "The request has no Content-Length; it is 0 when there is no body"))
    if not _LENGTH.fullmatch(text):
        raise Refused(error(400, "Content-Length is not one whole number"))
    if int(text) > most:
        raise Refused(error(413, f"The body is longer than {most} bytes"))
    return int(text)


class _Slots:
    """Who has how many connections."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, int] = {}

    def take(self, client: str) -> bool:
        with self._lock:
            held = self._held.get(client, 0)
            if held >= MOST_OF_CLIENT or sum(self._held.values()) >= MOST:
                return False
            self._held[client] = held + 1
            return True

    def give_back(self, client: str) -> None:
        with self._lock:
            self._held[client] -= 1
            if not self._held[client]:
                del self._held[client]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a site, each request in a thread, until it is closed; `port` is the one it has."""

    allow_reuse_address = True
    request_queue_size = 128
    #: At the end, those under way are waited for: they are bounded.
    daemon_threads = False
    timeout = LOOK_S

    def __init__(self, host: str, port: int, site: Site, max_body: int) -> None:
        """Listen. Raises OSError."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.site = site
        self.max_body = max_body
        self._slots = _Slots()
        self._is_full = False
        super().__init__((host, port), _Exchange)
        self.port: int = self.socket.getsockname()[1]

    def serve(self, is_over: Callable[[], bool]) -> None:
        """Serve until `is_over`; then those under way are answered."""
        try:
            while not is_over():
                self.handle_request()
        finally:
            self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """See `socketserver`; called for each connection that waits to be taken."""
        try:
            taken = super().get_request()
        except OSError as error:
            if error.errno in _FULL:
                # It goes on waiting, so without a pause this would be tried again at once, and again.
                if not self._is_full:
                    log.error("No connection can be taken: %s", error.strerror)
                self._is_full = True
                time.sleep(LOOK_S)
            raise
        self._is_full = False
        return taken

    def process_request(self, request: Any, client_address: Any) -> None:
        """See `socketserver`; called for each connection."""
        client = client_of(client_address[0])
        if not self._slots.take(client):
            self._turn_away(request, client)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._slots.give_back(client)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """See `socketserver`; called in the thread of the connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.give_back(client_of(client_address[0]))

    def _turn_away(self, connection: socket.socket, client: str) -> None:
        answer = error(503, "There are too many connections; try again", {"Retry-After": "1"})
        try:
            # Whatever does not go at once does not go: this thread must not wait for anybody.
            connection.setblocking(False)
            connection.send(answer.encode())
            connection.recv(MAX_HEAD)
        except OSError:
            pass
        log.warning("%s: 503, there are too many connections", client)
        self.shutdown_request(connection)

    def handle_error(self, _: Any, client_address: Any) -> None:
        """See `socketserver`; called for an error that nobody took."""
        log.exception("A request of %s failed", client_address[0])


class _Exchange(socketserver.BaseRequestHandler):
    """One connection: a request and its answer."""

    server: Server
    request: socket.socket

    def setup(self) -> None:
        self._deadline = time.monotonic() + REQUEST_S
        self._rest = b""
        #: Whether something may be on its way that nobody reads.
        self._is_cut = True
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def handle(self) -> None:
        began = time.monotonic()
        client = client_of(self.client_address[0])
        request = Request(client, "-", "-", {})
        try:
            try:
                head = self._read_head()
                if head is None:
                    return
                request = read_head(head, client)
                answer = self._answer(request)
            except Refused as refused:
                answer = refused.answer
            except TimeoutError:
                answer = error(408, f"The request was not here within {REQUEST_S:g} s")
            self._send(answer, request.method != "HEAD")
        except OSError as gone:
            log.info("%s went away: %s", self.client_address[0], gone.strerror or gone)
            return
        took_ms = (time.monotonic() - began) * 1000
        path = printable(request.path.partition("?")[0])[:200]
        note = f" {printable(answer.note)}" if answer.note else ""
        log.info("%s %s %s: %d%s (%d ms)", self.client_address[0], request.method, path, answer.status, note, took_ms)

    def _answer(self, request: Request) -> Answer:
        answer = self.server.site.admit(request)
        if answer is not None:
            return answer
        length = length_of(request, self.server.max_body)
        if request.headers.get("expect", "").lower() == "100-continue" and len(self._rest) < length:
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._read_body(length)
        return self.server.site.answer(Request(request.client, request.method, request.path, request.headers, body))

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.request.settimeout(left)
        return self.request.recv(16 * 1024)

    def _read_head(self) -> bytes | None:
        """None when the client closed without a word."""
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD:
                break
            if data.count(b"\n") != data.count(b"\r\n"):
                raise Refused(error(400, "A line does not end in CR LF"))
            more = self._receive()
            if not more:
                if data:
                    raise Refused(error(400, "The request ends before its headers do"))
                return None
            data += more
        if not 0 <= end <= MAX_HEAD:
            raise Refused(error(431, f"The headers are longer than {MAX_HEAD} bytes"))
        self._rest = data[end + 4 :]
        return data[:end]

    def _read_body(self, length: int) -> bytes:
        data = bytearray(self._rest)
        while len(data) < length:
            more = self._receive()
            if not more:
                raise Refused(error(400, "The body is shorter than its Content-Length"))
            data += more
        # What comes after it is of no interest, but it may be there.
        self._is_cut = len(data) > length
        return bytes(data[:length])

    def _send(self, answer: Answer, with_body: bool) -> None:
        self.request.settimeout(ANSWER_S)
        self.request.sendall(answer.encode(with_body))
        self.request.shutdown(socket.SHUT_WR)
        if self._is_cut:
            self._drain()

    def _drain(self) -> None:
        """Without this, a client that is still sending would be told of a broken connection, and not of the answer."""
        self._deadline = time.monotonic() + DRAIN_S
        left = DRAIN_BYTES
        try:
            while left > 0 and (data := self._receive()):
                left -= len(data)
        except OSError:
            pass


def client_of(address: str) -> str:
    """Who has this address: of IPv6 a network of 64 bits, as that is what one client is given."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
    return str(ip)
