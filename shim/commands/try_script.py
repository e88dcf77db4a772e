"""`khshim try`: runs scripts as in the cluster and shows a person what came of it."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
from collections.abc import Sequence

from shim import durations, exit_status
from shim.commands import own_lines
from shim.commands.arguments import Parser
from shim.commands.declared import plan
from shim.commands.output import complain, put
from shim.commands.sources import ManifestError
from shim.commands.terminal import Screen, Style
from shim.commands.trial import Runs, Trial
from shim.commands.verdict import silence, verdict
from shim.crash import DEPENDENCIES
from shim.kuberhealthy import Server

# Of what a run says only its end is kept, which tells why there is no report.
KEPT_OUTPUT = 64 * 1024

DESCRIPTION = """\
Run a script as in the cluster, against a stand-in for Kuberhealthy, and show
what Kuberhealthy would get. Settings come from the environment, as for run, and
from the script's own lines "# khshim: …", as for manifest."""
EPILOG = """\
Options come before the script: what follows it is the script's own. Of a folder
all scripts are tried, side by side: each file that begins with #!, is named .sh
or .py, or has a line # khshim:. NO_COLOR and FORCE_COLOR are followed.

Examples:
  khshim try --verbose ./my_check.sh
  khshim try --server v2 --timeout 1m http_check.sh http://web/
  khshim try --junit report.xml checks/
  khshim try --all a.sh b.py

Exit status: 0 if all are OK, 1 if one is not, 64 for wrong usage.
"""


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        "khshim try",
        usage="khshim try [OPTION...] SCRIPT [ARG...] | FOLDER | --all SCRIPT...",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--server",
        choices=[server.value for server in Server],
        help="the release line to stand in for (default: the script's own, or v3)",
    )
    parser.add_argument(
        "--timeout",
        metavar="DURATION",
        type=_timeout,
        help="the time from the pod's creation to the deadline (default: the script's own, or 30s)",
    )
    parser.add_argument("--all", action="store_true", help="each word is a script: try them all")
    parser.add_argument(
        "--json", action="store_true", help="print the report alone; of several, a list"
    )
    parser.add_argument("--junit", metavar="FILE", help="write the results there as JUnit XML")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="khshim's whole log, with times and fields"
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, metavar="SCRIPT", help="the script and its arguments"
    )
    return parser


def main(words: Sequence[str]) -> int:
    """Try the scripts that `words` name; return 0 where all are OK, 1 where one is not."""
    for name in DEPENDENCIES:
        if importlib.util.find_spec(name) is None:  # the run could not say it in a sentence
            raise ModuleNotFoundError(name=name)
    own = parser()
    options = own.parse_args(words)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command and (options.all or not os.environ.get("SHIM_SCRIPT")):
        own.error("no SCRIPT is named")
    server = Server(options.server) if options.server else None
    is_folder = bool(command) and os.path.isdir(command[0])
    if options.all or is_folder or options.junit:
        from shim.commands.try_many import try_many
        from shim.folder import find

        if is_folder and not options.all:
            if command[1:]:
                own.error(f"{command[0]} is a folder, whose scripts get no arguments")
            try:
                commands = [[script] for script in find.to_run(command[0]).scripts]
            except OSError as error:
                own.error(f"the folder {command[0]} cannot be listed: {error.strerror}")
            if not commands:
                own.error(f"the folder {command[0]} holds no script")
        else:
            commands = [[script] for script in command] if options.all else [command]
        return try_many(commands, server, options.timeout, options.junit, as_json=options.json)
    _warn_of_misplaced(own, words, command)
    try:
        planned = plan(command, server, options.timeout, os.environ)
    except ManifestError as error:
        complain(f"khshim try: {error}\n")
        return exit_status.WRONG_USAGE
    for sentence in planned.missing:
        complain(f"khshim try: note that {sentence}\n")
    trial = Trial(planned)
    return _try_quietly(trial) if options.json else _try(trial, verbose=options.verbose)


def _timeout(text: str) -> float:
    try:
        seconds = durations.parse(text)
    except ValueError:
        seconds = 0.0
    if seconds < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration of 1s or more, such as 30s or 2m"
        )
    return seconds


def _warn_of_misplaced(own: Parser, words: Sequence[str], command: Sequence[str]) -> None:
    """Warn where an option of this command stands behind the script, unless behind "--"."""
    names = [word.partition("=")[0] for word in command[1:]]
    misplaced = next((index for index, name in enumerate(names, 1) if name in own.options()), None)
    if misplaced is None or "--" in words:
        return
    option, values = command[misplaced], [word for word in command[misplaced + 1 :][:1]]
    takes_value = "=" not in option and option in ("--timeout", "--server", "--junit")
    moved = [option, *(values if takes_value else [])]
    rest = [*command[:misplaced], *command[misplaced + len(moved) :]]
    complain(
        f"khshim try: {names[misplaced - 1]} is behind the script, so it is the script's own. For"
        f" khshim it comes before: khshim try {shlex.join([*moved, *rest])}\n"
    )


def _try(trial: Trial, *, verbose: bool) -> int:
    """Show what the run writes while it writes it, and then the verdict."""
    screen, style = Screen(os.environ), Style(2, os.environ)
    # Somebody who chose a format for the log wants to see it.
    is_log_raw = bool(os.environ.get("SHIM_LOG_FORMAT"))

    def on_output(fd: int, data: bytes, line: own_lines.Line | None) -> None:
        if line is not None and not is_log_raw:
            data = own_lines.shown(line, style, verbose=verbose).encode("utf-8", "replace")
        if data:
            screen.write(fd, data)

    with Runs() as runs:
        trial.run(runs, on_output, lambda elapsed: screen.live(_progress(trial, elapsed)))
    screen.end_line()
    return put(verdict(trial, Style(1, os.environ)), 0 if trial.ok else 1)


def _progress(trial: Trial, elapsed: float) -> str:
    """Return what is going on, as one line."""
    text, budget = f"{elapsed:.0f} s", trial.budget
    ends = {"script_exited", "script_timed_out", "script_not_started"}
    if "folder_started" in trial.said:
        ends = {"folder_ended"}
    if ends & trial.said.keys():
        text += ", reporting"
    elif budget is not None and budget.terminate_at is not None and budget.kill_at is not None:
        if elapsed < budget.terminate_at:
            text += f", {budget.terminate_at - elapsed:.0f} s left for the script"
        elif elapsed < budget.kill_at:
            text += f", it was told to end, and has {budget.kill_at - elapsed:.0f} s for it"
    left = None if budget is None else budget.time_left(elapsed)
    return text if left is None else f"{text}, {max(left, 0):.0f} s to the deadline"


def _try_quietly(trial: Trial) -> int:
    """Print the reported JSON alone; where there is none, what the run said instead."""
    output = bytearray()

    def keep_the_end(fd: int, data: bytes, line: own_lines.Line | None) -> None:
        output.extend(data)
        del output[:-KEPT_OUTPUT]

    with Runs() as runs:
        trial.run(runs, keep_the_end)
    status = 0 if trial.ok else 1
    if trial.body is not None:
        return put(f"{trial.body}\n", status)
    complain(bytes(output).decode("utf-8", "replace") + silence(trial))
    return status
