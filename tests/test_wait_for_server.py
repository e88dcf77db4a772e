"""SHIM_WAIT_FOR_SERVER: the script is held back until the server can be reached."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.delivery.wait_for_server import Wait, wait_for_server
from shim.kuberhealthy import Endpoint
from shim.signals import SignalInbox
from tests.support.khshim import Run, Shim
from tests.support.servers import closed_port

Write = Callable[..., str]
MakeShim = Callable[..., Shim]


def test_waiting_for_a_server_that_comes_up(shim: Shim, script: Write) -> None:
    """The script starts only once the server's port accepts connections."""
    port = shim.receiver.endpoint.url.split(":")[2].split("/")[0]
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        late = f"http://127.0.0.1:{reserved.getsockname()[1]}/check"
        path = script("#!/bin/sh\necho started\n")
        process = shim.start(path, env={"SHIM_WAIT_FOR_SERVER": "20s", "KH_REPORTING_URL": late})
        relay = threading.Thread(target=serve_as, args=(reserved, int(port), process))
        relay.start()
        stdout, stderr = process.communicate()
        relay.join()
    run = Run(process.returncode, stdout, stderr, shim.receiver.stored)
    assert run.ok
    assert run.event("server_reached")["duration_s"] > 0.1
    events = [line["event"] for line in run.log]
    assert events.index("server_reached") < events.index("script_started")


def serve_as(reserved: socket.socket, port: int, process: subprocess.Popen[bytes]) -> None:
    """Listen once the process has been refused, and pass each connection on to `port`."""
    # A refused connection leaves its mark in the process's own socket counters only, so
    # the moment is taken from the process: it waits in poll(2) between two attempts.
    while "poll" not in Path(f"/proc/{process.pid}/wchan").read_text():
        pass
    threading.Event().wait(0.2)
    reserved.listen()
    reserved.settimeout(0.05)
    while process.poll() is None:
        try:
            client, _ = reserved.accept()
        except TimeoutError:
            continue
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            client.settimeout(1)
            data = client.recv(65_536)
            if data:
                while b'"Errors"' not in data:
                    data += client.recv(65_536)
                server.sendall(data)
                client.sendall(server.recv(65_536))


def test_sigterm_while_waiting(shim: Shim, script: Write) -> None:
    with socket.socket() as full:
        # A backlog that is full lets further connections hang.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        process = shim.start(
            script("#!/bin/sh\necho started\n"),
            env={
                "SHIM_WAIT_FOR_SERVER": "30s",
                "KH_REPORTING_URL": f"http://127.0.0.1:{port}/check",
                "SHIM_GRACE_PERIOD": "200ms",
            },
        )
        while "poll" not in Path(f"/proc/{process.pid}/wchan").read_text():
            pass
        process.terminate()
        assert process.stderr is not None
        seen = b""
        while b"script_not_started" not in seen:
            seen += process.stderr.readline()
        process.terminate()  # the report cannot be delivered either
        stdout, stderr = process.communicate()
        for filler in fillers:
            filler.close()
    assert stdout == b""
    run = Run(process.returncode, stdout, seen + stderr, None)
    assert run.exit_status == 69
    assert "while it waited" in run.event("script_not_started")["message"]


def test_waiting_in_vain_takes_a_third_of_the_time(make_shim: MakeShim, script: Write) -> None:
    shim = make_shim(timeout=6)
    run = shim.run(
        script("#!/bin/sh\necho started\n"),
        env={
            "SHIM_WAIT_FOR_SERVER": "20s",
            "KH_REPORTING_URL": "http://127.0.0.1:1/check",
        },
    )
    assert run.stdout == b"started\n"
    assert 1.4 < run.event("server_not_reached")["duration_s"] < 2.5
    assert "Connection refused" in run.event("server_not_reached")["message"]
    assert run.exit_status == 69


def wait(port: int, inbox: SignalInbox, seconds: float, left: float | None = None) -> Wait:
    return wait_for_server(Endpoint(f"http://127.0.0.1:{port}/check", "x"), seconds, left, inbox)


def test_a_server_that_is_there(inbox: SignalInbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        result = wait(listener.getsockname()[1], inbox, 20)
    assert result.seconds < 10
    assert (result.reason, result.stopped_by) == (None, None)


@pytest.mark.parametrize(("seconds", "left"), [(0.1, None), (0.1, 60.0), (60.0, 0.3)])
def test_a_server_that_is_not_there(inbox: SignalInbox, seconds: float, left: float | None) -> None:
    result = wait(closed_port(), inbox, seconds, left)
    assert (result.reason, result.stopped_by) == ("Connection refused", None)
    assert 0.09 < result.seconds < 10


def test_no_time_to_wait(inbox: SignalInbox) -> None:
    assert wait(closed_port(), inbox, 20, -1.0).reason == "there was no time to try"


def test_a_terminating_signal_ends_the_wait(inbox: SignalInbox) -> None:
    signal.raise_signal(signal.SIGTERM)
    result = wait(closed_port(), inbox, 60)
    assert result.stopped_by == signal.SIGTERM and result.reason is not None
