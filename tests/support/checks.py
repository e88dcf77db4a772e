"""Real runs of khshim that push their metrics: one check for each thing that an alert is for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from tests.support.khshim import NO_CHANGES, Shim


class Check(NamedTuple):
    """A check: the text of its script, its settings, and its time; `alerts` are to fire for it.

    `server_is_busy` makes the server answer 503 to the first attempt to report. With `others`,
    scripts by their names, it is a folder of all of them.
    """

    alerts: set[str]
    script: str
    env: Mapping[str, str] = NO_CHANGES
    timeout: float = 60
    server_is_busy: bool = False
    others: Mapping[str, str] = NO_CHANGES


RETRIED = {"SHIM_ATTEMPTS": "2", "SHIM_ATTEMPT_DELAY": "0s"}
FAILS_FIRST = "[ -e $0.again ] && rm $0.again && exit 0; > $0.again; echo 'no route' >&2; exit 1"

CHECKS = {
    "healthy": Check(set(), "exit 0"),
    "a.b (c)|d+": Check(set(), "exit 0"),
    "failing": Check({"CheckFails"}, "echo 'row 17 is missing' >&2; exit 1"),
    "hanging": Check({"CheckFails", "CheckRunsOutOfTime"}, "exec sleep 1000", timeout=4),
    "slow": Check({"CheckRunsOutOfTime"}, "exec sleep 4.3", {"SHIM_TIMEOUT": "5s"}),
    "not-there": Check({"CheckFails"}, "", {"SHIM_SCRIPT": "/no/such/script"}),
    "misconfigured": Check({"CheckFails"}, "exit 0", {"SHIM_GRACE_PERIOD": "x"}),
    "too-late": Check({"CheckFails"}, "exit 0", {"KH_CHECK_RUN_DEADLINE": "1700000000"}),
    "hardly-reported": Check({"CheckReportsWithDifficulty"}, "exit 0", server_is_busy=True),
    "flaky": Check({"CheckIsFlaky"}, FAILS_FIRST, RETRIED),
    "retried-in-vain": Check({"CheckFails"}, "echo no >&2; exit 1", RETRIED),
    "folder": Check({"CheckFails"}, "exit 0", others={"orders.sh": "echo no >&2; exit 1"}),
    "warning": Check({"CheckWarns"}, "echo 'disk 91 %' >&2; exit 1", {"SHIM_WARN_EXIT_CODES": "1"}),
}


def run_check(name: str, check: Check, gateway: str, folder: Path) -> None:
    """Run a check once, from the start of its pod to the push of its metrics."""
    path = written(folder / name.encode().hex(), check.script, check.others)
    settings = {
        "SHIM_SCRIPT": str(path),
        "SHIM_PUSHGATEWAY_URL": gateway,
        "SHIM_CHECK_NAME": name,
        "SHIM_LOG_LEVEL": "debug",
        **check.env,
    }
    with ExitStack() as stack:
        if check.server_is_busy:
            environ = stack.enter_context(busy_server())
            settings.update(environ)
        receiver = stack.enter_context(Receiver(Server.V3, check.timeout))
        process = Shim(receiver).start(env=settings)
        _, stderr = process.communicate()
    assert b'"metrics_pushed"' in stderr, stderr.decode()


def written(folder: Path, script: str, others: Mapping[str, str]) -> Path:
    """Write scripts into a folder; return what SHIM_SCRIPT is to be: the one, or the folder."""
    folder.mkdir(exist_ok=True)
    for name, text in {"check.sh": script, **others}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder if others else folder / "check.sh"


@contextmanager
def busy_server() -> Iterator[dict[str, str]]:
    """Yield the variables for a server that answers 503 first, and then takes the report."""
    answers = iter([503])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(next(answers, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield {"KH_REPORTING_URL": f"http://127.0.0.1:{server.server_address[1]}/check"}
        server.shutdown()


def side_by_side(calls: list[Callable[[], None]], at_once: int = 4) -> None:
    """Make calls in threads, and raise what one of them raised."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(call) for call in calls]:
            future.result()
