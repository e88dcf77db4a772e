"""SHIM_LOG_SCRIPT=json: the script's lines as JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.observe.script_log import ScriptLines
from shim.supervise.sink import Sink
from tests.support.khshim import Shim

Write = Callable[..., str]


def test_every_line_of_the_script_as_json(shim: Shim, script: Write) -> None:
    path = script(
        "#!/bin/sh\n"
        'echo plain; echo \'{"level": "error", "msg": "own", "stream": 7}\' >&2\n'
        "echo '{broken'; echo '{\"a\": NaN}'; echo '{\"a\": 1e999}'; printf 'last \\377'; exit 1\n"
    )
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json", "SHIM_CHECK_NAME": "web"})
    out = [json.loads(line) for line in run.stdout.splitlines()]
    assert [line["message"] for line in out] == [
        "plain",
        "{broken",
        '{"a": NaN}',
        '{"a": 1e999}',
        "last \ufffd",
    ]
    assert all(
        (line["stream"], line["level"], line["event"], line["check"])
        == ("stdout", "info", "script_output", "web")
        for line in out
    )
    [own] = [line for line in map(json.loads, run.stderr.splitlines()) if "msg" in line]
    assert (own["level"], own["msg"], own["stream"]) == ("error", "own", 7)
    # The report is made of the lines themselves.
    assert run.errors[0].startswith('{"level": "error"')


def test_all_lines_have_the_same_time_format_and_no_nulls(shim: Shim, script: Write) -> None:
    path = script("#!/bin/sh\necho plain; echo '{\"a\": 1}'; echo err >&2; exit 1\n")
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json", "KH_POD_NAMESPACE": "UNSET"})
    lines = [json.loads(line) for line in (run.stdout + run.stderr).splitlines()]
    assert len(lines) == 6
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert None not in line.values() and "check" not in line


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_any_bytes_become_lines_of_json(chunks: list[bytes]) -> None:
    reader, writer = os.pipe()
    try:
        lines = ScriptLines(Sink(writer), "stdout", {})
        for chunk in chunks:
            lines.write(chunk)
        lines.close()
        os.write(writer, b"end")
        written = os.read(reader, 1_000_000).split(b"\n")
    finally:
        os.close(reader)
        os.close(writer)
    assert written.pop() == b"end"
    data = b"".join(chunks)
    assert len(written) == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert all(isinstance(json.loads(line), dict) for line in written)


@pytest.mark.parametrize("command", ["yes ''", "yes '{'", "yes x | tr -d '\\n'"])
def test_a_flood_as_json_does_not_delay_the_report(
    make_shim: Callable[..., Shim], script: Write, command: str
) -> None:
    shim = make_shim(timeout=9)
    path = script(f"#!/bin/sh\n{command} >&2\n")
    run = shim.run(path, env={"SHIM_LOG_SCRIPT": "json"}, stderr=subprocess.DEVNULL)
    assert run.errors[0].startswith("Timed out")
    assert shim.receiver.stored_at is not None
    assert shim.receiver.stored_at < shim.receiver.deadline
