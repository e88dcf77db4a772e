"""Every sentence on how a run ended, word by word: they are what is read at three in the morning."""

from __future__ import annotations

import signal

import pytest

from shim.report import wording
from shim.supervise.escalation import StoppedBy
from shim.supervise.outcome import Ending, Outcome

RAN_OUT = Outcome(
    ending=Ending.TIMED_OUT,
    exit_status=None,
    signal=signal.SIGTERM,
    duration=9.0,
    stopped_by=StoppedBy.DEADLINE,
    stop_signal=signal.SIGTERM,
    stopped_after=8.0,
    killed_after=None,
    time_left=2.0,
)
TOLD = RAN_OUT._replace(ending=Ending.STOPPED, stopped_by=StoppedBy.SIGNAL)
LATE = (
    "Timed out: the script was still running after 8.0 s and was stopped 2.0 s before the check's"
    " deadline."
)


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (
            Outcome(Ending.DIED, None, signal.SIGSEGV, 1.5),
            "The script died of SIGSEGV (Segmentation fault) after 1.5 s.",
        ),
        (RAN_OUT, LATE),
        (
            RAN_OUT._replace(exit_status=0, signal=None),
            f"{LATE} It then exited with status 0, too late to count.",
        ),
        (
            RAN_OUT._replace(time_left=0.0),
            "Timed out: the script was still running after 8.0 s and was stopped 0.00 s before the"
            " check's deadline.",
        ),
        (
            RAN_OUT._replace(time_left=-3.0),
            "Timed out: the script was still running after 8.0 s and was stopped 3.0 s after the"
            " check's deadline. khshim was held up: was the node short of CPU, or the container"
            " frozen?",
        ),
        (
            RAN_OUT._replace(stopped_by=StoppedBy.TIMEOUT, time_left=None),
            "Timed out: the script was still running after 8.0 s, the limit that SHIM_TIMEOUT sets.",
        ),
        (
            RAN_OUT._replace(killed_after=1.0, signal=signal.SIGKILL),
            f"{LATE} It did not end within 1.0 s of SIGTERM and was killed.",
        ),
        (
            RAN_OUT._replace(killed_after=0.0, signal=signal.SIGKILL),
            f"{LATE} It was killed at once: there was no time left for a grace period.",
        ),
        (
            RAN_OUT._replace(ending=Ending.STUCK, killed_after=1.0, signal=None),
            f"{LATE} It did not end within 1.0 s of SIGTERM and was killed. Even SIGKILL did not"
            " end it: it is stuck in the kernel, as on a dead network file system.",
        ),
        (
            RAN_OUT._replace(stopped_after=0.0, time_left=0.5),
            "Timed out: the script was still running after 0.00 s and was stopped 0.50 s before the"
            " check's deadline.",
        ),
        (
            TOLD._replace(stopped_after=0.0),
            "khshim was told to stop by SIGTERM after 0.00 s (a deleted or evicted pod?), before the"
            " script had finished.",
        ),
        (
            TOLD,
            "khshim was told to stop by SIGTERM after 8.0 s (a deleted or evicted pod?), before the"
            " script had finished.",
        ),
        (
            TOLD._replace(stop_signal=signal.SIGINT),
            "khshim was told to stop by SIGINT after 8.0 s, before the script had finished.",
        ),
    ],
)
def test_how_it_ended(outcome: Outcome, sentence: str) -> None:
    assert wording.ending(outcome) == sentence


def test_what_was_told_to_stop_and_failed() -> None:
    outcome = TOLD._replace(ending=Ending.EXITED, exit_status=4, signal=None)
    assert wording.exited_when_told(outcome) == (
        "khshim was told to stop by SIGTERM after 8.0 s (a deleted or evicted pod?); the script"
        " then exited with status 4."
    )


@pytest.mark.parametrize(
    ("status", "lacks_library", "words"),
    [
        (1, False, "status 1"),
        (123, False, "status 123"),
        (124, False, "status 124 (timeout(1) ended a command)"),
        (125, False, "status 125"),
        (126, False, "status 126 (a command was found that could not be executed)"),
        (127, False, "status 127 (a command was not found)"),
        (127, True, "status 127 (a shared library is missing)"),
        (128, False, "status 128"),
        (129, False, "status 129 (a command in it died of SIGHUP)"),
        (137, False, "status 137 (a command in it died of SIGKILL)"),
        (255, False, "status 255"),
    ],
)
def test_exit_statuses(status: int, lacks_library: bool, words: str) -> None:
    assert wording.exit_status(status, lacks_library=lacks_library) == words


@pytest.mark.parametrize(
    ("stream", "was_text", "was_cut", "other", "sentence"),
    [
        ("stderr", True, False, "", "It wrote nothing to stderr."),
        ("stdout", False, False, "", "It wrote nothing readable to stdout."),
        ("both", True, False, "", "It wrote nothing to stdout or stderr."),
        ("stderr", True, False, "x", "It wrote nothing to stderr; the last line on stdout: x"),
        ("stdout", True, False, "x", "It wrote nothing to stdout; the last line on stderr: x"),
        (
            "stderr",
            True,
            True,
            "",
            "It wrote nothing readable to stderr (its first and last 64 KiB were looked at; the"
            " pod's log has everything).",
        ),
    ],
)
def test_silence(stream: str, was_text: bool, was_cut: bool, other: str, sentence: str) -> None:
    result = wording.silence(
        "It", stream, was_text=was_text, was_cut=was_cut, other_last_line=other
    )
    assert result == sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            wording.lines_left_out(1),
            "… 1 line is left out here; the pod's log has everything …",
        ),
        (
            wording.lines_left_out(2345),
            "… 2,345 lines are left out here; the pod's log has everything …",
        ),
        (
            wording.middle_left_out(123_456),
            "… the middle of this line of 123,456 bytes is left out; the pod's log has it all …",
        ),
        (
            wording.no_plugin_status("status 4"),
            "The plugin exited with status 4, which is not a status of a Nagios plugin (0 to 3).",
        ),
        (
            wording.killed_for_memory(1536 * 2**20),
            "The kernel killed a process here because the memory limit of 1,536 MiB was reached:"
            " raise resources.limits.memory, or make the script use less.",
        ),
        (
            wording.killed_for_memory(None),
            "The kernel killed a process here because the memory limit was reached: raise"
            " resources.limits.memory, or make the script use less.",
        ),
        (
            wording.told_to_stop_between(signal.SIGHUP),
            "khshim was told to stop by SIGHUP, so there was no further attempt.",
        ),
        (
            wording.no_time_for_another(2.5, 5, 0.5),
            "There was no time for another attempt: one took 2.5 s, SHIM_ATTEMPT_DELAY is 5.0 s,"
            " and 0.50 s were left.",
        ),
    ],
)
def test_what_stands_for_something(line: str, words: str) -> None:
    assert line == words
