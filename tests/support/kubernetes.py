"""A stand-in for the API server: it serves what a real one answered, filtered and in pages.

tests/cluster/test_bundled.py records the answers, `make test-cluster` with --record.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.support.manifests import ROOT

RECORDED = ROOT / "tests" / "recorded" / "kubernetes.json"
# The namespace of the recording.
NAMESPACE = "shop"
_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')

Item = dict[str, Any]


class Recording(NamedTuple):
    """The lists that a real server of a version had at a moment, by their paths."""

    version: str
    taken: float
    refusal: str
    answers: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps(self._asdict(), indent=1, ensure_ascii=False) + "\n"

    def now(self) -> Recording:
        """Return it with all times moved as if it were taken now."""
        moved = timedelta(seconds=time.time() - self.taken)

        def move(match: re.Match[str]) -> str:
            moment = datetime.fromisoformat(match[1]).replace(tzinfo=timezone.utc) + moved
            return f'"{moment:%Y-%m-%dT%H:%M:%S}{match[2] or ""}Z"'

        return Recording(**json.loads(_TIME.sub(move, self.to_json())))


def recorded() -> Recording:
    return Recording(**json.loads(RECORDED.read_text())).now()


class ApiServer:
    """What it answers, and what it was asked: paths, queries and headers.

    `change` gets each answer that is no refusal and returns the bytes to send in its place.
    """

    def __init__(self, recording: Recording) -> None:
        self.lists = recording.answers
        self.refusal = recording.refusal
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.status = 200
        self.largest_page = 10_000
        self.change: Callable[[Item], bytes] = lambda answer: json.dumps(answer).encode()
        self.url = ""

    def answer(self, target: str) -> tuple[int, bytes]:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        if self.status != 200:
            status = {"kind": "Status", "message": self.refusal, "code": self.status}
            return self.status, json.dumps(status).encode()
        if url.path not in self.lists:
            return 404, b'{"kind": "Status", "message": "the server could not find it"}'
        answer = dict(self.lists[url.path])
        items = [one for one in answer["items"] if _is_selected(one, query)]
        start = int(query.get("continue", 0))
        end = start + min(int(query["limit"]), self.largest_page)
        answer["items"] = items[start:end]
        if end < len(items):
            answer["metadata"] = {**answer["metadata"], "continue": str(end)}
        return 200, self.change(answer)


def _is_selected(item: Item, query: dict[str, str]) -> bool:
    labels = item["metadata"].get("labels", {})
    for requirement in filter(None, query.get("labelSelector", "").split(",")):
        key, operator, value = re.split(r"(!?=|$)", requirement.removeprefix("!"), maxsplit=1)
        has = labels.get(key) == value if operator else key in labels
        if has is (requirement.startswith("!") or operator == "!="):
            return False
    for requirement in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = requirement.partition("=")
        found: Any = item
        for key in path.split("."):
            found = found[key]
        if found != value:
            return False
    return True


@contextmanager
def api_server(recording: Recording, *, context: Any = None) -> Iterator[ApiServer]:
    """Yield an API server on loopback, with TLS by `context`."""
    api = ApiServer(recording)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.requests.append((url.path, dict(parse_qsl(url.query)), headers))
            status, body = api.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if status == 302:
                self.send_header("Location", f"{api.url}/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        scheme = "http" if context is None else "https"
        api.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        yield api
        server.shutdown()
        thread.join()
