"""The command line: selects the command, and decides the order of the imports of a run."""

import gc
import os
import sys

from shim import exit_status
from shim.runtime import original_environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shim.start import NotStarted, Started

COMMANDS = ("run", "try", "manifest", "doctor", "install")


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run the command line `argv`, by default that of this process; return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    named = words.pop(0) if words and words[0] in COMMANDS else ""
    option = words[0] if words and words[0].startswith("-") else ""
    if named not in ("", "run") or option not in ("", "--"):
        return _by_hand(named, option, words)
    if sys.platform != "linux":
        return _linux_only("run")
    if option:
        words.pop(0)
    if os.isatty(2) and not any(name.startswith("KH_") for name in os.environ):
        from shim.commands.by_hand import outside_a_cluster
        from shim.commands.reference import overview

        return outside_a_cluster(words, named, overview())
    status = run(words)
    # Exit without finalization: all output is written, and a thread that still waits in name
    # resolution or in a read must not delay the exit. This also saves 30 ms.
    os._exit(status)


def run(command: "Sequence[str]") -> int:
    """Run the script, report it, and return the exit status."""
    # The order matters. PID 1 loses a signal that has no handler, so the inbox comes
    # first. Modules that import quickly start the script; the slow ones (the logger,
    # urllib3) are imported while it runs. Imported modules are not garbage: running the
    # garbage collector during the imports would cost 5 %.
    gc.disable()
    started = None
    environ = original_environ(os.environ)
    try:
        from shim.signals import SignalInbox

        inbox = SignalInbox()
        from shim.start import start

        started = start(environ, command, inbox)
        from shim.finish import finish
    except Exception as error:
        # No thread runs yet. The imports below need descriptors, and all may be in use.
        os.closerange(3, 256)
        return _give_up(error, environ, started)
    try:
        return finish(started, inbox)
    except Exception as error:
        return _give_up(error, environ, started)


def _by_hand(named: str, option: str, words: "list[str]") -> int:
    """Run a command that a person calls; it may import slow modules."""
    from shim.commands import by_hand
    from shim.commands.output import complain, put

    if option == "--version":
        return put(by_hand.version(), 0)
    if named == "manifest":
        from shim.commands.manifest import main as write_manifest

        return write_manifest(words)
    if option in ("-h", "--help") and named in ("", "run"):
        from shim.commands.reference import overview, run_help

        return put(run_help() if named else overview(), 0)
    if named == "install":
        from shim.commands.install import main as install

        return install(words)
    if named in ("try", "doctor"):
        reads_a_log = named == "doctor" and any(word.startswith("--log") for word in words)
        if sys.platform != "linux" and option not in ("-h", "--help") and not reads_a_log:
            return _linux_only(named)
        return _with_dependencies(named, words)
    from shim.suggest import did_you_mean

    meant = did_you_mean(option, ["--help", "--version"])
    complain(f"khshim: there is no option {option}.{meant} See khshim --help\n")
    return exit_status.WRONG_USAGE


def _with_dependencies(named: str, words: "list[str]") -> int:
    """Run a command that needs the packages khshim depends on."""
    try:
        if named == "try":
            from shim.commands.try_script import main as try_script

            return try_script(words)
        from shim.commands.doctor import main as examine

        return examine(words)
    except ModuleNotFoundError as error:
        from shim.commands.output import complain
        from shim.crash import not_installed

        sentence = not_installed(error)
        if not sentence:
            raise
        complain(f"{sentence}\n")
        return exit_status.WRONG_SETTINGS


def _linux_only(command: str) -> int:
    from shim.commands.by_hand import linux_only

    return linux_only(command)


def _give_up(
    error: Exception, environ: "Mapping[str, str]", started: "Started | NotStarted | None"
) -> int:
    from shim.crash import give_up

    return give_up(error, environ, started.child if started else None)
