"""Real servers on loopback for the scripts to look at. Each is a context manager."""

from __future__ import annotations

import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import trustme


class Tls(NamedTuple):
    ca_file: str
    port: int


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Web(BaseHTTPRequestHandler):
    """Answers / as its query says: ?status=…&body=…&length=…, and any other path with 404."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        fields = parse_qs(url.query, errors="surrogateescape")
        query = {name: values[0] for name, values in fields.items()}
        body = query.get("body", "").encode(errors="surrogateescape")
        self.send_response(int(query.get("status", 200 if url.path == "/" else 404)))
        self.send_header("Content-Length", query.get("length", str(len(body))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def web_server() -> Iterator[str]:
    """Yield the address of a server that answers as `Web` does."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    """Yield the port where each connection in turn is handed to `serve`."""

    def work() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the listener was shut down
            try:
                serve(connection)
            except OSError:
                connection.close()

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=work)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def raw_server(answer: bytes, *, hang_up: bool = True, host: str = "127.0.0.1") -> Iterator[int]:
    """Yield the port where these bytes are all that is ever said; then it hangs up, or does not."""
    held = []

    def serve(connection: socket.socket) -> None:
        connection.recv(65_536)  # closed with something unread, a connection would be reset
        connection.sendall(answer)
        if hang_up:
            connection.close()
        else:
            held.append(connection)

    with tcp_server(serve, host) as port:
        yield port
    for connection in held:
        connection.close()


@contextmanager
def tls_server(folder: Path, days: float, starts: float = -90) -> Iterator[Tls]:
    """Yield where a server is whose certificate, for localhost, is valid from and until then."""
    authority = trustme.CA()
    ca_file = str(folder / "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    now = datetime.now(timezone.utc)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(
        "localhost", not_before=now + timedelta(days=starts), not_after=now + timedelta(days=days)
    ).configure_cert(context)
    with tls_port(context) as port:
        yield Tls(ca_file, port)


@contextmanager
def tls_port(context: ssl.SSLContext) -> Iterator[int]:
    def serve(connection: socket.socket) -> None:
        connection.settimeout(10)
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)

    with tcp_server(serve) as port:
        yield port


@contextmanager
def relay(
    port: int, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Yield a port whose connections, one after the other, go on to `port`; with TLS by `context`."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of the two has gone

    def serve(connection: socket.socket) -> None:
        connection.settimeout(10)
        with ExitStack() as stack:
            front = stack.enter_context(connection)
            if context is not None:
                front = stack.enter_context(context.wrap_socket(connection, server_side=True))
            back = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            thread = threading.Thread(target=copy, args=(front, back))
            thread.start()
            copy(back, front)
            thread.join()

    with tcp_server(serve, host) as own_port:
        yield own_port


class NameServer(NamedTuple):
    """A name server: its address, always at port 53, and the questions it got: name and type."""

    address: str
    questions: list[tuple[str, str]]


TYPES = {1: "A", 28: "AAAA"}
NO_SUCH_NAME = 3


@contextmanager
def name_server(records: Mapping[str, str]) -> Iterator[NameServer]:
    """Yield a server that knows one address for each name, and says of all others that they are none.

    RFC 1035, section 4.1. Needs the right to bind port 53.
    """

    def answer(question: bytes) -> bytes:
        labels = []
        at = 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode())
            at += 1 + length
        name = ".".join(labels)
        kind = TYPES.get(int.from_bytes(question[at + 1 : at + 3], "big"), "")
        server.questions.append((name, kind))
        found = b""
        if name in records and (":" in records[name]) == (kind == "AAAA"):
            family = socket.AF_INET6 if kind == "AAAA" else socket.AF_INET
            address = socket.inet_pton(family, records[name])
            # The name again, as a pointer; the type and class; a second to live.
            found = b"\xc0\x0c" + question[at + 1 : at + 5] + b"\0\0\0\1\0"
            found += bytes([len(address)]) + address
        code = 0 if name in records else NO_SUCH_NAME
        flags = bytes([0x85, 0x80 | code])  # an answer, authoritative, recursion available
        counts = bytes([0, 1, 0, bool(found), 0, 0, 0, 0])
        return question[:2] + flags + counts + question[12 : at + 5] + found

    def work() -> None:
        while True:
            question, sender = sock.recvfrom(512)
            if not question:
                return
            sock.sendto(answer(question), sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        address = f"127.{random.randrange(2, 255)}.{random.randrange(255)}.53"
        sock.bind((address, 53))
        server = NameServer(address, [])
        thread = threading.Thread(target=work)
        thread.start()
        yield server
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", (address, 53))
        thread.join()
