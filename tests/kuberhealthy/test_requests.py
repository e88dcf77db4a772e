"""Requests that a report could be: the stand-in of `khshim try` answers them as the real servers do."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import PATHS, Server
from tests.kuberhealthy.cluster import Cluster

OK = b'{"OK": true, "Errors": []}'
FAILED = b'{"OK": false, "Errors": ["e"]}'
BEFORE = (False, ["nothing was stored"])


class Case(NamedTuple):
    """A request as it differs from a good one; `{}` in the path stands for the server's own.

    A header that is None is left out, and `framing` stands in for Content-Length.
    """

    body: bytes = OK
    method: str = "POST"
    path: str = "{}"
    headers: Mapping[str, str | None] = {}
    framing: str = "Content-Length: {size}"
    version: str = "HTTP/1.1"

    def request(self, server: Server, run_uuid: str) -> bytes:
        headers: dict[str, str | None] = {
            "Host": "kuberhealthy",
            "Content-Type": "application/json",
            "kh-run-uuid": run_uuid,
            "Connection": "close",
        }
        headers |= self.headers
        lines = [f"{self.method} {self.path.format(PATHS[server])} {self.version}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        lines += [self.framing.format(size=len(self.body)), "", ""]
        return "\r\n".join(lines).encode() + self.body


def body(text: str) -> Case:
    return Case(text.encode())


def ok(value: str) -> Case:
    return body(f'{{"OK": {value}, "Errors": ["e"]}}')


def errors(value: str) -> Case:
    return body(f'{{"OK": false, "Errors": {value}}}')


def nested(depth: int) -> Case:
    return body(f'{{"x": {"[" * depth}{"]" * depth}, "OK": true}}')


CASES = {
    # The good ones.
    "ok": Case(),
    "failed": Case(FAILED),
    "no errors": body('{"OK": true}'),
    "errors null": body('{"OK": true, "Errors": null}'),
    "other case": body('{"oK": false, "ERRORS": ["e"]}'),
    "more keys": body('{"OK": true, "More": {"a": [1, {}]}}'),
    "twice the same key": body('{"OK": true, "OK": false, "Errors": ["a"], "errors": ["b"]}'),
    "white space": body(' \r\n\t{ "OK" : true } \n'),
    "escapes": errors(r'["\u00e9\ud83d\udc4d\n\t\"\\\/\b\u0000"]'),
    "letters that fold to ASCII": body('{"O\u212a": true, "Error\u017f": []}'),
    # What is no report.
    "nothing": Case(b""),
    "no json": body("no"),
    "a list": body("[]"),
    "a string": body('"OK"'),
    "null": body("null"),
    "empty object": body("{}"),
    "cut": Case(OK[:-1]),
    "more behind": Case(OK + b" x"),
    "two": Case(OK + OK),
    "single quotes": body("{'OK': true}"),
    "a comma too many": body('{"OK": true,}'),
    "byte order mark": Case(b"\xef\xbb\xbf" + OK),
    "utf-16": Case(OK.decode().encode("utf-16")),
    "a control character": errors('["a\tb"]'),
    "nan": body('{"OK": true, "x": NaN}'),
    "infinity": body('{"OK": true, "x": Infinity}'),
    "leading zero": body('{"OK": true, "x": 01}'),
    "a long number": body('{"OK": true, "x": ' + "9" * 5000 + "}"),
    "2,000 brackets": nested(2000),
    "9,990 brackets": nested(9990),
    "11,000 brackets": nested(11_000),
    # Types.
    "OK 1": ok("1"),
    "OK 0": ok("0"),
    "OK true as text": ok('"true"'),
    "OK empty text": ok('""'),
    "OK list": ok("[]"),
    "OK null": ok("null"),
    "errors text": errors('"e"'),
    "errors empty text": errors('""'),
    "errors 0": errors("0"),
    "errors false": errors("false"),
    "errors object": errors("{}"),
    "errors of a number": errors('["a", 1]'),
    "errors of null": errors("[null]"),
    "errors of a list": errors('[["a"]]'),
    # What the two must fit together.
    "failed without errors": errors("[]"),
    "failed with errors null": errors("null"),
    "a blank error": errors('["a", ""]'),
    "an error of a blank": errors('[" "]'),
    "ok with errors": ok("true"),
    "ok with a blank error": body('{"OK": true, "Errors": [""]}'),
    # Text.
    "invalid utf-8": Case(b'{"OK": false, "Errors": ["a\xff\xc3(\xed\xa0\x80\xe2\x82"]}'),
    "invalid utf-8 in a key": Case(b'{"OK": true, "\xff": 1}'),
    "lone surrogates": errors(r'["a\ud800b\udc00c\ud800\u0041"]'),
    "a wrong escape": errors(r'["\x41"]'),
    "half an escape": errors(r'["\u12"]'),
    "1 MiB": errors(json.dumps(["x" * 1024 * 1024])),
    "11 MiB": errors(json.dumps(["x" * 11 * 1024 * 1024])),
    # The request line.
    "GET": Case(method="GET"),
    "HEAD": Case(method="HEAD"),
    "PUT": Case(method="PUT"),
    "PATCH": Case(method="PATCH"),
    "DELETE": Case(method="DELETE"),
    "OPTIONS": Case(method="OPTIONS"),
    "other method": Case(method="REPORT"),
    "lower-case method": Case(method="post"),
    "a query": Case(path="{}?x=1"),
    "an empty query": Case(path="{}?"),
    "a fragment": Case(path="{}#x"),
    "a trailing slash": Case(path="{}/"),
    "two slashes": Case(path="/{}"),
    "a dot": Case(path="/.{}"),
    "an escaped letter": Case(path="/%63heck"),
    "the root": Case(path="/"),
    "the root, empty body": Case(b"", path="/"),
    "other path": Case(path="/other"),
    "other path, empty body": Case(b"", path="/other"),
    "the other server's path": Case(path="/check-externalCheckStatus"),
    "metrics": Case(path="/metrics"),
    "healthz": Case(path="/healthz"),
    "json": Case(path="/json"),
    "an absolute address": Case(path="http://kuberhealthy{}"),
    "HTTP/1.0": Case(version="HTTP/1.0"),
    "HTTP/2.0": Case(version="HTTP/2.0"),
    # Headers.
    "no content type": Case(headers={"Content-Type": None}),
    "text": Case(headers={"Content-Type": "text/plain"}),
    "a charset": Case(headers={"Content-Type": "application/json; charset=utf-8"}),
    "other json": Case(headers={"Content-Type": "application/json-patch+json"}),
    "JSON": Case(headers={"Content-Type": "Application/JSON"}),
    "a blank before the type": Case(headers={"Content-Type": "  application/json"}),
    "other case of a header": Case(
        headers={"CONTENT-TYPE": "application/json", "Content-Type": None}
    ),
    "no host": Case(headers={"Host": None}),
    "gzip": Case(headers={"Content-Encoding": "gzip"}),
    "expects 100": Case(headers={"Expect": "100-continue"}),
    "a long header": Case(headers={"X": "x" * 60_000}),
    "two uuids": Case(framing="kh-run-uuid: x\r\nContent-Length: {size}"),
    # How long the body is.
    "chunked": Case(b"1a\r\n" + OK + b"\r\n0\r\n\r\n", framing="Transfer-Encoding: chunked"),
    "chunked wrongly": Case(b"zz\r\n" + OK, framing="Transfer-Encoding: chunked"),
    "unknown encoding": Case(framing="Transfer-Encoding: x"),
    "no length": Case(framing="X: x"),
    "length x": Case(framing="Content-Length: x"),
    "length -1": Case(framing="Content-Length: -1"),
    "too short a length": Case(framing="Content-Length: 5"),
    "two lengths": Case(framing="Content-Length: 26\r\nContent-Length: 27"),
    "no request": Case(method="\x16\x03", path="\x01", version="x"),
}


class Answer(NamedTuple):
    """The status of an answer, 0 where there was none, and the report that was stored."""

    status: int
    stored: tuple[bool, list[str]] | None


def send(address: tuple[str, int], request: bytes) -> int:
    """Send a request and return the status of the answer to it, 0 where there is none."""
    answer = b""
    with socket.create_connection(address, timeout=20) as connection:
        try:
            connection.sendall(request)
        except ConnectionError:
            pass  # it may have answered before it has read all
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionError:
            pass
    for line in answer.split(b"\r\n"):
        if line.startswith(b"HTTP/1.") and b" 100 " not in line:
            return int(line.split()[1])
    return 0


def ask_real(cluster: Cluster, case: Case) -> Answer:
    environ = cluster.new_run("requests", known=BEFORE)
    host, _, port = cluster.address.partition(":")
    status = send((host, int(port)), case.request(cluster.server, environ["KH_RUN_UUID"]))
    stored = cluster.state("requests").report
    return Answer(status, None if stored == BEFORE else stored)


def ask_stand_in(server: Server, case: Case) -> Answer:
    with Receiver(server, timeout=60) as receiver:
        address = (receiver.endpoint.host, receiver.endpoint.port)
        status = send(address, case.request(server, receiver.endpoint.run_uuid))
        return Answer(status, receiver.stored)


@pytest.mark.case("requests that the stand-in of `khshim try` answers alike")
@pytest.mark.parametrize("name", CASES)
def test_the_stand_in_answers_as_the_real_server(cluster: Cluster, name: str) -> None:
    assert ask_stand_in(cluster.server, CASES[name]) == ask_real(cluster, CASES[name])


@pytest.mark.case("a second report")
def test_a_second_report(cluster: Cluster) -> None:
    """v3 has forgotten the run by then; v2 takes it, and the last one counts."""
    second = 400 if cluster.server is Server.V3 else 200
    environ = cluster.new_run("requests")
    assert [cluster.post(environ, body)[0] for body in (OK, FAILED)] == [200, second]
    assert cluster.state("requests").ok is (cluster.server is Server.V3)
    with Receiver(cluster.server, timeout=60) as receiver:
        environ = receiver.environment()
        assert [cluster.post(environ, body)[0] for body in (OK, FAILED)] == [200, second]


def test_an_accepted_report_has_an_empty_answer(cluster: Cluster) -> None:
    assert cluster.post(cluster.new_run("requests"), OK) == (200, b"")


@pytest.mark.only(Server.V3)
@pytest.mark.parametrize("uuid", ["", " ", None])
def test_a_report_without_a_uuid(cluster: Cluster, uuid: str | None) -> None:
    """v3 refuses it at once; v2 looks for the pod by its address."""
    case = Case(headers={"kh-run-uuid": uuid})
    assert ask_real(cluster, case) == ask_stand_in(cluster.server, case) == Answer(400, None)


@pytest.mark.only(Server.V3)
@pytest.mark.case("a report at the deadline, and before v3 has written when the run began")
@pytest.mark.parametrize("last_run", [0, "1000h ago"])
def test_a_report_at_a_wrong_time(cluster: Cluster, last_run: int | str) -> None:
    began = time.time() - 1000 * 3600 if last_run else 0
    environ = cluster.new_run("requests", last_run=began, known=BEFORE)
    assert cluster.post(environ, OK)[0] == 410
    assert cluster.state("requests").report == BEFORE
    with Receiver(cluster.server, timeout=0) as receiver:
        assert cluster.post(receiver.environment(), OK)[0] == 410
        assert receiver.stored is None
