"""The command line: which command is meant, and the one place that orders the imports of a run."""

import gc
import os
import sys

import shim
from shim import exit_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from shim.start import NotStarted, Started

HELP = """\
khshim turns any script into a Kuberhealthy check.

  khshim [run] [SCRIPT [ARG...]]  run it, report its exit status and stderr
  khshim try [--server v3|v2] [--timeout 30s] [--json] SCRIPT [ARG...]
      run it as in the cluster, against a stand-in for Kuberhealthy, and show
      what Kuberhealthy would get (with --json the report and nothing else)
  khshim manifest SCRIPT... --interval 5m --timeout 1m [-- ARG...]
      write the resources that run each as a check, for kubectl apply -f -
      (khshim manifest --help)
  khshim doctor [--json]          look at what usually goes wrong in a pod
  khshim --help | --version

`run` takes everything from the environment: SHIM_SCRIPT, the other SHIM_
settings, and what Kuberhealthy sets. SCRIPT and ARGs win over it.

Example:
  khshim try --timeout 10s ./my_check.sh --verbose

Exit status of run: 0 reported, 69 not delivered, 76 refused, 78 wrong settings,
64 wrong usage, 70 a bug in khshim. Of try: 0 OK, 1 not OK.
"""

COMMANDS = ("run", "try", "manifest", "doctor")


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the command that `argv` (by default the process's own) names; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    named = words.pop(0) if words and words[0] in COMMANDS else ""
    command = named or "run"
    option = words[0] if words and words[0].startswith("-") else ""
    if command != "manifest" and option in ("-h", "--help", "--version"):
        from shim.commands.output import put

        version = f"khshim {shim.__version__}\n"
        return put(version if option == "--version" else _help(named), 0)
    if command == "try":
        from shim.commands.try_script import main as try_script

        return try_script(words)
    if command == "manifest":
        from shim.commands.manifest import main as write_manifest

        return write_manifest(words)
    if command == "doctor":
        from shim.commands.doctor import main as examine

        return examine(words)
    if option == "--":
        words.pop(0)
    elif option:
        from shim.commands.output import complain

        complain(f"khshim: there is no option {option}; see khshim --help\n")
        return exit_status.WRONG_USAGE
    status = run(words)
    # Without finalization: all is written, and a thread that is left behind in name
    # resolution or in a read must not hold up the end. It also saves 30 ms.
    os._exit(status)


def run(command: "Sequence[str]") -> int:
    """Run the script, report it, and return the exit status."""
    # The order is the point. As PID 1 a signal without a handler is lost, so the
    # inbox is first. The script is started by modules that import quickly; what is
    # slow (the logger, urllib3) is imported while it runs. What is imported is no
    # garbage: looking for some until all of it is there would cost 5 %.
    gc.disable()
    started = None
    try:
        from shim.signals import SignalInbox

        inbox = SignalInbox()
        from shim.start import start

        started = start(os.environ, command, inbox)
        from shim.finish import finish
    except Exception as error:
        # No thread runs yet, and there may be no descriptors left to import what comes now.
        os.closerange(3, 256)
        return _give_up(error, started)
    try:
        return finish(started, inbox)
    except Exception as error:
        return _give_up(error, started)


def _help(command: str) -> str:
    if command != "run":
        return HELP
    from shim.commands.reference import run_help

    return run_help()


def _give_up(error: Exception, started: "Started | NotStarted | None") -> int:
    from shim.crash import give_up

    return give_up(error, os.environ, started.child if started else None)
