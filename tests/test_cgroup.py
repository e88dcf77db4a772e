from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.cgroup import MemoryCgroup, memory_cgroup
from tests.support.khshim import Shim

Write = Callable[..., str]
V1 = Path("/sys/fs/cgroup/memory")
V2 = Path("/sys/fs/cgroup")


@pytest.mark.parametrize(
    ("events", "limit", "kills", "limit_bytes"),
    [
        ("low 0\nmax 4\noom 1\noom_kill 1\n", "67108864\n", 1, 67108864),
        ("low 0\noom_kill 0\n", "max\n", 0, None),
        (
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "9223372036854771712\n",
            2,
            None,
        ),
        ("", "", 0, None),
    ],
)
def test_both_versions(
    tmp_path: Path, events: str, limit: str, kills: int, limit_bytes: int | None
) -> None:
    (tmp_path / "events").write_text(events)
    (tmp_path / "limit").write_text(limit)
    group = MemoryCgroup(*(str(tmp_path / name) for name in ("events", "limit", "limit")))
    assert (group.kills(), group.limit_bytes()) == (kills, limit_bytes)
    assert group.peak_bytes() == limit_bytes


def test_nothing_to_read() -> None:
    group = MemoryCgroup("/no/such/file", "/no/such/file", "/no/such/file")
    assert (group.kills(), group.limit_bytes()) == (0, None)


def test_this_process_has_one() -> None:
    if not (V1.is_dir() or (V2 / "memory.max").exists() or (V2 / "cgroup.controllers").exists()):
        pytest.skip("no memory cgroup is mounted here")
    group = memory_cgroup()
    assert group is not None and group.kills() >= 0


@pytest.mark.parametrize("within", ["", "ulimit -c 0; "])
def test_a_script_killed_for_memory(shim: Shim, script: Write, limited: Path, within: str) -> None:
    """The script itself, and a command in it."""
    command = "python3 -c 'x = bytearray(200_000_000)'"
    path = script(f"#!/bin/bash\n{within + command if within else 'exec ' + command}\n")
    join = f'echo $$ > {limited}/cgroup.procs && exec "$@"'
    run = shim.run(path, prefix=["sh", "-c", join, "sh"])
    assert run.exit_status == 0
    kernel = [error for error in run.errors if error.startswith("The kernel killed")]
    assert kernel == [
        "The kernel killed a process here because the memory limit of 64 MiB was reached:"
        " raise resources.limits.memory, or make the script use less."
    ]
    if not within:
        assert run.errors[0].startswith("The script died of SIGKILL")


def test_many_small_processes_are_killed_for_memory_and_not_khshim(
    shim: Shim, script: Write, limited: Path
) -> None:
    """Each of them is smaller than khshim, and would be spared for that."""
    child = "x=$(printf %3000000s x); sleep 1000"
    path = script(
        "#!/bin/bash\n"
        f"for n in {{1..60}}; do bash -c '{child}' > /dev/null 2>&1 & done\n"
        "wait -n\n"
        "sleep 1000\n"
    )
    join = f'echo $$ > {limited}/cgroup.procs && exec "$@"'
    run = shim.run(path, prefix=["sh", "-c", join, "sh"], env={"SHIM_TIMEOUT": "5s"})
    assert run.exit_status == 0
    assert [error for error in run.errors if error.startswith("The kernel killed a process")]


def test_the_script_is_killed_for_memory_before_khshim(
    make_shim: Callable[..., Shim], script: Write
) -> None:
    path = script(
        "#!/bin/sh\n"
        "until [ $(cat /proc/$PPID/oom_score_adj) != 1000 ]; do :; done\n"
        "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj\n"
    )
    for own in (0, 300, 999):
        lower = f'echo {own} > /proc/self/oom_score_adj; exec "$@"'
        # As any user: what khshim had it can go back to without a privilege.
        prefix = ["sh", "-c", lower, "sh"]
        if os.getuid() == 0:
            prefix += ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
        run = make_shim().run(path, prefix=prefix)
        assert run.ok
        assert run.stdout.split() == [b"1000", b"%d" % own]
