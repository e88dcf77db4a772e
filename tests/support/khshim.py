"""khshim as a child process, against a stand-in for Kuberhealthy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shim.commands.fake_kuberhealthy import Receiver, parse_report

KHSHIM = [sys.executable, "-m", "shim"]


MAX_BODY_SIZE = 16 * 1024


NO_CHANGES: Mapping[str, str] = {}


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
