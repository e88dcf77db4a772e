"""Ending a service mesh's sidecar."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shim.delivery.sidecar import quit_sidecar
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from tests.support.khshim import Shim
from tests.support.servers import raw_server


@pytest.fixture
def sidecar() -> Iterator[tuple[str, list[str]]]:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.path)
            self.send_response(500 if self.path == "/broken" else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def test_the_sidecar_is_told_to_quit_once(shim: Shim, sidecar: tuple[str, list[str]]) -> None:
    url, seen = sidecar
    assert shim.run("/bin/true", env={"SHIM_QUIT_URL": f"{url}/quitquitquit"}).ok
    assert seen == ["/quitquitquit"]


def test_a_sidecar_that_does_not_quit_changes_nothing(
    shim: Shim, sidecar: tuple[str, list[str]]
) -> None:
    run = shim.run("/bin/true", env={"SHIM_QUIT_URL": f"{sidecar[0]}/broken"})
    assert run.ok and run.exit_status == 0
    assert run.event("quit_failed")["message"] == "SHIM_QUIT_URL: it answered 500."


def test_a_sidecar_that_hangs_is_given_a_second(shim: Shim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started_at = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        run = shim.run("/bin/true", env={"SHIM_QUIT_URL": url})
    assert run.ok and run.exit_status == 0
    assert "quit_failed" in [line["event"] for line in run.log]
    assert time.monotonic() - started_at < 10


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 204 X\r\n\r\n", None),
        (b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", "it answered 302"),
        (b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", "it answered 404"),
        (b"", "the connection was closed before the answer"),
    ],
)
def test_how_it_answers(answer: bytes, problem: str | None) -> None:
    worker, limit = Worker(), TimeLimit(time.monotonic() + 20)
    with raw_server(answer) as port:
        assert quit_sidecar(f"http://127.0.0.1:{port}/quit", None, limit, worker) == problem
    worker.close()


def test_no_time_is_left_for_it() -> None:
    worker, limit = Worker(), TimeLimit(time.monotonic() + 0.1)
    with raw_server(b"", hang_up=False) as port:
        problem = quit_sidecar(f"http://127.0.0.1:{port}/quit", None, limit, worker)
    assert problem == "no answer in time"
    worker.close()


def test_no_descriptor_is_left_for_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    worker, limit = Worker(), TimeLimit(time.monotonic() + 20)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        problem = quit_sidecar("http://127.0.0.1:1/quit", None, limit, worker)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert problem is not None and "Too many open files" in problem
