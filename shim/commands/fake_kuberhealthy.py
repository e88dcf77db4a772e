"""A stand-in for Kuberhealthy on loopback, with the rules of the real v2 and v3 servers.

Measured against v2.7.1 and v3.0.13. It differs from them on purpose in two things: v2
looks for an unknown run for up to 120 s before it answers 400, and finds a run without
a uuid by the pod's address; here the answer is 400 at once.
"""

from __future__ import annotations

import json
import posixpath
import re
import threading
import time
import uuid
from typing import NamedTuple
from urllib.parse import quote, unquote

from shim.commands import go_json
from shim.commands.go_http import HttpServer, Message, Response
from shim.kuberhealthy import PATHS, Endpoint, Server

# For so long after the deadline v3 answers 410; then it has forgotten the run.
GONE_SECONDS = 2.0
# v2 overwrites what comes in the last seconds before the deadline: measured, of reports up
# to 1 s before it all, 5 to 6 s before it one of 14, and none that came earlier.
OVERWRITTEN_SECONDS = 6.0

# What the absolute form of a target has before the path (RFC 9112, 3.2.2).
AUTHORITY = re.compile(r"^[^/?]*://[^/?]*")

# What Kuberhealthy writes in place of a report that it did not see in time.
TIMED_OUT = {
    Server.V2: "timed out waiting for checker pod to report in",
    Server.V3: "check run {uuid} timed out",
}
# The status page: v2 has it at every other path, v3 at /json.
STATUS = {"OK": True, "Errors": [], "CheckDetails": {}}
STATUS_PAGE = {
    Server.V2: json.dumps({**STATUS, "JobDetails": {}, "CurrentMaster": "try"}, indent=2),
    Server.V3: json.dumps({**STATUS, "CurrentMaster": "", "Metadata": {}}, indent=2),
}


class Request(NamedTuple):
    """A request as it arrived, at `at` in unix time; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Reply(NamedTuple):
    """What the server answers, and the report it stored: (OK, Errors), or None.

    `why` is what the server does not answer and only its log would tell.
    """

    status: int
    text: str = ""
    stored: tuple[bool, list[str]] | None = None
    why: str = ""
    location: str = ""


def reply_to(request: Request, endpoint: Endpoint, deadline: float, *, known: bool) -> Reply:
    """Return what the server of `endpoint` makes of a request.

    `known` tells that the run has not been reported yet, which v3 asks for.
    """
    server = endpoint.server
    path, query = _path_of(request.path)
    clean = _clean(path)
    if clean != path:
        # http.ServeMux: another status from Go 1.26 on, which v3 is built with.
        status = 307 if server is Server.V3 else 301
        return Reply(status, location=quote(clean) + query, why="redirected")
    if path == "/metrics":
        return Reply(200, "kuberhealthy_running 1\n")
    if path != PATHS[server]:
        return _other_page(request, path, server)
    return (
        _v3(request, endpoint, deadline, known) if server is Server.V3 else _v2(request, endpoint)
    )


def _v2(request: Request, endpoint: Endpoint) -> Reply:
    if request.headers.get("kh-run-uuid") != endpoint.run_uuid:
        return Reply(400, why="an unknown run")
    try:
        ok, errors = parse_report(request.body)
    except ValueError as error:
        return Reply(400, why=str(error))
    if problem := _problem(ok, errors):
        return Reply(400, why=problem)
    return Reply(200, stored=(ok, errors))


def _v3(request: Request, endpoint: Endpoint, deadline: float, known: bool) -> Reply:
    if request.method != "POST":
        return Reply(405)
    if not request.headers.get("content-type", "").startswith("application/json"):
        return Reply(415)
    run_uuid = request.headers.get("kh-run-uuid", "")
    if not run_uuid:
        return Reply(400, why="no uuid of a run")
    if run_uuid != endpoint.run_uuid or not known or request.at >= deadline + GONE_SECONDS:
        return Reply(400, f"run uuid {run_uuid} is invalid or expired")
    if request.at >= deadline:
        return Reply(410, why="after the deadline")
    try:
        ok, errors = parse_report(request.body)
    except ValueError as error:
        return Reply(400, why=str(error))
    if ok and errors:
        return Reply(400, why="OK with errors")
    if problem := _problem(ok, errors):
        return Reply(400, why=problem)
    return Reply(200, stored=(ok, errors))


def _problem(ok: bool, errors: list[str]) -> str:
    """Return why neither server takes a report, "" where both may."""
    if ok:
        return ""
    return ("" if all(errors) else "a blank error") if errors else "not OK without errors"


def _other_page(request: Request, path: str, server: Server) -> Reply:
    """Return the answer of the pages that take no report."""
    if server is Server.V2 or path == "/json":
        # It refuses a report that was sent to the wrong address, by its body.
        if request.body:
            return Reply(400, why="no report is taken here")
        return Reply(200, STATUS_PAGE[server])
    if path == "/healthz":
        return Reply(200, "OK")
    if request.method != "GET":
        return Reply(405)
    return Reply(200, "<!doctype html>\n") if path == "/" else Reply(404, "404 page not found\n")


def _path_of(target: str) -> tuple[str, str]:
    """Return the decoded path of a request's target, and its query with the "?"."""
    path, mark, query = AUTHORITY.sub("", target).partition("?")
    return unquote(path), mark + query


def _clean(path: str) -> str:
    """Return the path that http.ServeMux redirects to: without "//", "." and ".."."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return clean + "/" if path.endswith("/") and clean != "/" else clean


def parse_report(body: bytes) -> tuple[bool, list[str]]:
    """Return OK and Errors of a report as Go would decode them; raises ValueError.

    Keys are matched without regard to case, unknown ones ignored, null changes nothing.
    """
    report = go_json.decode(body)
    if not isinstance(report, go_json.Object):
        raise ValueError("not a JSON object")
    ok, errors = False, list[str]()
    for name, value in report:
        if name.casefold() == "ok" and value is not None:
            if not isinstance(value, bool):
                raise ValueError("OK is not a boolean")
            ok = value
        elif name.casefold() == "errors":
            errors = _errors(value)
    return ok, errors


def _errors(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or isinstance(value, go_json.Object):
        raise ValueError("Errors is not a list")
    if not all(error is None or isinstance(error, str) for error in value):
        raise ValueError("an error is not a string")
    return [error or "" for error in value]


class Receiver:
    """A server for one run, from entering the context to leaving it.

    `requests` holds every request with its reply, `stored` the report that was stored last.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        # Computed when the pod is created, in whole seconds, as the controller does.
        self.deadline = int(time.time() + timeout)
        self.requests: list[tuple[Request, Reply]] = []
        self.stored: tuple[bool, list[str]] | None = None
        self.stored_at: float | None = None
        self._lock = threading.Lock()
        self._http = HttpServer(self._answer)
        port = self._http.server_address[1]
        url = f"http://127.0.0.1:{port}{PATHS[server]}"
        self.endpoint = Endpoint(url, str(uuid.uuid4()))

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def environment(self) -> dict[str, str]:
        """Return the variables that the controller injects into the check's pod."""
        return {
            "KH_REPORTING_URL": self.endpoint.url,
            "KH_RUN_UUID": self.endpoint.run_uuid,
            "KH_CHECK_RUN_DEADLINE": str(self.deadline),
            "KH_POD_NAMESPACE": "try",
        }

    def overwritten(self) -> bool:
        """Tell whether v2 overwrites the stored report with "timed out".

        It polls for the report, and then for the pod's end, too seldom to see a late one
        before the deadline. One that comes after the deadline replaces the "timed out".
        """
        return (
            self.endpoint.server is Server.V2
            and self.stored_at is not None
            and 0 < self.deadline - self.stored_at < OVERWRITTEN_SECONDS
        )

    def at_the_end(self) -> tuple[bool, list[str]]:
        """Return OK and Errors as Kuberhealthy shows them once the run is over."""
        if self.stored is None or self.overwritten():
            text = TIMED_OUT[self.endpoint.server]
            return False, [text.format(uuid=self.endpoint.run_uuid)]
        ok, errors = self.stored
        return ok and not errors, errors  # v2 has taken OK with errors, until now

    def handle(self, request: Request) -> Reply:
        """Answer `request`, and store the report if it is one."""
        with self._lock:
            reply = reply_to(request, self.endpoint, self.deadline, known=self.stored is None)
            self.requests.append((request, reply))
            if reply.stored is not None:
                self.stored, self.stored_at = reply.stored, request.at
            return reply

    def _answer(self, message: Message) -> Response:
        reply = self.handle(Request(*message, at=time.time()))
        headers = {"Location": reply.location} if reply.location else {}
        return Response(reply.status, reply.text, headers)
