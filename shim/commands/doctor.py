"""`khshim doctor`: looks at what usually goes wrong in a pod, without sending a report."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from shim import executable
from shim.commands import pod
from shim.commands.arguments import Parser
from shim.commands.doctor_log import examine_log
from shim.commands.log_reader import looks_like_a_log
from shim.commands.output import put
from shim.delivery.connect import resolve
from shim.delivery.post import Answer, Attempt, Lost, Request, perform
from shim.delivery.waiting import TimeLimit
from shim.delivery.worker import Worker
from shim.durations import show
from shim.file_names import visible
from shim.folder import find
from shim.kuberhealthy import PATHS, Endpoint, Server
from shim.observe.telling import doubts
from shim.report.mask import Masker
from shim.settings import Settings

TIMEOUT = 5.0
# The deadline is compared with this machine's clock; so much may be wrong unnoticed.
CLOCK_TOLERANCE = 2.0
# With less than this for the script something has eaten up the time.
LITTLE_TIME = 5.0

WHERE_IT_IS_SET = "look for it in Kuberhealthy's own settings, the pod's spec and the image"


class Finding(NamedTuple):
    """One thing looked at. `advice` is None where it is right."""

    what: str
    found: str
    advice: str | None = None


DESCRIPTION = """\
Look at what usually goes wrong in a pod of a check, without sending a report:
the settings, the script and its interpreter, the time, the server, the clock.
Of a pod that has ended, --log reads the log: what happened, and what to do."""
EPILOG = """\
Examples:
  kubectl exec POD -- khshim doctor
  khshim doctor ./my_check.sh
  kubectl logs POD | khshim doctor --log -

Exit status: 0 if all is right, 1 if something is not, 64 for wrong usage. With
--log: 0 if the log's last run passed and Kuberhealthy took the report, else 1.
"""


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        "khshim doctor",
        usage="khshim doctor [--json] [--log FILE | SCRIPT [ARG...]]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="write one JSON list of the findings, of a log one object",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="read the log of a pod that has ended; - is stdin"
    )
    parser.add_argument(
        "command",
        nargs="*",
        metavar="SCRIPT",
        help="the script and its arguments (default: what the pod was started with)",
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Look at this pod, or at a log; return 0 if all is right, 1 if something is not."""
    own = parser()
    options = own.parse_args(words)
    if options.log is not None:
        if options.command:
            own.error(f"--log takes one file, and {options.command[0]} is one more")
        return examine_log(options.log, as_json=options.json)
    if options.command and looks_like_a_log(options.command[0]):
        path = shlex.quote(options.command[0])
        own.error(f"{path} is a log, not a script. Did you mean khshim doctor --log {path}?")
    findings = list(examine(os.environ, options.command or pod.command()))
    if options.json:
        shown = [{"ok": not finding.advice, **finding._asdict()} for finding in findings]
        text = f"{json.dumps(shown)}\n"
    else:
        text = "".join(map(_line, findings))
    return put(text, 1 if any(finding.advice for finding in findings) else 0)


def _line(finding: Finding) -> str:
    advice = f" -> {finding.advice}" if finding.advice else ""
    return f"{'WRONG' if advice else 'ok   '} {finding.what}: {finding.found}{advice}\n"


def examine(environ: Mapping[str, str], command: Sequence[str]) -> Iterator[Finding]:
    """Yield what is found, in the order in which a run would come upon it."""
    settings = Settings(environ, command)
    mask = Masker(environ, settings.mask)
    yield from _settings(settings, mask, is_in_pod=_is_in_pod(environ))
    if settings.script:
        yield from _script(settings)
    yield _time(settings)
    if settings.endpoint is not None:
        yield from _server(settings.endpoint)


def _settings(settings: Settings, mask: Masker, *, is_in_pod: bool) -> Iterator[Finding]:
    doubtful = [event.message() for event in doubts(settings)]
    theirs = [problem for problem in settings.problems if problem.startswith("KH_")]
    wrong = [problem for problem in settings.problems if problem not in theirs] + doubtful
    if not is_in_pod:
        yield Finding(
            "pod",
            "this is no pod of a check: Kuberhealthy has set none of its variables",
            "look in one: kubectl exec POD -- khshim doctor; to try a script here: khshim try SCRIPT",
        )
    else:
        for problem in theirs:
            yield Finding("settings", mask(problem), f"Kuberhealthy sets it: {WHERE_IT_IS_SET}")
    for problem in wrong:
        yield Finding("settings", mask(problem), "correct this variable")
    if not wrong and not (theirs and is_in_pod):
        yield Finding("settings", "all are understood")


def _is_in_pod(environ: Mapping[str, str]) -> bool:
    """Tell whether Kuberhealthy has set any of its variables."""
    return any(name.startswith("KH_") and value for name, value in environ.items())


def _script(settings: Settings) -> Iterator[Finding]:
    try:
        path, is_folder = executable.find_any(settings.script)
    except executable.StartError:
        is_folder = False
    if is_folder:
        yield from _folder(path, settings)
    else:
        yield from _one_script(settings.script, settings)


def _folder(folder: str, settings: Settings) -> Iterator[Finding]:
    """Look at each script of a folder; of one with which all is right there is one line."""
    try:
        scripts = find.to_run(folder).scripts
    except OSError as error:
        advice = "check the mode of the folder, or of the volume"
        yield Finding("folder", f"{folder} cannot be listed: {error.strerror}", advice)
        return
    if not scripts:
        yield Finding(
            "folder", f"{folder} holds no script: {find.RULE}", "check the volume or image"
        )
        return
    number = "1 script" if len(scripts) == 1 else f"{len(scripts)} scripts"
    at_once = f"at most {settings.parallel} at a time (SHIM_PARALLEL)"
    yield Finding("folder", f"{folder} holds {number}, {at_once}")
    if settings.args:
        yield Finding("arguments", "the scripts of a folder get none", "leave them out")
    for path in scripts:
        name = visible(os.path.basename(path))
        found = list(_one_script(path, settings))
        wrong = [finding for finding in found if finding.advice]
        for finding in wrong:
            yield Finding(name, f"{finding.what}: {finding.found}", finding.advice)
        if not wrong:
            yield Finding(name, ", ".join(finding.found for finding in found[1:]))


def _one_script(script: str, settings: Settings) -> Iterator[Finding]:
    try:
        path = executable.find(script)
        argv = executable.command(path, settings.args, settings.interpreter)
    except executable.StartError as error:
        yield Finding("script", str(error), "check SHIM_SCRIPT and the volume or image it is in")
        return
    yield Finding("script", path)
    interpreter = argv[0] if argv[0] != path else executable.interpreter_of(path)
    if interpreter is None:
        yield Finding("interpreter", "none is needed")
    elif _is_command(interpreter):
        yield Finding("interpreter", interpreter)
    else:
        yield Finding(
            "interpreter",
            f"{interpreter} does not exist here",
            "install it, or set SHIM_INTERPRETER",
        )
    problem = executable.text_problem(path)
    if problem is None:
        yield Finding("text", "its encoding and line endings are right")
    else:
        yield Finding("text", f"it {problem.found}", problem.advice)


def _is_command(name: str) -> bool:
    folders = [""] if "/" in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)


def _time(settings: Settings) -> Finding:
    if settings.deadline is None:
        return Finding("time", "no deadline is set, so the script may run for ever")
    budget = settings.budget(unix_now=time.time(), started_at=0.0)
    script_time = budget.terminate_at or 0.0
    found = f"{show(max(script_time, 0.0))} for the script, of {show(max(budget.deadline or 0, 0))}"
    if script_time <= 0:
        return Finding(
            "time", "the deadline has passed", "this pod's run is over: look at the next"
        )
    if script_time < LITTLE_TIME:
        return Finding("time", found, "raise the check's timeout: scheduling and pulling count too")
    return Finding("time", found)


def _server(endpoint: Endpoint) -> Iterator[Finding]:
    try:
        addresses = resolve(endpoint.host, endpoint.port)
    except OSError as error:
        advice = "check the Service's name and the cluster's DNS"
        yield Finding("name", f"{endpoint.host}: {error}", advice)
        return
    shown = ", ".join(sorted({str(found.address[0]) for found in addresses}))
    yield Finding("name", f"{endpoint.host} is {shown}")
    url = _url_to_look_at(endpoint)
    asked_at = time.time()
    answer = _get(url, endpoint.ca_file)
    if isinstance(answer, Lost):
        advice = "check the Service, network policies, and for https SHIM_CA_FILE"
        yield Finding("server", answer.reason, advice)
        return
    yield _kind_of_server(endpoint, url, answer)
    if endpoint.is_tls:
        yield Finding("certificate", "is trusted")
    yield _clock(answer.date, asked_at, time.time())


def _url_to_look_at(endpoint: Endpoint) -> str:
    """Return where a GET reports nothing, and tells v2 from v3: v3's path for reports.

    v3 answers 405 there to all but POST, and v2 shows its status page. v2's own path
    would not do: v2 takes a GET for a report.
    """
    scheme, _, rest = endpoint.url.partition("://")
    authority, _, path = rest.partition("?")[0].partition("/")
    path = f"/{path}".rstrip("/")
    before = next((path.removesuffix(end) for end in PATHS.values() if path.endswith(end)), "")
    return f"{scheme}://{authority.rpartition('@')[2]}{before}{PATHS[Server.V3]}"


def _kind_of_server(endpoint: Endpoint, url: str, answer: Answer) -> Finding:
    answers = f"{url} answers {answer.status}"
    if answer.status == 405 and not answer.words:
        server = Server.V3
    elif answer.status == 200 and answer.words.startswith("{") and '"OK"' in answer.words:
        server = Server.V2
    else:
        advice = "is KH_REPORTING_URL Kuberhealthy's address? Something else may answer for it"
        return Finding("server", f"{answers}, as Kuberhealthy does not", advice)
    found = f"{answers}, as Kuberhealthy {server.value} does"
    path = endpoint.url.partition("://")[2].partition("?")[0]
    if path.endswith(PATHS[server]):
        return Finding("server", found)
    advice = f"KH_REPORTING_URL must end in {PATHS[server]} for it: {WHERE_IT_IS_SET}"
    return Finding("server", found, advice)


def _get(url: str, ca_file: str | None) -> Answer | Lost:
    """Return the answer to a GET of `url`."""
    attempt = Attempt()
    worker = Worker()
    request = Request("GET", url, {}, b"", TIMEOUT, ca_file)
    limit = TimeLimit(time.monotonic() + 2 * TIMEOUT)
    worker.call(lambda: perform(request, attempt), limit, limit.left())
    worker.close()
    return attempt.abandon()


def _clock(date: str, asked_at: float, answered_at: float) -> Finding:
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return Finding("clock", "the server names no date to compare with")
    # Date is in whole seconds, rounded down, and was written between the two moments.
    apart = max(asked_at - (theirs + 1), theirs - answered_at, 0.0)
    if apart > CLOCK_TOLERANCE:
        return Finding(
            "clock",
            f"{show(apart)} apart from the server's",
            "the deadline is the server's time: set the node's clock (NTP)",
        )
    return Finding("clock", "agrees with the server's")
