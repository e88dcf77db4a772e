"""Fixtures: a Kuberhealthy stand-in, and khshim run for real against it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

from shim.commands.fake_kuberhealthy import Receiver, parse_report
from shim.kuberhealthy import Server
from tests.go_parsers import GoParsers

# How long an example takes tells how busy the machine is; a test has its own time limit.
settings.register_profile("khshim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("khshim")

KHSHIM = [sys.executable, "-m", "shim"]
MAX_BODY_SIZE = 16 * 1024
NO_CHANGES: Mapping[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run khshim as a process: `make quick` leaves them out."""
    for item in items:
        if isinstance(item, pytest.Function) and "make_shim" in item.fixturenames:
            item.add_marker(pytest.mark.whole_run)


class Run(NamedTuple):
    """A finished run of khshim. `report` is what the server stored: (OK, Errors)."""

    exit_status: int
    stdout: bytes
    stderr: bytes
    report: tuple[bool, list[str]] | None

    @property
    def ok(self) -> bool:
        assert self.report is not None, self.stderr.decode()
        return self.report[0]

    @property
    def errors(self) -> list[str]:
        assert self.report is not None, self.stderr.decode()
        return self.report[1]

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines of khshim's own JSON log."""
        lines = self.stderr.split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b'{"timestamp"')]

    def event(self, name: str) -> dict[str, Any]:
        """The one log line of an event."""
        [line] = [line for line in self.log if line["event"] == name]
        return line


class Shim:
    """khshim as a child process, started against a receiver of its own.

    On leaving the test every request that arrived is checked against the rules of
    both servers, and exactly one report must have been accepted.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.environ = {**base_environ(), **receiver.environment()}

    def start(
        self,
        *args: str,
        env: Mapping[str, str] = NO_CHANGES,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start khshim; `prefix` is a command that runs it, an `env` value of UNSET unsets."""
        streams = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        environ = {**self.environ, **env}
        environ = {name: value for name, value in environ.items() if value != "UNSET"}
        return subprocess.Popen(
            [*prefix, *KHSHIM, "run", "--", *args],
            env=environ,
            **{**streams, **options},
        )

    def run(self, *args: str, **options: Any) -> Run:
        return self.finish(self.start(*args, **options))

    def finish(self, process: subprocess.Popen[bytes]) -> Run:
        stdout, stderr = process.communicate()
        self.check_requests()
        return Run(process.returncode, stdout or b"", stderr or b"", self.receiver.stored)

    def check_requests(self) -> None:
        for request, _ in self.receiver.requests:
            assert request.method == "POST"
            assert request.headers["content-type"] == "application/json"
            assert len(request.body) <= MAX_BODY_SIZE
            ok, errors = parse_report(request.body)
            assert ok is not bool(errors)
            assert all(error.strip() for error in errors)
        accepted = [reply for _, reply in self.receiver.requests if reply.status == 200]
        assert len(accepted) <= 1


def base_environ() -> dict[str, str]:
    """The environment of the tests without anything that khshim reads."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("KH_", "SHIM_"))}


@pytest.fixture
def make_shim() -> Iterator[Callable[..., Shim]]:
    """Make a Shim for a server ("v2" or "v3") and a timeout in seconds."""
    with ExitStack() as stack:

        def make(server: str = "v3", timeout: float = 60) -> Shim:
            return Shim(stack.enter_context(Receiver(Server(server), timeout)))

        yield make


@pytest.fixture
def shim(make_shim: Callable[..., Shim]) -> Shim:
    return make_shim()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Write an executable script and return its path."""

    def write(text: str | bytes, name: str = "check.sh", mode: int = 0o755) -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> GoParsers:
    return GoParsers(tmp_path_factory.mktemp("go"))


@pytest.fixture
def python_script(script: Callable[..., str]) -> Callable[[str], str]:
    """Write an executable script in Python and return its path."""

    def write(text: str) -> str:
        return script(f"#!{sys.executable}\n{text}", "check.py")

    return write


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is not a child of this one."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(fd):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(10_000), f"process {pid} is still there"
