"""`khshim try`: runs a script as in the cluster and shows a person what came of it."""

from __future__ import annotations

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, TextIO

import shim
from shim import durations, signals
from shim.commands.arguments import Parser
from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server


def main(words: Sequence[str]) -> int:
    """Try the script that `words` name; return 0 for OK, 1 for not OK."""
    parser = Parser("khshim try", add_help=False, allow_abbrev=False)
    parser.add_argument("--server", choices=[server.value for server in Server], default="v3")
    parser.add_argument("--timeout", type=_timeout, default=30.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command and not os.environ.get("SHIM_SCRIPT"):
        parser.error("no SCRIPT is named")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale may not have it all
    with Receiver(Server(options.server), options.timeout) as receiver:
        if options.json:
            return _try_quietly(command, receiver)
        started_at = time.time()
        environ = {"SHIM_LOG_FORMAT": "text", **os.environ, **receiver.environment()}
        status = _run(command, environ)
        _show(receiver, started_at, status)
    return _verdict(receiver)


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


def _run(command: Sequence[str], environ: dict[str, str], output: IO[bytes] | None = None) -> int:
    """Run `khshim run` as a child and return its exit status (negative: its signal)."""
    isolated = ["-I"] if sys.flags.isolated else []
    # Not by -m, which would look for a module of this name in the working directory first.
    own = os.path.dirname(os.path.dirname(os.path.abspath(shim.__file__)))
    begin = (
        f"import sys; sys.path.insert(0, {own!r}); from shim.__main__ import main; sys.exit(main())"
    )
    argv = [sys.executable, *isolated, "-c", begin, "run", "--", *command]
    sys.stdout.flush()
    # Blocked until there is somebody to hand them on to, and the run itself listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals.FORWARDED)
    # In a session of its own: what a terminal sends to a whole process group, as for Ctrl-C,
    # reaches the run once and from here, like any other signal.
    with subprocess.Popen(
        argv, env=environ, stdout=output, stderr=output, start_new_session=True
    ) as child:
        previous = {
            signum: signal.signal(signum, lambda signum, _: child.send_signal(signum))
            for signum in signals.FORWARDED
        }
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals.FORWARDED)
        try:
            return child.wait()
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)


def _try_quietly(command: Sequence[str], receiver: Receiver) -> int:
    """Print the reported JSON alone; where there is none, what the run said instead."""
    with tempfile.TemporaryFile() as output:
        status = _run(command, {**os.environ, **receiver.environment()}, output)
        body = _stored_body(receiver)
        if body is not None:
            print(body)
        else:
            output.seek(0)
            sys.stderr.write(output.read().decode("utf-8", "replace"))
            _explain_silence(receiver, status, sys.stderr)
    return _verdict(receiver)


def _explain_silence(receiver: Receiver, status: int, out: TextIO) -> None:
    """Say that no report was accepted, what was answered, and how khshim ended."""
    server = receiver.endpoint.server.value
    print(f"\nNOT OK   Kuberhealthy {server} got no report that it could accept", file=out)
    for request, reply in receiver.requests:
        body = request.body.decode("utf-8", "replace")
        print(f"  it answered {reply.status} {reply.text} to {body}", file=out)
    ended = f"with exit status {status}" if status >= 0 else f"by {signals.name(-status)}"
    print(f"  khshim run ended {ended}; its log above says why", file=out)


def _show(receiver: Receiver, started_at: float, status: int) -> None:
    if receiver.stored is None:
        _explain_silence(receiver, status, sys.stdout)
        return
    server = receiver.endpoint.server.value
    ok, errors = receiver.stored
    took = durations.show((receiver.stored_at or started_at) - started_at)
    had = durations.show(receiver.deadline - started_at)
    verdict = "OK" if ok else "NOT OK"
    print(f"\n{verdict}   reported after {took} of the {had} it had (Kuberhealthy {server})")
    for number, error in enumerate(errors, 1):
        print(f"  {number}. {error}")
    if receiver.overwritten():
        print(
            "  But Kuberhealthy v2 overwrites a report in the last 12 s before the deadline with"
            ' "timed out": give the check a longer timeout.'
        )
    print(f"What Kuberhealthy got: {_stored_body(receiver)}")


def _stored_body(receiver: Receiver) -> str | None:
    bodies = [request.body for request, reply in receiver.requests if reply.stored is not None]
    return bodies[-1].decode() if bodies else None


def _verdict(receiver: Receiver) -> int:
    passed = receiver.stored is not None and receiver.stored[0] and not receiver.overwritten()
    return 0 if passed else 1
