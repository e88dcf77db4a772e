"""khshim's own stdout and stderr."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.khshim import base_environ

CODE = """
import os
from shim.observe.events import SignalForwarded
from shim.observe.outputs import Outputs
from shim.settings import Settings
outputs = Outputs(Settings(os.environ))
outputs.for_stdout.write(b"out\\nand more")
outputs.for_stderr.write(b"err\\n")
outputs.log(SignalForwarded(signal="SIGHUP", sent=None))
outputs.script_has_ended()
outputs.drain()
"""


def run(**env: str) -> tuple[bytes, bytes]:
    result = subprocess.run(
        [sys.executable, "-c", CODE], env={**base_environ(), **env}, capture_output=True, check=True
    )
    return result.stdout, result.stderr


def test_the_scripts_bytes_are_passed_on_as_they_are() -> None:
    stdout, stderr = run(SHIM_CHECK_NAME="web")
    assert stdout == b"out\nand more"
    script, log, rest = stderr.split(b"\n")
    assert (script, rest) == (b"err", b"")
    line = json.loads(log)
    assert (line["event"], line["check"]) == ("signal_forwarded", "web")
    assert "namespace" not in line


def test_the_scripts_lines_become_json() -> None:
    stdout, stderr = run(SHIM_LOG_SCRIPT="json", KH_RUN_UUID="u", KH_POD_NAMESPACE="n")
    out = [json.loads(line) for line in stdout.splitlines()]
    assert [(line["stream"], line["message"]) for line in out] == [
        ("stdout", "out"),
        ("stdout", "and more"),
    ]
    script, log = [json.loads(line) for line in stderr.splitlines()]
    assert (script["stream"], script["message"]) == ("stderr", "err")
    for line in (*out, script, log):
        assert (line["run_uuid"], line["namespace"]) == ("u", "n")
