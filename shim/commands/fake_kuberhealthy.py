"""A stand-in for Kuberhealthy on loopback, with the rules of the real v2 and v3 servers."""

from __future__ import annotations

import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from shim.kuberhealthy import PATHS, REPORT_RESERVE, Endpoint, Server

# For so long after the deadline v3 answers 410; then it has forgotten the run.
GONE_SECONDS = 2.0
LARGEST_BODY = 10 * 1024 * 1024


class Request(NamedTuple):
    """A request as it arrived, at `at` in unix time; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Reply(NamedTuple):
    """What the server answers, and the report it stored: (OK, Errors), or None."""

    status: int
    text: str = ""
    stored: tuple[bool, list[str]] | None = None


def reply_to(request: Request, endpoint: Endpoint, deadline: float, *, known: bool) -> Reply:
    """Return what the server of `endpoint` makes of a request.

    `known` tells that the run has not been reported yet, which v3 asks for.
    """
    v3 = endpoint.server is Server.V3
    run_uuid = request.headers.get("kh-run-uuid", "")
    expired = Reply(400, f"run uuid {run_uuid} is invalid or expired" if v3 else "")
    if request.path != PATHS[endpoint.server]:
        return Reply(405 if v3 else 400)
    if v3 and request.method != "POST":
        return Reply(405)
    if v3 and not request.headers.get("content-type", "").startswith("application/json"):
        return Reply(415)
    if run_uuid != endpoint.run_uuid or (v3 and not known):
        return expired
    if v3 and request.at >= deadline:
        return Reply(410) if request.at < deadline + GONE_SECONDS else expired
    try:
        ok, errors = parse_report(request.body)
    except ValueError as error:
        return Reply(400, str(error) if v3 else "")
    if ok and errors:
        return Reply(400, "OK with errors") if v3 else Reply(200, stored=(False, errors))
    if not ok and not errors:
        return Reply(400, "not OK without errors" if v3 else "")
    if not all(errors):
        return Reply(400, "a blank error" if v3 else "")
    return Reply(200, stored=(ok, errors))


def parse_report(body: bytes) -> tuple[bool, list[str]]:
    """Return OK and Errors of a report as Go would decode them; raises ValueError.

    Keys are matched without regard to case, unknown ones ignored, null is a blank.
    """
    decoded = json.loads(body)
    if not isinstance(decoded, dict):
        raise ValueError("not a JSON object")
    values = {key.lower(): value for key, value in decoded.items()}
    ok, errors = values.get("ok") or False, values.get("errors") or []
    if not isinstance(ok, bool) or not isinstance(errors, list):
        raise ValueError("OK is not a boolean, or Errors not a list")
    if not all(error is None or isinstance(error, str) for error in errors):
        raise ValueError("an error is not a string")
    return ok, [error or "" for error in errors]


class Receiver:
    """A server for one run, from entering the context to leaving it.

    `requests` holds every request with its reply, `stored` the report that counts.
    """

    def __init__(self, server: Server, timeout: float) -> None:
        # Computed when the pod is created, in whole seconds, as the controller does.
        self.deadline = int(time.time() + timeout)
        self.requests: list[tuple[Request, Reply]] = []
        self.stored: tuple[bool, list[str]] | None = None
        self.stored_at: float | None = None
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
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

        It polls for the report, and for the pod's end, too seldom to see a late one.
        """
        return (
            self.endpoint.server is Server.V2
            and self.stored_at is not None
            and self.stored_at > self.deadline - REPORT_RESERVE[Server.V2]
        )

    def handle(self, request: Request) -> Reply:
        """Answer `request`, and store the report if it is one."""
        with self._lock:
            reply = reply_to(request, self.endpoint, self.deadline, known=self.stored is None)
            self.requests.append((request, reply))
            if reply.stored is not None:
                self.stored, self.stored_at = reply.stored, request.at
            return reply

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = min(int(self.headers.get("Content-Length", 0)), LARGEST_BODY)
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(size)
                request = Request(self.command, self.path, headers, body, time.time())
                reply = receiver.handle(request)
                text = reply.text.encode()
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent: what arrives is shown by whoever asked for it."""

        return Handler
