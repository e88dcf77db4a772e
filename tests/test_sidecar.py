"""Ending a service mesh's sidecar."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.khshim import Shim


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
