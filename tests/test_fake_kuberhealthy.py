"""The stand-in's rules, as the real servers were measured.

The bodies were compared with Go's encoding/json and the requests with its net/http,
each by a program in Go.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shim.commands.fake_kuberhealthy import Receiver, Reply, Request, parse_report, reply_to
from shim.kuberhealthy import PATHS, Endpoint, Server

pytestmark = pytest.mark.whole_run

DEADLINE = 1000.0
V2 = Endpoint("http://kh/externalCheckStatus", "id")
V3 = Endpoint("http://kh/check", "id")
JSON = "application/json"
PASSED = b'{"OK": true, "Errors": []}'


def reply(
    endpoint: Endpoint,
    *,
    known: bool = True,
    uuid: str = "id",
    type: str = JSON,
    **changes: Any,
) -> Reply:
    path = endpoint.url.removeprefix("http://kh")
    headers = {"kh-run-uuid": uuid, "content-type": type}
    request = Request("POST", path, headers, PASSED, DEADLINE - 1)._replace(**changes)
    return reply_to(request, endpoint, DEADLINE, known=known)


@pytest.mark.parametrize(
    ("changes", "v2", "v3"),
    [
        ({}, 200, 200),
        ({"method": "PUT"}, 200, 405),
        ({"method": "GET"}, 200, 405),
        ({"type": "text/plain"}, 200, 415),
        ({"type": "application/json; charset=utf-8"}, 200, 200),
        ({"uuid": "other"}, 400, 400),
        ({"uuid": ""}, 400, 400),
        ({"path": "/other"}, 400, 405),
        ({"path": "/other", "body": b""}, 200, 405),
        ({"path": "/"}, 400, 405),
        ({"path": "/", "body": b"", "method": "GET"}, 200, 200),
        ({"path": "/x", "body": b"", "method": "GET"}, 200, 404),
        ({"path": "/metrics"}, 200, 200),
        ({"path": "/healthz"}, 400, 200),
        ({"path": "/json"}, 400, 400),
        ({"path": "/json", "body": b""}, 200, 200),
        ({"at": DEADLINE}, 200, 410),
        ({"at": DEADLINE + 1.9}, 200, 410),
        ({"at": DEADLINE + 2}, 200, 400),
        ({"known": False}, 200, 400),
    ],
)
def test_requests(changes: dict[str, Any], v2: int, v3: int) -> None:
    assert reply(V2, **changes).status == v2
    assert reply(V3, **changes).status == v3


@pytest.mark.parametrize(
    ("path", "v2", "v3"),
    [
        ("{}?x=1", 200, 200),
        ("{}?", 200, 200),
        ("{}/", 400, 405),
        ("/{}", 301, 307),
        ("/.{}?x=//", 301, 307),
        ("/x/..{}", 301, 307),
        ("/other/{}", 301, 307),
        ("http://kh{}?x", 200, 200),
        ("{}%20", 400, 405),
    ],
)
def test_paths(path: str, v2: int, v3: int) -> None:
    for endpoint, status in ((V2, v2), (V3, v3)):
        assert reply(endpoint, path=path.format(PATHS[endpoint.server])).status == status


def test_an_encoded_path() -> None:
    assert reply(V3, path="/%63heck").status == 200


def test_where_it_redirects_to() -> None:
    assert reply(V3, path="//check?a=//b").location == "/check?a=//b"
    assert reply(V3, path="/%e2%82%ac/./%0d").location == "/%E2%82%AC/%0D"


@pytest.mark.parametrize("path", ["/check", "/externalCheckStatus/", "/", "/metrics", "/healthz"])
def test_a_page_that_takes_no_report_has_a_body(path: str) -> None:
    """An acceptance has none: this tells the two apart."""
    for endpoint in (V2, V3):
        answer = reply(endpoint, path=path, body=b"", method="GET")
        assert bool(answer.text) is (answer.status in (200, 404))
        assert answer.stored is None
    assert reply(V2).text == reply(V3).text == ""


@pytest.mark.parametrize(
    "body",
    [
        PASSED,
        b'{"OK": true}',
        b'{"OK": true, "Errors": null}',
        b'{"OK": false, "Errors": ["a"]}',
        b'{"ok": false, "ERRORS": ["a"], "More": 1}',
        '{"o\u212a": true}'.encode(),  # Go folds the sign for kelvin, too
        b'{"OK": null, "Errors": ["a"]}',
        b'{"OK": true, "ok": null}',
        b'{"OK": false, "OK": true}',
        b'{"OK": false, "Errors": [" "]}',
        b' \t\r\n{"OK": true}\n',
        b'{"OK": true, "x": [1, -2.5e-3, {"y": [[], {}, ""]}, null, 1e999]}',
        b'{"OK": true, "x": %s}' % (b"9" * 6000),
        b'{"OK": true, "x": %s%s}' % (b"[" * 9999, b"]" * 9999),
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_a_report(body: bytes) -> None:
    assert reply(V2, body=body).status == 200
    assert reply(V3, body=body).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no",
        b"[]",
        b"null",
        b"{}",
        b'{"OK": 1}',
        b'{"OK": 0, "Errors": ["a"]}',
        b'{"OK": "", "Errors": ["a"]}',
        b'{"OK": [], "Errors": ["a"]}',
        b'{"OK": "true"}',
        b'{"OK": true, "Errors": ""}',
        b'{"OK": true, "Errors": 0}',
        b'{"OK": true, "Errors": {}}',
        b'{"OK": true, "Errors": false}',
        b'{"OK": false, "Errors": []}',
        b'{"OK": false, "Errors": [""]}',
        b'{"OK": false, "Errors": ["a", null]}',
        b'{"OK": false, "Errors": ["a", 1]}',
        b'{"OK": false, "Errors": ["a"], "Errors": null}',
        b"\xef\xbb\xbf" + PASSED,
        PASSED.decode().encode("utf-16"),
        PASSED.decode().encode("utf-16-le"),
        b'\xc2\xa0{"OK": true}',
        b'{"OK": true, "x": NaN}',
        b'{"OK": true, "x": -Infinity}',
        b'{"OK": true, "x": 01}',
        b'{"OK": true, "x": 1.}',
        b'{"OK": true,}',
        b'{"OK": true} {}',
        b'{"OK": true]',
        b'{"OK": true',
        b'{"OK" true}',
        b'{1: true, "OK": true}',
        b'{"OK": true, "x": [1 2]}',
        b'{"OK": false, "Errors": ["a\nb"]}',
        b'{"OK": false, "Errors": ["\\a"]}',
        b'{"OK": true, "x": %s%s}' % (b"[" * 10_000, b"]" * 10_000),
        b"[" * 200_000,
        b"{[" + b"[" * 200_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_is_none(body: bytes) -> None:
    answer = reply(V3, body=body)
    assert (answer.status, answer.text) == (400, "")
    assert answer.why
    assert reply(V2, body=body).status == 400


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (b"a\xffb", "a\ufffdb"),
        (b"\xe2\x82", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\\ud800", "\ufffd"),
        (b"\\ud800x\\udc00", "\ufffdx\ufffd"),
        (b"\\ud83d\\ude00", "\U0001f600"),
        (b"\\/\\u0000\x7f", "/\0\x7f"),
    ],
)
def test_what_is_stored(text: bytes, stored: str) -> None:
    body = b'{"OK": false, "Errors": ["%s"]}' % text
    assert parse_report(body) == (False, [stored])


def test_ok_with_errors() -> None:
    """v2 takes it for OK until the run's end."""
    body = b'{"OK": true, "Errors": ["a"]}'
    assert reply(V3, body=body).status == 400
    assert reply(V2, body=body).stored == (True, ["a"])


def test_v3_says_why() -> None:
    assert reply(V3, uuid="x").text == "run uuid x is invalid or expired"


# A run


def report(receiver: Receiver, at: float, body: bytes = PASSED) -> int:
    """Report at a moment in seconds after the deadline; return the status."""
    endpoint = receiver.endpoint
    headers = {"kh-run-uuid": endpoint.run_uuid, "content-type": JSON}
    path = PATHS[endpoint.server]
    return receiver.handle(Request("POST", path, headers, body, receiver.deadline + at)).status


@pytest.mark.parametrize(
    ("at", "overwritten"), [(-20, False), (-6, False), (-5.9, True), (-0.1, True), (3, False)]
)
def test_v2_overwrites_a_late_report(at: float, overwritten: bool) -> None:
    """One that comes after the deadline replaces the "timed out" itself."""
    with Receiver(Server.V2, 60) as receiver:
        assert report(receiver, at) == 200
        ok, errors = receiver.at_the_end()
    assert receiver.overwritten() is overwritten
    assert (ok, "timed out" in "".join(errors)) == (not overwritten, overwritten)


@pytest.mark.parametrize("server", Server)
def test_nothing_was_reported(server: Server) -> None:
    with Receiver(server, 60) as receiver:
        ok, [error] = receiver.at_the_end()
    assert not ok and "timed out" in error


def test_v3_keeps_nothing_that_is_late() -> None:
    with Receiver(Server.V3, 60) as receiver:
        assert report(receiver, 3) == 400
    assert receiver.stored is None
    ok, [error] = receiver.at_the_end()
    assert error == f"check run {receiver.endpoint.run_uuid} timed out"


def test_the_last_report_counts_on_v2_and_the_first_on_v3() -> None:
    second = b'{"OK": false, "Errors": ["b"]}'
    for server, status, stored in ((Server.V2, 200, (False, ["b"])), (Server.V3, 400, (True, []))):
        with Receiver(server, 60) as receiver:
            assert report(receiver, -30) == 200
            assert report(receiver, -29, second) == status
        assert receiver.stored == receiver.at_the_end() == stored


def test_ok_with_errors_in_the_end() -> None:
    with Receiver(Server.V2, 60) as receiver:
        report(receiver, -30, b'{"OK": true, "Errors": ["a"]}')
    assert receiver.stored == (True, ["a"])
    assert receiver.at_the_end() == (False, ["a"])


# On the wire


@pytest.fixture
def receivers() -> Iterator[dict[str, Receiver]]:
    with ExitStack() as stack:
        yield {
            server.value: stack.enter_context(Receiver(server, 60))
            for server in (Server.V2, Server.V3)
        }


Ask = Callable[..., tuple[int, bytes]]


@pytest.fixture
def ask(receivers: dict[str, Receiver]) -> Ask:
    """Send a request as it is, and return the status and the body of the answer."""

    def ask(
        server: str, head: str, body: bytes = b"", *, path: str = "", half: bool = False
    ) -> tuple[int, bytes]:
        receiver = receivers[server]
        port = int(receiver.endpoint.url.split(":")[2].split("/")[0])
        path = path or PATHS[receiver.endpoint.server]
        method, _, headers = head.partition("\n")
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: kh",
            f"kh-run-uuid: {receiver.endpoint.run_uuid}",
        ]
        lines += [f"Content-Type: {JSON}", *headers.splitlines(), "", ""]
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall("\r\n".join(lines).encode() + body)
            if half:
                connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return answer.status, answer.read()

    return ask


CHUNKS = b"5\r\n" + PASSED[:5] + b"\r\n15; x=1\r\n" + PASSED[5:] + b"\r\n0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        ("POST\nContent-Length: 26", PASSED, 200),
        ("POST\nContent-Length: 26\nContent-Length: 26", PASSED, 200),
        ("POST\nContent-Length: 26\nContent-Length: 25", PASSED, 400),
        ("POST\nContent-Length: x", PASSED, 400),
        ("POST\nContent-Length: -1", PASSED, 400),
        ("POST\nContent-Length: +26", PASSED, 400),
        ("POST\nContent-Length:", PASSED, 400),
        (f"POST\nContent-Length: {'9' * 5000}", PASSED, 400),
        ("POST\nContent-Length: 999999999999", PASSED, 400),
        ("POST", PASSED, 400),
        ("POST\nTransfer-Encoding: chunked", CHUNKS, 200),
        ("POST\nTransfer-Encoding: chunked\nContent-Length: 3", CHUNKS, 200),
        ("POST\nTransfer-Encoding: chunked", b"-5\r\n" + PASSED, 400),
        ("POST\nTransfer-Encoding: chunked", b"ffffff\r\n" + PASSED, 400),
        ("POST\nTransfer-Encoding: chunked", b"1a\r\n" + PASSED + b"xx0\r\n\r\n", 400),
        ("POST\nTransfer-Encoding: chunked", b"1a\r\n" + PASSED + b"\r\n0\r\n", 400),
        ("POST\nTransfer-Encoding: gzip", PASSED, 501),
    ],
)
@pytest.mark.parametrize("server", ["v2", "v3"])
def test_bodies(ask: Ask, server: str, head: str, body: bytes, status: int) -> None:
    assert ask(server, head, body, half=True)[0] == status


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "ODD"])
def test_methods(ask: Ask, method: str) -> None:
    head = f"{method}\nContent-Length: 26"
    assert ask("v2", head, PASSED) == (200, b"")
    assert ask("v3", head, PASSED) == (405, b"")


@pytest.mark.parametrize("server", ["v2", "v3"])
def test_a_body_over_10_mib(ask: Ask, receivers: dict[str, Receiver], server: str) -> None:
    body = json.dumps({"OK": False, "Errors": ["x" * 11 * 2**20]}).encode()
    assert ask(server, f"POST\nContent-Length: {len(body)}", body)[0] == 200
    assert receivers[server].stored == (False, ["x" * 11 * 2**20])


@pytest.mark.parametrize(
    "path", ["/%ff%00", "//%e2%82%ac", "/x%0d%0aA: b//", "http://[x", "*", "?"]
)
def test_no_path_ends_the_connection(ask: Ask, path: str) -> None:
    for server in ("v2", "v3"):
        assert ask(server, "POST\nContent-Length: 26", PASSED, path=path)[0] in (301, 307, 400, 405)


def test_of_two_uuids_the_first_counts(ask: Ask) -> None:
    assert ask("v3", "POST\nContent-Length: 26\nkh-run-uuid: other", PASSED)[0] == 200


def test_a_client_that_goes_away(
    receivers: dict[str, Receiver], ask: Ask, capfd: pytest.CaptureFixture[str]
) -> None:
    port = int(receivers["v3"].endpoint.url.split(":")[2].split("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(b"POST /check HTTP/1.1\r\nContent-Length: 5\r\n\r\n{")
    assert ask("v3", "POST\nContent-Length: 26", PASSED)[0] == 200
    assert capfd.readouterr().err == ""
