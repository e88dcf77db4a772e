"""Delivery against servers that misbehave, each a real one on loopback."""

from __future__ import annotations

import resource
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from shim import exit_status, kuberhealthy
from shim.delivery import connect as connect_module
from shim.delivery import deliver as deliver_module
from shim.delivery.deliver import FIRST_CEILING, deliver, time_to_deliver
from shim.delivery.responses import LOOKUP_FAILED
from shim.delivery.result import Delivery, FailedAttempt, Result
from shim.delivery.sidecar import quit_sidecar
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.kuberhealthy import ANSWER_TIMEOUT, Endpoint
from shim.metrics_file import MetricsFile
from shim.observe.metrics import RunMetrics
from tests.support.khshim import Shim

pytestmark = pytest.mark.whole_run

Act = Callable[[socket.socket], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BODY = b'{"OK": true, "Errors": []}'


def answer(data: bytes) -> Act:
    return lambda connection: connection.sendall(data)


def status(code: int, text: str = "", *headers: str) -> Act:
    lines = [f"HTTP/1.1 {code} X", f"Content-Length: {len(text)}", *headers, "", text]
    return answer("\r\n".join(lines).encode())


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def hold(connection: socket.socket) -> None:
    """Answer nothing until the client has gone."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP)
    poll.poll(20_000)


def drip(data: bytes) -> Act:
    """Send a byte at a time, until the client has gone."""

    def act(connection: socket.socket) -> None:
        poll = select.poll()
        poll.register(connection, select.POLLRDHUP | select.POLLHUP)
        for position in range(len(data)):
            connection.sendall(data[position : position + 1])
            if poll.poll(50):
                return

    return act


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 418 X\r\nContent-Length: 100000000000\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65_536)


class Server(NamedTuple):
    url: str
    requests: list[bytes]
    times: list[float]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a server that acts once a connection, the last act for all further ones."""
    listeners: list[socket.socket] = []

    def start(
        *acts: Act, tls: ssl.SSLContext | None = None, family: int = socket.AF_INET
    ) -> Server:
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        listener = socket.create_server((host, 0), family=family)
        listeners.append(listener)
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        scheme = "https" if tls else "http"
        server = Server(f"{scheme}://{shown}:{listener.getsockname()[1]}/check", [], [])

        def work() -> None:
            for number in range(10_000):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                server.times.append(time.monotonic())
                try:
                    if tls is not None:
                        connection = tls.wrap_socket(connection, server_side=True)
                    with connection:
                        server.requests.append(read_request(connection))
                        acts[min(number, len(acts) - 1)](connection)
                except OSError:
                    pass

        threading.Thread(target=work, daemon=True).start()
        return server

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(BODY):
        received = connection.recv(65_536)
        if not received:
            break
        data += received
    return data


def send(
    url: str, seconds: float = 5.0, ca_file: str | None = None, *, late: bool = False
) -> Delivery:
    endpoint = Endpoint(url, "the-uuid", ca_file)
    limit = TimeLimit(time.monotonic() + seconds)
    return deliver(endpoint, BODY, limit, Worker(), print, late=late)


def test_accepted(serve: Callable[..., Server]) -> None:
    server = serve(answer(OK))
    assert send(server.url) == Delivery(Result.ACCEPTED, 1, 200, "The server accepted the report.")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == BODY
    assert b"kh-run-uuid: the-uuid" in head
    assert b"Content-Type: application/json" in head


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_transient_answers_are_retried(serve: Callable[..., Server], code: int) -> None:
    server = serve(status(code), status(code), answer(OK))
    result = send(server.url)
    assert (result.result, result.attempts) == (Result.ACCEPTED, 3)


def test_v3s_transient_400_is_retried(serve: Callable[..., Server]) -> None:
    server = serve(status(400, "failed to lookup healthcheck for uuid x: conflict\n"), answer(OK))
    assert send(server.url).result is Result.ACCEPTED


@pytest.mark.parametrize("code", [204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 413, 415])
def test_other_answers_are_final(serve: Callable[..., Server], code: int) -> None:
    server = serve(status(code, "", "Location: http://127.0.0.1:1/stolen"))
    result = send(server.url)
    assert (result.result, result.attempts, result.status) == (Result.REFUSED, 1, code)


def test_a_redirect_is_not_followed_but_named(serve: Callable[..., Server]) -> None:
    other = serve(answer(OK))
    server = serve(status(307, "", f"Location: {other.url}"))
    assert other.url in send(server.url).reason
    assert other.requests == []


def test_flapping(serve: Callable[..., Server]) -> None:
    server = serve(reset, status(503), answer(b""), answer(b"garbage\r\n\r\n"), answer(OK))
    result = send(server.url, 10)
    assert (result.result, result.attempts) == (Result.ACCEPTED, 5)


@pytest.mark.parametrize(
    "act", [answer(b""), reset, answer(b"HTTP/1."), status(504), status(502), status(503)]
)
def test_stored_but_the_answer_was_lost(serve: Callable[..., Server], act: Act) -> None:
    server = serve(act, status(400, "run uuid x is invalid or expired"))
    assert send(server.url).result is Result.ASSUMED


def test_a_400_after_an_attempt_that_never_arrived_is_a_refusal(
    serve: Callable[..., Server],
) -> None:
    server = serve(status(500), status(400, "run uuid x is invalid or expired"))
    assert send(server.url).result is Result.REFUSED


@pytest.mark.parametrize(
    "act", [hold, drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000)], ids=["silent", "drip"]
)
def test_no_attempt_outlives_its_time(serve: Callable[..., Server], act: Act) -> None:
    server = serve(act)
    started_at = time.monotonic()
    result = send(server.url, 0.5)
    assert result.result is Result.UNDELIVERED
    assert result.reason == "No answer in time."
    assert time.monotonic() - started_at < 5


def test_a_200_counts_even_if_its_body_never_comes(
    serve: Callable[..., Server],
) -> None:
    server = serve(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"))
    assert send(server.url).result is Result.ACCEPTED


def test_a_200_with_a_body_is_not_kuberhealthys(serve: Callable[..., Server]) -> None:
    result = send(serve(status(200, "<html>\0\xff")).url)
    assert (result.result, result.attempts, result.status) == (Result.REFUSED, 1, 200)
    assert "KH_REPORTING_URL" in result.reason


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (hold, "No answer within 0.3 s."),
        (answer(b""), "The connection was closed before the answer."),
        (reset, "The connection broke before the answer (Connection reset by peer)."),
        (
            answer(b"SSH-2.0-x \x1b[31m\r\n" + b"y" * 5000),
            "The answer is no HTTP (SSH-2.0-x [31m).",
        ),
        (answer(b"HTTP/1.1 " + b"y" * 70_000), "The answer is no HTTP (got more than 65536 bytes"),
        (answer(b"HTTP/1.1 2x0 OK\r\n\r\n"), "The answer is no HTTP (HTTP/1.1 2x0 OK)."),
        (
            answer(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
            "The connection broke before",
        ),
    ],
    ids=["silent", "closed", "reset", "other", "long", "status", "headers"],
)
def test_why_in_words_for_people(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, act: Act, reason: str
) -> None:
    monkeypatch.setitem(ANSWER_TIMEOUT, kuberhealthy.Server.V3, 0.3)
    result = send(serve(act).url, 0.6)
    assert result.reason.startswith(reason)
    assert len(result.reason) < 200 and result.reason.isprintable()


def test_an_endless_body_is_not_read(serve: Callable[..., Server]) -> None:
    result = send(serve(endless).url)
    assert (result.result, result.status) == (Result.REFUSED, 418)


def test_what_was_never_sent_is_not_taken_for_delivered(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name resolution that hangs: the 400 of the next attempt is a true refusal."""
    server = serve(status(400, "run uuid x is invalid or expired"))
    real, hung = socket.getaddrinfo, threading.Event()

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        if not hung.is_set():
            hung.set()
            threading.Event().wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(deliver_module, "CONNECT_TIMEOUT", -14.5)  # with 15 s for the answer: 0.5 s
    assert send(server.url).result is Result.REFUSED


def test_running_out_of_time_does_not_hide_the_reason(
    serve: Callable[..., Server],
) -> None:
    result = send(serve(status(503, "no healthy upstream"), hold).url, 1)
    assert result == Delivery(
        Result.UNDELIVERED, 2, 503, "The server answered 503: no healthy upstream."
    )


def test_an_error_whose_words_never_come(serve: Callable[..., Server]) -> None:
    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\n")
        hold(connection)

    result = send(serve(act).url, 1)
    assert (result.result, result.status) == (Result.REFUSED, 410)


def test_a_410_before_the_deadline_is_retried(serve: Callable[..., Server]) -> None:
    """v3 answers 410 until it has written when the run began."""
    server = serve(status(410), status(410), answer(OK))
    result = send(server.url)
    assert (result.result, result.attempts) == (Result.ACCEPTED, 3)


def test_a_410_after_the_deadline_is_final(serve: Callable[..., Server]) -> None:
    result = send(serve(status(410)).url, late=True)
    assert (result.result, result.attempts) == (Result.REFUSED, 1)


def test_v2s_400_is_retried(serve: Callable[..., Server]) -> None:
    """v2 answers an empty 400 at once when it cannot read its own state."""
    server = serve(status(400), answer(b""), status(400), answer(OK))
    url = server.url.replace("/check", "/externalCheckStatus")
    result = send(url)
    assert (result.result, result.attempts) == (Result.ACCEPTED, 4)


@pytest.mark.parametrize("acts", [[status(400)], [answer(b""), status(400)]])
def test_v2s_400_until_the_end(serve: Callable[..., Server], acts: list[Act]) -> None:
    """v2 takes a second report: had the first one arrived, there would be no 400."""
    url = serve(*acts).url.replace("/check", "/externalCheckStatus")
    result = send(url, 1.5)
    assert (result.result, result.status) == (Result.REFUSED, 400)
    assert result.attempts > 2


def test_v3s_410_until_the_end(serve: Callable[..., Server]) -> None:
    """v3 answers so while it knows the run's uuid, which a report would have cleared."""
    result = send(serve(answer(b""), status(410)).url, 1.5)
    assert (result.result, result.status) == (Result.REFUSED, 410)


@pytest.mark.parametrize("path", ["/", "/externalCheckStatus/", "/check/"])
def test_a_400_at_another_path_is_a_wrong_address(serve: Callable[..., Server], path: str) -> None:
    result = send(serve(status(400)).url.replace("/check", path))
    assert (result.result, result.attempts) == (Result.REFUSED, 1)
    assert "restartPolicy" not in result.reason
    assert "Its path is /check on v3 and /externalCheckStatus on v2." in result.reason


@pytest.mark.parametrize(
    ("server", "path"),
    [
        *(
            ("v2", path)
            for path in ("/check", "/externalCheckStatus/", "/", "/metrics", "/healthz")
        ),
        *(
            ("v3", path)
            for path in ("/externalCheckStatus", "/check/", "/", "/metrics", "/healthz")
        ),
        ("v2", "//externalCheckStatus"),
        ("v3", "//check"),
        ("v3", "/json"),
    ],
)
def test_a_wrong_address_is_named(make_shim: Callable[..., Shim], server: str, path: str) -> None:
    """Whatever the pages of the real servers answer there, khshim has not reported."""
    shim = make_shim(server, timeout=20)
    base = shim.receiver.endpoint.url.rpartition("/")[0]
    run = shim.run("/bin/true", env={"KH_REPORTING_URL": base + path})
    assert (run.exit_status, run.report) == (exit_status.REFUSED, None)
    message = run.event("report_refused")["message"]
    assert "Its path is" in message
    assert ("/externalCheckStatus" if server == "v2" else "/check") in message
    assert "restartPolicy" not in message


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue", b"HTTP/1.1 102 Processing", b"HTTP/1.1 103 Early Hints"]
)
def test_an_interim_answer_is_not_the_answer(serve: Callable[..., Server], interim: bytes) -> None:
    before = interim + b"\r\nLink: </x>\r\n\r\n"
    assert send(serve(answer(before + before + OK)).url).result is Result.ACCEPTED
    server = serve(answer(before + b"HTTP/1.1 400 X\r\nContent-Length: 1\r\n\r\nx"))
    assert send(server.url).status == 400


def test_a_tls_handshake_that_stalls_was_not_sent(
    serve: Callable[..., Server], tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the 400 of the next attempt is a true refusal."""
    expired = status(400, "run uuid x is invalid or expired")
    stalled = socket.create_server(("127.0.0.1", 0))
    good = serve(expired, tls=tls.good)
    ports = iter([stalled.getsockname()[1]])
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **kwargs: Any) -> Any:
        return real(host, next(ports, port), **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("shim.delivery.post.CONNECT_TIMEOUT", 0.3)
    with stalled:
        result = send(good.url, ca_file=tls.ca_file)
    assert (result.result, result.attempts) == (Result.REFUSED, 2)


def test_a_tls_error_after_the_request_may_have_been_delivered(
    serve: Callable[..., Server], tls: Tls
) -> None:
    def break_tls(connection: socket.socket) -> None:
        raw = socket.socket(fileno=socket.dup(connection.fileno()))
        with raw:
            raw.sendall(b"HTTP/1.1 500 This is no TLS record\r\n\r\n")

    expired = status(400, "run uuid x is invalid or expired")
    server = serve(break_tls, expired, tls=tls.good)
    assert send(server.url, ca_file=tls.ca_file).result is Result.ASSUMED


def test_an_abandoned_attempt_sends_nothing_any_more(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name resolution that comes back late must not lead to a second report."""
    second_connection = threading.Event()
    server = serve(answer(OK), lambda connection: second_connection.set())
    real, release, calls = socket.getaddrinfo, threading.Event(), []

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            release.wait(30)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(deliver_module, "CONNECT_TIMEOUT", -14.5)
    assert send(server.url).attempts == 2
    release.set()
    assert second_connection.wait(10)
    first, second = server.requests
    assert first.endswith(BODY)
    assert second == b""


def test_nobody_listens(serve: Callable[..., Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = send(f"http://127.0.0.1:{port}/check", 1)
    assert result.result is Result.UNDELIVERED
    assert "Connection refused" in result.reason
    assert result.attempts > 1


def test_a_server_that_comes_up_later() -> None:
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        attempts = threading.Event()

        def note(*_: object, **__: object) -> None:
            attempts.set()

        def come_up() -> None:
            attempts.wait()
            reserved.listen()
            connection, _ = reserved.accept()
            with connection:
                read_request(connection)
                connection.sendall(OK)

        threading.Thread(target=come_up, daemon=True).start()
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/check"
        result = deliver(Endpoint(url, "x"), BODY, TimeLimit(time.monotonic() + 10), Worker(), note)
    assert result.result is Result.ACCEPTED
    assert result.attempts > 1


def test_a_name_that_does_not_resolve() -> None:
    result = send("http://no-such-host.invalid/check", 1)
    assert result.result is Result.UNDELIVERED


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("1", 1.0, 4), ("99999999", 0, 0.9), ("soon", 0, 0.9), ("-5", 0, 0.9)],
)
def test_retry_after_is_honoured_where_it_makes_sense(
    serve: Callable[..., Server], value: str, least: float, most: float
) -> None:
    server = serve(status(429, "", f"Retry-After: {value}"), answer(OK))
    assert send(server.url).result is Result.ACCEPTED
    first, second = server.times
    assert least <= second - first < most


def test_proxies_are_ignored(serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(serve(answer(OK)).url).result is Result.ACCEPTED


def test_dead_addresses_do_not_use_up_the_time_of_a_live_one(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer(OK))
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    real = socket.getaddrinfo
    with ExitStack() as stack:
        # Nobody accepts here, and what is beyond the backlog gets no answer (listen(2)).
        dead = []
        for host in ("127.0.0.2", "127.0.0.3"):
            listener = stack.enter_context(socket.create_server((host, port), backlog=0))
            for _ in range(2):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((host, port))
            dead.append(listener.getsockname())

        def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
            live = real(host, *args, **kwargs)
            return [(*live[0][:4], address) for address in dead] + live

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        started_at = time.monotonic()
        assert send(server.url, 10).result is Result.ACCEPTED
        assert time.monotonic() - started_at < 3


def test_ipv6(serve: Callable[..., Server]) -> None:
    try:
        server = serve(answer(OK), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert send(server.url).result is Result.ACCEPTED


class Tls(NamedTuple):
    ca_file: str
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    past = datetime.now(timezone.utc) - timedelta(days=1)
    before = past - timedelta(days=30)
    contexts = []
    for certificate in (
        authority.issue_cert("127.0.0.1"),
        authority.issue_cert("other.example"),
        authority.issue_cert("127.0.0.1", not_before=before, not_after=past),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        contexts.append(context)
    return Tls(str(path), *contexts)


def test_tls_with_an_own_authority(serve: Callable[..., Server], tls: Tls) -> None:
    server = serve(answer(OK), tls=tls.good)
    assert send(server.url, ca_file=tls.ca_file).result is Result.ACCEPTED


def test_tls_with_the_authorities_of_the_system(
    serve: Callable[..., Server], tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first place that has any: in one image they are here, in another there."""
    (tmp_path / "empty.crt").touch()
    places = (str(tmp_path / "missing"), str(tmp_path / "empty.crt"), tls.ca_file)
    monkeypatch.setattr(connect_module, "AUTHORITIES", places)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    assert send(serve(answer(OK), tls=tls.good).url).result is Result.ACCEPTED
    # One that was named in the environment stands for all of them.
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
    assert send(serve(answer(OK), tls=tls.good).url, 0.5).result is Result.UNDELIVERED


def test_tls_with_an_unknown_authority(serve: Callable[..., Server], tls: Tls) -> None:
    result = send(serve(answer(OK), tls=tls.good).url, 1.5)
    assert result.result is Result.UNDELIVERED
    assert "TLS failed" in result.reason and "certificate" in result.reason


def test_tls_for_another_host(serve: Callable[..., Server], tls: Tls) -> None:
    result = send(serve(answer(OK), tls=tls.wrong_host).url, 1.5, tls.ca_file)
    assert result.result is Result.UNDELIVERED
    assert "doesn't match" in result.reason or "mismatch" in result.reason


def test_tls_expired(serve: Callable[..., Server], tls: Tls) -> None:
    result = send(serve(answer(OK), tls=tls.expired).url, 1.5, tls.ca_file)
    assert result.result is Result.UNDELIVERED
    assert "certificate has expired" in result.reason


def test_plain_http_on_an_https_port(serve: Callable[..., Server], tls: Tls) -> None:
    server = serve(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    result = send(server.url.replace("http:", "https:"), 0.5, tls.ca_file)
    assert result.result is Result.UNDELIVERED


@pytest.mark.parametrize(("deadline", "expected"), [(None, 130), (150, 150), (100, 105), (50, 105)])
def test_how_long_it_may_take(deadline: float | None, expected: float) -> None:
    assert time_to_deliver(deadline, 100) == expected


class Recording(TimeLimit):
    """Remembers the waits between attempts instead of waiting."""

    def __init__(self, until: float) -> None:
        super().__init__(until)
        self.waits: list[float] = []

    def wait(self, seconds: float, fd: int | None = None) -> None:
        if fd is None:
            self.waits.append(seconds)
        else:
            super().wait(seconds, fd)


def waits(seconds: float) -> list[float]:
    limit = Recording(time.monotonic() + seconds)
    endpoint = Endpoint("http://127.0.0.1:1/check", "x")
    deliver(endpoint, BODY, limit, Worker(), print)
    return limit.waits


def test_waits_are_spread() -> None:
    """Jitter: the first retries of many do not come together."""
    first_waits = [waits(0.7)[0] for _ in range(12)]
    assert max(first_waits) - min(first_waits) > 0.01
    assert min(first_waits) >= 0.125


def test_attempts_do_not_crowd_before_the_end(serve: Callable[..., Server]) -> None:
    server = serve(status(503))
    ends_at = time.monotonic() + 4
    result = send(server.url, 4)
    assert result.result is Result.UNDELIVERED
    assert 5 <= len(server.times) <= 12
    assert result.attempts - len(server.times) in (0, 1), "the last one may come to nothing"
    assert sum(at > ends_at - 0.6 for at in server.times) <= 5
    apart = [after - before for before, after in zip(server.times, server.times[1:])]
    assert min(apart) > FIRST_CEILING / 2 - 0.05


def test_a_delivery_of_little_time_has_a_second_attempt(serve: Callable[..., Server]) -> None:
    for _ in range(5):
        assert send(serve(status(503), answer(OK)).url, 0.45).result is Result.ACCEPTED


def test_an_attempt_without_descriptors_is_a_failed_attempt(
    serve: Callable[..., Server],
) -> None:
    server = serve(answer(OK))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    said: list[str] = []

    def note(attempt: FailedAttempt) -> None:
        said.append(attempt.reason)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    limit = TimeLimit(time.monotonic() + 10)
    worker = Worker()
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        result = deliver(Endpoint(server.url, "x"), BODY, limit, worker, note)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (result.result, result.attempts) == (Result.ACCEPTED, 2)
    assert "Too many open files" in said[0]


def test_a_key_log_that_is_the_scripts(
    serve: Callable[..., Server], tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    server = serve(answer(OK), tls=tls.good)
    assert send(server.url, ca_file=tls.ca_file).result is Result.ACCEPTED


def test_the_sidecar_and_the_pushgateway_get_the_same_tls(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the authorities of SHIM_CA_FILE, and without the script's key log."""
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_PUT = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = tls.good.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}"
        metrics = RunMetrics({"check": "web"}, MetricsFile())
        for ca_file, expected in ((None, "TLS failed"), (tls.ca_file, "None")):
            quit_limit, push_limit = (TimeLimit(time.monotonic() + 20) for _ in range(2))
            worker = Worker()
            assert expected in str(quit_sidecar(f"{url}/quit", ca_file, quit_limit, worker))
            assert expected in str(metrics.push(url, ca_file, push_limit, worker))
        server.shutdown()
    assert seen == ["/quit", "/metrics/job/khshim/check/web"]


def test_an_empty_file_of_authorities(serve: Callable[..., Server], tls: Tls) -> None:
    result = send(serve(answer(OK), tls=tls.good).url, 0.5, "/dev/null")
    assert result.result is Result.UNDELIVERED
    assert "TLS failed (/dev/null: " in result.reason


def test_words_that_come_in_pieces(serve: Callable[..., Server]) -> None:
    """The whole words tell v3's transient 400 from a final one."""

    def in_pieces(connection: socket.socket) -> None:
        text = LOOKUP_FAILED.encode()
        connection.sendall(b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n" % len(text))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for position in range(len(text)):
            connection.sendall(text[position : position + 1])
            threading.Event().wait(0.005)

    assert send(serve(in_pieces, answer(OK)).url).result is Result.ACCEPTED
