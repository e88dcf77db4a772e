"""The verdict on a run that is known by its log: what became of the script, and of the report."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from shim import signals
from shim.commands.log_events import Phase
from shim.commands.log_reader import Entry
from shim.commands.logged_run import LoggedRun
from shim.delivery.result import Result
from shim.durations import show
from shim.observe.events import ReportAccepted, ReportAssumed, ReportRefused, ReportUndelivered

TERMINATING = frozenset(signals.name(signum) for signum in signals.TERMINATING)


class Script(Enum):
    """What became of the script, in words that begin a sentence."""

    PASSED = "the script passed"
    WARNED = "the script passed with a warning"
    FAILED = "the script failed"
    ALL_PASSED = "all scripts passed"
    NOT_ALL_PASSED = "not all scripts passed"
    DIED = "the script died of a signal"
    TIMED_OUT = "the script timed out"
    TOLD_TO_STOP = "the pod was told to stop before the script had finished"
    NOT_STARTED = "the script could not be started"
    WRONG_SETTINGS = "the settings are wrong, so that the script was not started"
    CRASHED = "khshim itself failed, by a bug of its own"
    NOT_INSTALLED = "khshim lacks a package that it needs"
    RUNNING = "the script was running"
    UNKNOWN = "the log does not say what became of the script"


class Fate(Enum):
    """What became of the report, in words that end a sentence."""

    ACCEPTED = "Kuberhealthy took the report"
    ASSUMED = "Kuberhealthy most probably took the report"
    REFUSED = "Kuberhealthy refused the report"
    UNDELIVERED = "the report could not be delivered in time"
    IMPOSSIBLE = "there was no address to report to"
    UNKNOWN = "the log ends before it says what became of the report"


class Word(Enum):
    """The verdict in a word; OK alone is a passing check that Kuberhealthy knows of."""

    OK = "OK"
    NOT_OK = "NOT OK"
    NOT_REPORTED = "NOT REPORTED"
    UNKNOWN = "UNKNOWN"


class Verdict(NamedTuple):
    """What became of a run; `sentence` says it whole."""

    word: Word
    script: Script
    fate: Fate
    sentence: str


PASSING = (Script.PASSED, Script.WARNED, Script.ALL_PASSED)
TIMED = (*PASSING, Script.FAILED, Script.TIMED_OUT, Script.NOT_ALL_PASSED)
DELIVERED = (Fate.ACCEPTED, Fate.ASSUMED)
FATES = {
    ReportAccepted.name: Fate.ACCEPTED,
    ReportAssumed.name: Fate.ASSUMED,
    ReportRefused.name: Fate.REFUSED,
    ReportUndelivered.name: Fate.UNDELIVERED,
}
# What ran to its end or was not run; elsewhere nothing more is known than the log says.
ENDS = {
    "wrong_setting": Script.WRONG_SETTINGS,
    "script_not_started": Script.NOT_STARTED,
    "bug": Script.CRASHED,
    "not_installed": Script.NOT_INSTALLED,
}


def verdict(run: LoggedRun) -> Verdict:
    """Return what became of a run, as far as its log tells."""
    script, fate = script_of(run), fate_of(run)
    if fate is Fate.UNKNOWN:
        word = Word.UNKNOWN
    elif fate not in DELIVERED:
        word = Word.NOT_REPORTED
    else:
        word = Word.OK if script in PASSING else Word.NOT_OK
    return Verdict(word, script, fate, _sentence(run, script, fate))


def script_of(run: LoggedRun) -> Script:
    """Return what became of the script."""
    crashed = run.last_in(Phase.CRASHED)
    if crashed is not None:
        return ENDS[crashed.event]
    ended, not_run = run.last_in(Phase.ENDED), run.last_in(Phase.NOT_RUN)
    if not_run is not None:  # also where a further attempt could not be started
        return ENDS[not_run.event]
    if ended is not None:
        return _script_that_ended(run, ended)
    delivered = run.last_in(Phase.DELIVERED)
    if delivered is not None and isinstance(delivered.fields.get("ok"), bool):
        return Script.PASSED if delivered.fields["ok"] else Script.FAILED
    is_running = run.is_folder or run.first("script_started") is not None
    return Script.RUNNING if is_running and delivered is None else Script.UNKNOWN


def _script_that_ended(run: LoggedRun, ended: Entry) -> Script:
    if run.is_folder and stopping_signal(run) is None:
        return Script.ALL_PASSED if ended.level == "info" else Script.NOT_ALL_PASSED
    if ended.level == "info":
        return Script.WARNED if run.last("script_warned") else Script.PASSED
    if ended.event == "script_timed_out":
        return Script.TIMED_OUT
    if stopping_signal(run) is not None:
        return Script.TOLD_TO_STOP
    return Script.DIED if ended.word("signal") else Script.FAILED


def stopping_signal(run: LoggedRun) -> str | None:
    """Return the name of the signal by which the pod was told to stop."""
    for event in ("signal_forwarded", "signal_received"):
        entry = run.last(event)
        if entry is not None and entry.word("signal") in TERMINATING:
            return entry.word("signal")
    return None


def fate_of(run: LoggedRun) -> Fate:
    """Return what became of the report."""
    delivered = run.last_in(Phase.DELIVERED)
    if delivered is None:
        return Fate.UNKNOWN
    if delivered.event == "report_impossible":
        return Fate.IMPOSSIBLE
    if delivered.event == "crash_reported":
        # Its sentence begins with the result.
        names = (result.name for result in Result if delivered.message.startswith(result.value))
        return Fate[next(names, Fate.UNDELIVERED.name)]
    return FATES[delivered.event]


def _sentence(run: LoggedRun, script: Script, fate: Fate) -> str:
    if fate is Fate.UNKNOWN:
        return _ends_early(run, script)
    ended, delivered = run.last_in(Phase.ENDED), run.last_in(Phase.DELIVERED)
    duration = ended.number("duration_s") if ended else None
    took = script in TIMED and duration is not None
    after = f" after {show(max(duration or 0, 0))}" if took else ""
    status = delivered.number("status") if delivered else None
    answered = f" (status {status:.0f})" if fate is Fate.REFUSED and status else ""
    return f"{script.value}{after}, {_link(script, fate)} {fate.value}{answered}."


def _link(script: Script, fate: Fate) -> str:
    return "but" if script in PASSING and fate not in DELIVERED else "and"


def has_info_lines(run: LoggedRun) -> bool:
    """Tell whether the log has what SHIM_LOG_LEVEL=warning leaves out, as the end of a good run."""
    return bool(run.levels & {"info", "debug"})


def _ends_early(run: LoggedRun, script: Script) -> str:
    known = "" if script is Script.UNKNOWN else f"{script.value}, and "
    if not has_info_lines(run) and not run.ends_in_a_line:
        return (
            f"{known}the log has warnings and errors alone: it does not say whether Kuberhealthy"
            " took the report."
        )
    where = "in the middle of a line" if run.ends_in_a_line else "too early"
    if script is Script.RUNNING:
        return f"the log ends {where}, while the script was running."
    return f"{known}the log ends {where}: it does not say what became of the report."
