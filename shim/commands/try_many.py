"""`khshim try` with several scripts: side by side, then a table, or a file for CI."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from shim import durations
from shim.commands.declared import plan
from shim.commands.output import NOT_WRITTEN, complain, put
from shim.commands.own_lines import Line
from shim.commands.sources import ManifestError
from shim.commands.terminal import Screen, Style
from shim.commands.trial import Runs, Trial
from shim.commands.verdict import unreported_words, warnings
from shim.kuberhealthy import Server

# Scripts that run at the same time: most of them wait for something, but each start of
# khshim takes a processor for a while, and the script's time has begun by then.
FOR_EACH_CPU = 4
MOST_AT_ONCE = 16
KEPT_OUTPUT = 16 * 1024
# What XML 1.0 has no way to write.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PROGRESS_INTERVAL = 0.5
# Characters of an error that are shown however narrow the terminal is.
LEAST_WORDS = 40


class Tried(NamedTuple):
    """One script and what came of it; `seconds` to the report, `output` the end of its own."""

    script: str
    ok: bool
    errors: list[str]
    seconds: float
    note: str
    output: str
    missing: Sequence[str] = ()


def try_many(
    commands: Sequence[Sequence[str]],
    server: Server | None,
    timeout: float | None,
    junit: str | None,
    *,
    as_json: bool,
) -> int:
    """Try each command; return 0 where all are OK, 1 where one is not."""
    tried = _try_all(commands, server, timeout)
    for sentence in [sentence for one in tried for sentence in one.missing]:
        complain(f"khshim try: note that {sentence}\n")
    status = 0 if all(one.ok for one in tried) else 1
    if junit is not None:
        try:
            with open(junit, "wb") as file:
                file.write(_junit(tried))
        except OSError as error:
            complain(f"khshim try: {junit} cannot be written: {error.strerror}\n")
            status = NOT_WRITTEN
    return put(_json(tried) if as_json else _table(tried), status)


def _try_all(
    commands: Sequence[Sequence[str]], server: Server | None, timeout: float | None
) -> list[Tried]:
    screen, began = Screen(os.environ), time.monotonic()
    with Runs() as runs, ThreadPoolExecutor(at_once()) as pool:
        futures = [pool.submit(_try_one, runs, command, server, timeout) for command in commands]
        left: set[Future[Tried]] = set(futures)
        while left:
            screen.live(_progress(futures, time.monotonic() - began))
            left = wait(left, PROGRESS_INTERVAL, FIRST_COMPLETED).not_done
        screen.erase()
        return [future.result() for future in futures]


def at_once() -> int:
    """Return how many scripts run at the same time."""
    return min(FOR_EACH_CPU * (os.cpu_count() or 1), MOST_AT_ONCE)


def _progress(futures: Sequence[Future[Tried]], elapsed: float) -> str:
    done = [future.result() for future in futures if future.done()]
    failed = sum(not one.ok for one in done)
    running = sum(future.running() for future in futures)
    return (
        f"{elapsed:.0f} s: {len(done)} of {len(futures)} done, {failed} not OK, {running} running"
    )


def _try_one(
    runs: Runs, command: Sequence[str], server: Server | None, timeout: float | None
) -> Tried:
    script = command[0] if command else os.environ.get("SHIM_SCRIPT", "")
    if runs.stopped_by is not None:
        return Tried(script, False, ["khshim try was stopped before it"], 0.0, "", "")
    try:
        trial, output = Trial(plan(command, server, timeout, os.environ)), bytearray()
    except ManifestError as error:
        return Tried(script, False, [str(error)], 0.0, "", "")

    def keep_the_end(fd: int, data: bytes, line: Line | None) -> None:
        if line is None:
            output.extend(data)
            del output[:-KEPT_OUTPUT]

    trial.run(runs, keep_the_end)
    receiver = trial.receiver
    errors = list(receiver.at_the_end()[1])
    seconds = (receiver.stored_at or time.time()) - trial.started_at
    text = output.decode("utf-8", "replace")
    note = next(iter(warnings(trial)), unreported_words(trial))
    return Tried(script, trial.ok, errors, seconds, note, text, trial.plan.missing)


def _table(tried: Sequence[Tried]) -> str:
    style = Style(1, os.environ)
    columns = shutil.get_terminal_size().columns if os.isatty(1) else None
    names = max(len("SCRIPT"), *(len(one.script) for one in tried))
    lines = [f"{'SCRIPT':{names}}  VERDICT  {'TIME':>8}  FIRST ERROR"]
    for one in tried:
        # Padded first: an escape sequence has no width.
        verdict = style("green" if one.ok else "red", f"{'OK' if one.ok else 'NOT OK':7}")
        words = one.errors[0] if one.errors else one.note
        if columns is not None:
            words = words[: max(columns - names - 21, LEAST_WORDS)]
        line = f"{one.script:{names}}  {verdict}  {durations.show(one.seconds):>8}  {words}"
        lines.append(line.rstrip())
    passed = sum(one.ok for one in tried)
    return "\n".join([*lines, f"{passed} of {len(tried)} OK", ""])


def _json(tried: Sequence[Tried]) -> str:
    found = [
        {"script": one.script, "ok": one.ok, "errors": one.errors, "seconds": round(one.seconds, 3)}
        for one in tried
    ]
    return f"{json.dumps(found)}\n"


def _junit(tried: Sequence[Tried]) -> bytes:
    """Return the results in the form that CI systems read: a testcase for each script."""
    suite = ElementTree.Element(
        "testsuite",
        name="khshim try",
        tests=str(len(tried)),
        failures=str(sum(not one.ok for one in tried)),
        errors="0",
        skipped="0",
        time=f"{sum(one.seconds for one in tried):.3f}",
    )
    for one in tried:
        case = ElementTree.SubElement(
            suite, "testcase", classname="khshim", name=_xml(one.script), time=f"{one.seconds:.3f}"
        )
        if not one.ok:
            failure = ElementTree.SubElement(case, "failure", message=_xml(one.errors[0]))
            failure.text = _xml("\n".join(one.errors))
        if one.output:
            ElementTree.SubElement(case, "system-out").text = _xml(one.output)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document


def _xml(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)
