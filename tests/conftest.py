"""Fixtures: a Kuberhealthy stand-in, and khshim run for real against it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from shim.signals import RECORDED, SignalInbox
from tests.support.go_parsers import GoParsers
from tests.support.khshim import Shim

# How long an example takes tells how busy the machine is; a test has its own time limit.
settings.register_profile("khshim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("khshim")

CGROUP_V1 = Path("/sys/fs/cgroup/memory")
CGROUP_V2 = Path("/sys/fs/cgroup")
PLUGINS = Path("/usr/lib/nagios/plugins")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run khshim against a server: `make quick` leaves them out.

    Files whose tests run other processes, or wait for seconds, are marked in themselves.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "make_shim" in item.fixturenames:
            item.add_marker(pytest.mark.whole_run)


@pytest.fixture
def make_shim() -> Iterator[Callable[..., Shim]]:
    """Make a Shim for a server ("v2" or "v3") and a timeout in seconds."""
    with ExitStack() as stack:

        def make(server: str = "v3", timeout: float = 60) -> Shim:
            return Shim(stack.enter_context(Receiver(Server(server), timeout)))

        yield make


@pytest.fixture
def shim(make_shim: Callable[..., Shim]) -> Shim:
    return make_shim()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Write an executable script and return its path."""

    def write(text: str | bytes, name: str = "check.sh", mode: int = 0o755) -> str:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return str(path)

    return write


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> GoParsers:
    return GoParsers(tmp_path_factory.mktemp("go"))


@pytest.fixture
def python_script(script: Callable[..., str]) -> Callable[[str], str]:
    """Write an executable script in Python and return its path."""

    def write(text: str) -> str:
        return script(f"#!{sys.executable}\n{text}", "check.py")

    return write


@pytest.fixture
def plugins() -> Path:
    if not (PLUGINS / "check_tcp").exists():
        pytest.skip("needs Debian's monitoring-plugins-basic")
    return PLUGINS


@pytest.fixture
def inbox() -> Iterator[SignalInbox]:
    """Record the signals of this process for the time of a test."""
    handlers = {signum: signal.getsignal(signum) for signum in RECORDED}
    yield SignalInbox()
    signal.set_wakeup_fd(-1)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


@pytest.fixture
def limited() -> Iterator[Path]:
    """A memory cgroup with a limit of 64 MiB."""
    if os.access(CGROUP_V1 / "memory.limit_in_bytes", os.W_OK):
        group, limit = CGROUP_V1 / f"khshim-test-{os.getpid()}", "memory.limit_in_bytes"
    elif (
        os.access(CGROUP_V2 / "cgroup.subtree_control", os.W_OK)
        and "memory" in (CGROUP_V2 / "cgroup.subtree_control").read_text()
    ):
        group, limit = CGROUP_V2 / f"khshim-test-{os.getpid()}", "memory.max"
    else:
        pytest.skip("needs a memory cgroup that can be written")
    group.mkdir()
    (group / limit).write_text(str(64 * 1024 * 1024))
    yield group
    group.rmdir()
