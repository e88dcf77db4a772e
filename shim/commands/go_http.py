"""HTTP as Go's net/http serves it, as far as a client can tell the difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import NamedTuple

# Go itself has no limit: this one lets no idle connection keep a thread for ever.
IDLE_SECONDS = 60.0
PIECE = 64 * 1024
LONGEST_LINE = 4096
LARGEST_LENGTH = 2**63 - 1

NO_HEADERS: Mapping[str, str] = {}


class Message(NamedTuple):
    """A request as it was sent; header names in lower case, `body` b"" where it broke off."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Response(NamedTuple):
    """What is answered to it."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = NO_HEADERS


class HttpServer(ThreadingHTTPServer):
    """A server on loopback, on a port of the kernel's choice; `answer` makes each response."""

    def __init__(self, answer: Callable[[Message], Response]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for this host's full name, and waits for the answer.
        TCPServer.server_bind(self)

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: a client that goes away is no news."""


class _Framing(Exception):
    """The request cannot be understood, or not be told from the next one; with the status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # what cannot be understood gets a status line, too
    timeout = IDLE_SECONDS
    server: HttpServer

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every method is a request like others
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        try:
            response = self.server.answer(self._message())
        except _Framing as error:
            self.close_connection = True
            response = Response(error.status)
        data = response.text.encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _message(self) -> Message:
        """Return the request; raises _Framing."""
        # Not self.path, which has only one of several slashes at its beginning.
        words = self.requestline.split()
        if len(words) != 3 or not (words[1].startswith("/") or "://" in words[1]):
            raise _Framing(400)
        if self.request_version == "HTTP/1.1" and len(self.headers.get_all("Host", [])) != 1:
            raise _Framing(400)  # RFC 9112, 3.2
        # Go reads the first one where a header is there twice.
        pairs = reversed(self.headers.items())
        headers = {name.lower(): value.strip() for name, value in pairs}
        return Message(words[0], words[1], headers, self._body())

    def _body(self) -> bytes:
        """Return the whole body, b"" where it breaks off; raises _Framing."""
        encodings = self.headers.get_all("Transfer-Encoding", [])
        if encodings:
            if len(encodings) > 1:
                raise _Framing(400)
            if encodings[0].strip().lower() != "chunked":
                raise _Framing(501)
            body = self._chunks()
        else:
            lengths = {length.strip() for length in self.headers.get_all("Content-Length", ["0"])}
            length = lengths.pop()
            if lengths or not re.fullmatch("[0-9]{1,19}", length) or int(length) > LARGEST_LENGTH:
                raise _Framing(400)
            body = self._read(int(length))
        if body is None:
            self.close_connection = True
        return body or b""

    def _read(self, size: int) -> bytes | None:
        """Return `size` bytes, None where there are fewer."""
        pieces = []
        while size:
            piece = self.rfile.read(min(size, PIECE))
            if not piece:
                return None
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def _chunks(self) -> bytes | None:
        """Return a body in chunks (RFC 9112, 7.1), None where it breaks off or is wrong."""
        pieces = []
        while True:
            size = self.rfile.readline(LONGEST_LINE).partition(b";")[0].strip(b" \t\r\n")
            if not re.fullmatch(rb"[0-9a-fA-F]{1,16}", size):
                return None
            if int(size, 16) == 0:
                break
            piece = self._read(int(size, 16))
            if piece is None or self.rfile.readline(LONGEST_LINE) not in (b"\r\n", b"\n"):
                return None
            pieces.append(piece)
        while (trailer := self.rfile.readline(LONGEST_LINE)) not in (b"\r\n", b"\n"):
            if not trailer:
                return None
        return b"".join(pieces)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the caller shows what arrived."""
