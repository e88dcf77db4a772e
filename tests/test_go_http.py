"""HTTP as Go's net/http serves it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from shim.commands.go_http import HttpServer, Message, Response

Served = tuple[int, list[Message]]


@pytest.fixture
def served() -> Iterator[Served]:
    """Yield the port of a server, and what it was asked."""
    seen: list[Message] = []

    def answer(message: Message) -> Response:
        seen.append(message)
        return Response(202, "text", {"X-Own": "1"})

    with HttpServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_address[1], seen
        server.shutdown()
        thread.join()


def exchange(served: Served, request: bytes) -> bytes:
    """Return all that is answered to what is sent, the sending side closed behind it."""
    with socket.create_connection(("127.0.0.1", served[0])) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            return file.read()


def test_any_method_is_a_request(served: Served) -> None:
    answer = exchange(served, b"BREW //pot?a HTTP/1.1\r\nHost: x\r\nX: 1\r\nx: 2\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202 ") and b"X-Own: 1" in head
    assert body == b"text"
    assert served[1] == [Message("BREW", "//pot?a", {"x": "1", "host": "x"}, b"")]


def test_head_has_no_body(served: Served) -> None:
    assert exchange(served, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").endswith(
        b"Content-Length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("headers", "body", "read"),
    [
        (b"Content-Length: 3", b"abc", b"abc"),
        (b"Content-Length: 3\r\nContent-Length: 3", b"abc", b"abc"),
        (b"Content-Length: 4", b"abc", b""),
        (b"Transfer-Encoding: chunked", b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: x\r\n\r\n", b"abc"),
        (b"Transfer-Encoding: Chunked", b"0\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked", b"2\r\nabc\r\n0\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked", b"5\r\nabc", b""),
        (b"Transfer-Encoding: chunked", b"1\r\na\r\n0\r\nT: x\r\n", b""),
        (b"Transfer-Encoding: chunked", b"", b""),
    ],
)
def test_bodies(served: Served, headers: bytes, body: bytes, read: bytes) -> None:
    answer = exchange(served, b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert [message.body for message in served[1]] == [read]


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip", 501),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775808", 400),
        (b"POST path HTTP/1.1\r\nHost: x", 400),
        (b"POST / HTTP/1.1\r\nX: 1", 400),
        (b"GET /", 400),
    ],
)
def test_what_cannot_be_understood_ends_the_connection(
    served: Served, request_head: bytes, status: int
) -> None:
    next_one = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(served, request_head + b"\r\n\r\n" + next_one)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1 and served[1] == []
