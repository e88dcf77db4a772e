"""`khshim try`: runs a script as in the cluster and shows a person what came of it."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import shim
from shim import durations, signals
from shim.commands.arguments import Parser
from shim.commands.fake_kuberhealthy import OVERWRITTEN_SECONDS, Receiver
from shim.commands.output import complain, put
from shim.crash import DEPENDENCIES
from shim.kuberhealthy import Server

# Of what a run says only its end is kept, which tells why there is no report.
KEPT_OUTPUT = 64 * 1024
# Seconds for what is still in the pipe; a process that was left behind may hold it for ever.
OUTPUT_DRAIN = 1.0


def main(words: Sequence[str]) -> int:
    """Try the script that `words` name; return 0 for OK, 1 for not OK."""
    parser = Parser("khshim try", allow_abbrev=False)
    parser.add_argument("--server", choices=[server.value for server in Server], default="v3")
    parser.add_argument("--timeout", type=_timeout, default=30.0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(words)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    require_packages()
    if not command and not os.environ.get("SHIM_SCRIPT"):
        parser.error("no SCRIPT is named")
    with Receiver(Server(options.server), options.timeout) as receiver:
        if options.json:
            return _try_quietly(command, receiver)
        started_at = time.time()
        environ = {"SHIM_LOG_FORMAT": "text", **os.environ, **receiver.environment()}
        status = _run(command, environ)
        return put(_shown(receiver, started_at, status), _verdict(receiver))


def require_packages() -> None:
    """Raise ModuleNotFoundError for a missing package here, where a sentence can be said of it."""
    for name in DEPENDENCIES:
        importlib.import_module(name)


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


def _run(command: Sequence[str], environ: dict[str, str], output: int | None = None) -> int:
    """Run `khshim run` as a child and return its exit status (negative: its signal)."""
    isolated = ["-I"] if sys.flags.isolated else []
    # Not by -m, which would look for a module of this name in the working directory first.
    own = os.path.dirname(os.path.dirname(os.path.abspath(shim.__file__)))
    begin = (
        f"import sys; sys.path.insert(0, {own!r}); from shim.__main__ import main; sys.exit(main())"
    )
    argv = [sys.executable, *isolated, "-c", begin, "run", "--", *command]
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
    # A pipe and no file: there may be no place to write one, and a flood would fill it.
    reader, writer = os.pipe()
    output = bytearray()
    drain = threading.Thread(target=_keep_the_end, args=(reader, output), daemon=True)
    drain.start()
    try:
        status = _run(command, {**os.environ, **receiver.environment()}, writer)
    finally:
        os.close(writer)
    body = _stored_body(receiver)
    if body is not None:
        return put(f"{body}\n", _verdict(receiver))
    drain.join(OUTPUT_DRAIN)
    complain(bytes(output).decode("utf-8", "replace") + _silence(receiver, status))
    return _verdict(receiver)


def _keep_the_end(reader: int, output: bytearray) -> None:
    """Read a pipe to its end, and keep the last KEPT_OUTPUT bytes in `output`."""
    while data := os.read(reader, 65536):
        output += data
        del output[:-KEPT_OUTPUT]


def _silence(receiver: Receiver, status: int) -> str:
    """Return that no report was accepted, what was answered, and how khshim ended."""
    server = receiver.endpoint.server.value
    lines = [f"\nNOT OK   Kuberhealthy {server} got no report that it could accept"]
    for request, reply in receiver.requests:
        body = request.body.decode("utf-8", "replace")
        lines.append(f"  it answered {reply.status} {reply.text or reply.why} to {body}")
    ended = f"with exit status {status}" if status >= 0 else f"by {signals.name(-status)}"
    lines.append(f"  khshim run ended {ended}; its log above says why\n")
    return "\n".join(lines)


def _shown(receiver: Receiver, started_at: float, status: int) -> str:
    if receiver.stored is None or receiver.stored_at is None:
        return _silence(receiver, status)
    server = receiver.endpoint.server.value
    took = durations.show(receiver.stored_at - started_at)
    had = durations.show(receiver.deadline - started_at)
    verdict = "NOT OK" if _verdict(receiver) else "OK"
    lines = [f"\n{verdict}   reported after {took} of the {had} it had (Kuberhealthy {server})"]
    lines += [f"  {number}. {error}" for number, error in enumerate(receiver.stored[1], 1)]
    if receiver.overwritten():
        before = durations.show(receiver.deadline - receiver.stored_at)
        [instead] = receiver.at_the_end()[1]
        lines.append(
            f"  But Kuberhealthy v2 overwrites a report in about the last {OVERWRITTEN_SECONDS:g} s"
            f' before the deadline, and this came {before} before it: in the end it shows "{instead}".'
            " Give the check a longer timeout."
        )
    lines.append(f"What Kuberhealthy got: {_stored_body(receiver)}\n")
    return "\n".join(lines)


def _stored_body(receiver: Receiver) -> str | None:
    bodies = [request.body for request, reply in receiver.requests if reply.stored is not None]
    return bodies[-1].decode("utf-8", "replace") if bodies else None


def _verdict(receiver: Receiver) -> int:
    return 0 if receiver.at_the_end()[0] else 1
