"""One request, of which it is known how far it came."""

from __future__ import annotations

import socket

import pytest

from shim.delivery.post import Answer, Attempt, Lost, Request, one_line, perform
from tests.support.servers import closed_port, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def post(url: str, timeout: float = 5.0) -> Answer | Lost:
    attempt = Attempt()
    perform(Request("POST", url, {"X": "y"}, b"{}", timeout), attempt)
    return attempt.outcome


def test_an_answer_with_all_that_matters() -> None:
    words = b"slow down\r\n\tplease"
    headers = b"Retry-After: 3\r\nLocation: /a\x07b\r\nDate: now\r\nContent-Length: %d" % len(words)
    with raw_server(b"HTTP/1.1 429 X\r\n" + headers + b"\r\n\r\n" + words) as port:
        answer = post(f"http://127.0.0.1:{port}/check")
    assert answer == Answer(429, "3", "/a b", "slow down please", "now")


def test_what_was_not_sent() -> None:
    lost = post(f"http://127.0.0.1:{closed_port()}/check")
    assert lost == Lost("no connection (Connection refused)", sent=False)
    lost = post("http://no-such-host.invalid/check")
    assert isinstance(lost, Lost) and not lost.sent and "does not resolve" in lost.reason


@pytest.mark.parametrize("url", ["http://[::1", "http://a:x/"])
def test_a_url_that_cannot_be_understood(url: str) -> None:
    lost = post(url)
    assert isinstance(lost, Lost) and not lost.sent
    assert lost.reason.startswith("the URL cannot be understood")


def test_what_was_sent_may_have_arrived() -> None:
    with raw_server(b"") as port:
        lost = post(f"http://127.0.0.1:{port}/check")
    assert lost == Lost("the connection was closed before the answer", sent=True)
    with raw_server(b"", hang_up=False) as port:
        lost = post(f"http://127.0.0.1:{port}/check", 0.1)
    assert lost == Lost("no answer within 0.1 s", sent=True)


def test_an_attempt_that_was_abandoned_sends_nothing() -> None:
    attempt = Attempt()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/check"
        before = attempt.abandon()
        perform(Request("POST", url, {}, b"{}", 5.0), attempt)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(10) == b""
    assert before == Lost("the attempt could not begin", sent=False)
    assert isinstance(attempt.outcome, Lost) and not attempt.outcome.sent


def test_what_may_be_sent_counts_as_sent() -> None:
    attempt = Attempt()
    assert attempt.may_send()
    assert attempt.abandon() == Lost("no answer in time", sent=True)
    assert not attempt.may_send()


@pytest.mark.parametrize(
    ("text", "longest", "line"),
    [
        (" a\r\n\tb\x1b[1m\u202e ", 200, "a b [1m"),
        ("abcd", 4, "abcd"),
        ("abcde", 4, "abc…"),
        ("\0", 4, ""),
    ],
)
def test_one_printable_line(text: str, longest: int, line: str) -> None:
    assert one_line(text, longest) == line
