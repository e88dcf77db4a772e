"""From the outcome of a run to the report that Kuberhealthy gets."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from shim import signals
from shim.durations import show
from shim.kuberhealthy import Server
from shim.report.clean import clean
from shim.supervise.capture import Captured
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

MAX_LINES = 64
MAX_LINE_LENGTH = 1000  # characters
MAX_BODY_SIZE = 16 * 1024  # bytes of JSON
CUT = "…"
NO_MESSAGE = "The check failed without saying why."


class Report(NamedTuple):
    """What Kuberhealthy stores: passing with no errors, or failing with at least one."""

    ok: bool
    errors: list[str]

    def body(self) -> bytes:
        """Return the report as JSON in UTF-8."""
        return json.dumps({"OK": self.ok, "Errors": self.errors}, ensure_ascii=False).encode()


PASSED = Report(True, [])
NOTHING_CAPTURED = Captured([])


class Editor:
    """Makes a line of output fit to be shown on a server's status page.

    `mask` takes the secrets out of a cleaned line, before it is cut: half of one
    would not be found any more.
    """

    def __init__(self, server: Server, mask: Callable[[str], str]) -> None:
        self._server = server
        self._mask = mask

    def line(self, text: str) -> str:
        """Return a cleaned line masked, escaped, and cut at its end."""
        return _cut(self._edit(text))

    def end_of_line(self, text: str) -> str:
        """Return the same of a line whose beginning is missing, cut there."""
        return _cut_beginning(self._edit(text))

    def _edit(self, text: str) -> str:
        text = self._mask(text)
        if self._server is Server.V2:
            text = text.replace('"', "'")  # a khjob's labels do not even escape quotes
        # The server puts errors into Prometheus labels without escaping backslashes.
        return text.replace("\\", "\\\\")


def failure(
    sentences: Sequence[str], editor: Editor, output: Captured = NOTHING_CAPTURED
) -> Report:
    """Return a failing report: a few sentences first, then the lines of `output`.

    Whatever goes in, what comes out is within the limits above and accepted by
    both servers: sentences and lines are edited alike, blank ones are left out,
    and where nothing remains a generic error stands in.
    """
    said = _readable(sentence.encode("utf-8", "replace") for sentence in sentences)
    first = [editor.line(text) for text in said]
    head, gap, tail = _ends(output, editor)
    if not first and not head and not tail:
        first = [NO_MESSAGE]
    if output.one_line_of:
        marker = [
            f"{CUT} the middle of this line of {output.one_line_of:,} bytes"
            f" is left out; the pod's log has it all {CUT}"
        ]
    else:
        marker = [_lines_left_out(gap)] if gap else []
    errors = [*first, *head, *marker, *tail]
    if len(errors) <= MAX_LINES and len(Report(False, errors).body()) <= MAX_BODY_SIZE:
        return Report(False, errors)
    return Report(False, [*first, *_shortened(head, gap, tail, taken=first)])


def _readable(lines: Iterable[bytes]) -> list[str]:
    return [text for text in map(clean, filter(bytes.strip, lines)) if text]


def _ends(output: Captured, editor: Editor) -> tuple[list[str], int, list[str]]:
    """Return the edited lines of both ends, and how many are missing between them.

    More than MAX_LINES of an end are never shown, and masking a flood takes long.
    """
    head, tail = _readable(output.head), _readable(output.tail[output.cut :])
    end_of_line = clean(output.tail[0]) if output.cut else ""
    if not output.tail:
        head, tail = head[:MAX_LINES], head[MAX_LINES:]
    gap = output.lines_left_out
    gap += max(len(head) - MAX_LINES, 0) + max(len(tail) - MAX_LINES, 0)
    if end_of_line and len(tail) >= MAX_LINES:
        gap, end_of_line = gap + 1, ""
    head = [editor.line(text) for text in head[:MAX_LINES]]
    tail = [editor.line(text) for text in tail[-MAX_LINES:]]
    if end_of_line:
        tail.insert(0, editor.end_of_line(end_of_line))
    return head, gap, tail


def lines_of(messages: Sequence[str]) -> Captured:
    """Return messages as output, for `failure`: each of their lines becomes an error."""
    return Captured("\n".join(messages).encode("utf-8", "replace").split(b"\n"))


def judge(
    outcome: Outcome,
    *,
    ok_exit_codes: frozenset[int],
    editor: Editor,
    stream: str,
    output: Captured,
    other_output: Captured,
    hints: Sequence[str],
    is_plugin: bool = False,
) -> Report:
    """Return the report on a script that ran.

    `output` is the stream that errors are taken from, named by `stream`;
    `other_output` is looked at where that one is blank. `hints` are further
    sentences, on the likely cause of a failure. `is_plugin` tells that the script
    is a Nagios plugin, whose exit statuses have a meaning.
    """
    sentences = []
    if outcome.ending is not Ending.EXITED:
        sentences.append(_ending_sentence(outcome))
    elif outcome.exit_status in ok_exit_codes:
        return PASSED
    elif outcome.stopped_by is StoppedBy.SIGNAL:
        sentences.append(
            f"{_told_to_stop(outcome)}; the script then exited with status {outcome.exit_status}."
        )
    elif is_plugin and outcome.exit_status == 3:
        sentences.append(
            "UNKNOWN: the plugin could not find out (exit status 3), so this may be no outage."
        )
    silent = []
    if not _last_line(output):
        silent.append(_silent_sentence(outcome, stream, _last_line(other_output)))
    # Of a plain exit the silence is the first thing to say; else the likely cause is.
    rest = [*silent, *hints] if outcome.ending is Ending.EXITED else [*hints, *silent]
    return failure([*sentences, *rest], editor, output)


def _cut(text: str) -> str:
    if len(text) <= MAX_LINE_LENGTH:
        return text
    text = text[: MAX_LINE_LENGTH - len(CUT)]
    if (len(text) - len(text.rstrip("\\"))) % 2:
        text = text[:-1]  # never half of a doubled backslash
    return text + CUT


def _cut_beginning(text: str) -> str:
    text = text[len(CUT) - MAX_LINE_LENGTH :]
    if (len(text) - len(text.lstrip("\\"))) % 2:
        text = text[1:]
    return CUT + text


def _shortened(head: list[str], gap: int, tail: list[str], *, taken: list[str]) -> list[str]:
    """Return as many lines as fit from both ends, and a line that counts what is missing.

    `gap` lines are missing already, between `head` and `tail`. `taken` are the
    errors that the limits must hold as well.
    """
    lines = head + tail
    start, stop = 0, len(lines)
    # No line from the other side of the gap may be counted as coming before it.
    start_limit, stop_limit = (len(head), len(head)) if gap else (len(lines), 0)
    count = MAX_LINES - len(taken) - 1
    size = MAX_BODY_SIZE - len(Report(False, [*taken, _lines_left_out(10**15)]).body())
    while start < stop:
        from_start = start < start_limit and (start <= len(lines) - stop or stop <= stop_limit)
        if not from_start and stop <= stop_limit:
            break
        line = lines[start] if from_start else lines[stop - 1]
        size -= len(json.dumps(line, ensure_ascii=False).encode()) + len(", ")
        count -= 1
        if size < 0 or count < 0:
            break
        if from_start:
            start += 1
        else:
            stop -= 1
    return [*lines[:start], _lines_left_out(gap + stop - start), *lines[stop:]]


def _lines_left_out(count: int) -> str:
    lines = "1 line is" if count == 1 else f"{count:,} lines are"
    return f"{CUT} {lines} left out here; the pod's log has everything {CUT}"


def _last_line(output: Captured) -> str:
    lines = map(clean, filter(bytes.strip, reversed(output.head + output.tail)))
    return next(filter(None, lines), "")


def _silent_sentence(outcome: Outcome, stream: str, other_last_line: str) -> str:
    text = f"wrote nothing to {'stdout or stderr' if stream == 'both' else stream}"
    if outcome.ending is Ending.EXITED:
        status = f"{outcome.exit_status}{_meaning(outcome.exit_status or 0)}"
        text = f"The script exited with status {status} and {text}"
    else:
        text = f"It {text}"
    if not other_last_line:
        return f"{text}."
    other = "stdout" if stream == "stderr" else "stderr"
    return f"{text}; the last line on {other}: {other_last_line}"


def _meaning(status: int) -> str:
    """Return what an exit status means by the shell's convention (POSIX, sh, 2.8.2)."""
    if status == 126:
        return " (a command was found that could not be executed)"
    if status == 127:
        return " (a command was not found)"
    if status > 128 and status - 128 in signal.valid_signals():
        return f" (a command in it died of {signals.name(status - 128)})"
    return ""


def _ending_sentence(outcome: Outcome) -> str:
    if outcome.ending is Ending.DIED and outcome.signal is not None:
        what = signal.strsignal(outcome.signal)
        return (
            f"The script died of {signals.name(outcome.signal)}"
            f" ({what}) after {show(outcome.duration)}."
        )
    after = show(outcome.stopped_after or 0.0)
    if outcome.stopped_by is StoppedBy.SIGNAL:
        text = f"{_told_to_stop(outcome)}, before the script had finished."
    elif outcome.stopped_by is StoppedBy.TIMEOUT:
        text = f"Timed out: the script was still running after {after}, the limit that SHIM_TIMEOUT sets."
    else:
        left = outcome.time_left or 0.0
        text = (
            f"Timed out: the script was still running after {after} and was stopped"
            f" {show(abs(left))} {'before' if left >= 0 else 'after'} the check's deadline."
        )
        if left < 0:
            text += " khshim was held up: was the node short of CPU, or the container frozen?"
    if outcome.killed_after == 0:
        text += " It was killed at once: there was no time left for a grace period."
    elif outcome.killed_after is not None:
        sent = signals.name(outcome.sent_signal)
        text += f" It did not end within {show(outcome.killed_after)} of {sent} and was killed."
    if outcome.ending is Ending.STUCK:
        text += (
            " Even SIGKILL did not end it: it is stuck in the kernel,"
            " as on a dead network file system."
        )
    elif outcome.exit_status is not None:
        text += f" It then exited with status {outcome.exit_status}, too late to count."
    return text


def _told_to_stop(outcome: Outcome) -> str:
    # SIGTERM is what Kubernetes sends; SIGINT comes from a keyboard.
    cause = " (a deleted or evicted pod?)" if outcome.stop_signal == signal.SIGTERM else ""
    return (
        f"khshim was told to stop by {signals.name(outcome.stop_signal or 0)}"
        f" after {show(outcome.stopped_after or 0.0)}{cause}"
    )
