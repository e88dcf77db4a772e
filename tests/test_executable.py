from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.executable import (
    BYTE_ORDER_MARK,
    UTF_16,
    WINDOWS_LINE_ENDINGS,
    StartError,
    TextProblem,
    command,
    find,
    interpreted,
    text_problem,
)
from tests.support.khshim import Shim
from tests.support.manifests import ROOT

Write = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("#!/bin/bash\n", "a.sh", ["/bin/bash"]),
        ("#! /bin/bash  \n", "a.sh", ["/bin/bash"]),
        ("#!/bin/bash -eu\n", "a.sh", ["/bin/bash", "-eu"]),
        ("#!/usr/bin/env -S bash -eu  \n", "a.sh", ["/usr/bin/env", "-S bash -eu"]),
        ("#!/bin/bash\r\necho\r\n", "a.sh", ["/bin/bash"]),
        ("#!/bin/sh", "a.py", ["/bin/sh"]),
        ("print()\n", "a.py", [sys.executable]),
        ("echo\n", "a.sh", ["/bin/sh"]),
        ("echo\n", "a", ["/bin/sh"]),
        ("#!\necho\n", "a", ["/bin/sh"]),
    ],
)
def test_a_script_that_is_not_executable(
    script: Write, text: str, name: str, expected: list[str]
) -> None:
    path = script(text, name, mode=0o644)
    assert command(path, ["-x", "y z"], []) == [*expected, path, "-x", "y z"]


def test_an_executable_is_executed(script: Write) -> None:
    path = script("#!/bin/sh\n")
    assert command(path, ["a"], []) == [path, "a"]


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_script_for_khshims_own_python(script: Write, mode: int) -> None:
    """Outside its own runtime that is the interpreter that khshim runs in, and has its modules."""
    path = script("#!/opt/khshim/bin/python3\nimport shim\n", "check.py", mode=mode)
    assert command(path, ["a"], []) == [sys.executable, path, "a"]
    assert command(path, ["a"], ["python3"]) == ["python3", path, "a"]
    other = script("#!/opt/khshim/bin/python3 -I\n", "other.py", mode=0o644)
    assert command(other, [], []) == ["/opt/khshim/bin/python3", "-I", other]


def test_a_given_interpreter_wins(script: Write) -> None:
    path = script("#!/bin/sh\n")
    assert command(path, ["a"], ["bash", "-eu"]) == ["bash", "-eu", path, "a"]


def test_a_bare_name_is_in_the_working_directory(
    script: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(os.path.dirname(script("#!/bin/sh\n", "check.sh")))
    assert find("check.sh") == "./check.sh"


CRLF, MARK = WINDOWS_LINE_ENDINGS, BYTE_ORDER_MARK
BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("text", "name", "executable", "not_executable"),
    [
        (b"#!/bin/sh\r\nls\r\n", "check.sh", CRLF, CRLF),
        (b"ls\r\n", "check.sh", CRLF, CRLF),
        (b"#!/bin/sh\nls\r\n", "check.sh", None, None),
        (b"#!/bin/sh\r", "check.sh", CRLF, CRLF),
        # Python takes CRLF. The kernel and env(1) do not.
        (b"import os\r\n", "check.py", None, None),
        (b"#!/usr/bin/python3\r\n", "check", CRLF, None),
        (b"#!/usr/bin/python3\r\n", "check.py", CRLF, None),
        (b"#!/usr/bin/python3 -s\r\n", "check", CRLF, CRLF),
        (b"#!/usr/bin/env python3\r\n", "check.py", CRLF, CRLF),
        (b"#!/bin/sh\r\n", "check.py", CRLF, CRLF),
        # Nor does the kernel take a mark before the first line: a shell runs the script.
        (BOM + b"#!/bin/bash\nls\n", "check.sh", MARK, MARK),
        (BOM + b"#!/bin/bash\r\n", "check.sh", MARK, MARK),
        (BOM + b"#!/usr/bin/python3\n", "check", MARK, MARK),
        (BOM + b"#!/usr/bin/python3\n", "check.py", None, None),
        ("#!/bin/sh\n".encode("utf-16"), "check.sh", UTF_16, UTF_16),
        ("#!/bin/sh\n".encode("utf-16-le"), "check.sh", UTF_16, UTF_16),
        ("#!/bin/sh\n".encode("utf-16-be"), "check.py", UTF_16, UTF_16),
        ("é\n".encode("utf-16-be"), "check.sh", UTF_16, UTF_16),
        (b"\xfe\xff", "check.sh", UTF_16, UTF_16),
        (b"x", "check.sh", None, None),
        (b"", "check.sh", None, None),
        (b"\0" * 9, "check.sh", None, None),
        (b"\x7fELF\2\1\1\0\0\0\0", "check", None, None),
        (b"#!/bin/sh\n" + b"x" * 300 + b"\r\n", "check", None, None),
    ],
)
def test_how_a_script_was_saved(
    script: Write,
    text: bytes,
    name: str,
    executable: TextProblem | None,
    not_executable: TextProblem | None,
) -> None:
    assert text_problem(script(text, name)) is executable
    assert text_problem(script(text, name, 0o644)) is not_executable


def test_no_script_was_saved() -> None:
    assert text_problem("/no/such/file") is None


def test_a_binary_is_not_given_to_a_shell(script: Write) -> None:
    with pytest.raises(StartError, match="exec format error"):
        interpreted(script(b"\x7fELF\0\0"), [])


@pytest.mark.parametrize("mode", [0o755, 0o644], ids=["executable", "not"])
@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (b"#!/usr/bin/env python3\r\nprint(1)\r\n", "check.py", "Windows line endings (CRLF)"),
        (b"#!/usr/bin/env bash\r\nls\r\n", "check.sh", "Windows line endings (CRLF)"),
        (b"#!/bin/bash\r\nls -l\r\n", "check.sh", "Windows line endings (CRLF)"),
        (b"ls -l\r\n", "check.sh", "Windows line endings (CRLF)"),
        (BOM + b"#!/bin/bash\n[[ a == a ]] || exit 1; exit 3", "check.sh", "a byte order mark"),
        (BOM + b"#!/usr/bin/python3\nimport os\n", "check", "a byte order mark"),
        ("#!/bin/bash\nls\n".encode("utf-16"), "check.sh", "UTF-16 text"),
        ("import os\n".encode("utf-16-le"), "check.py", "UTF-16 text"),
    ],
)
def test_a_script_that_was_saved_wrong(
    shim: Shim, script: Write, mode: int, text: bytes, name: str, words: str
) -> None:
    run = shim.run(script(text, name, mode))
    assert words in run.errors[0]
    assert "processor" not in run.errors[0]


def test_utf_16_for_an_interpreter_of_ones_own(shim: Shim, script: Write) -> None:
    path = script("#!/bin/bash\nls\n".encode("utf-16"), "check.sh")
    run = shim.run(path, env={"SHIM_INTERPRETER": "bash"})
    assert (
        run.errors[0] == "The script is UTF-16 text, which nothing here can run: save it as UTF-8."
    )


def test_a_script_that_was_saved_wrong_may_pass(shim: Shim, script: Write) -> None:
    assert shim.run(script(b"#!/usr/bin/python3\r\nprint(1)\r\n", "check", 0o644)).ok
    assert shim.run(script(BOM + b"print(1)\n", "check.py")).ok


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "folder/nope.sh",
            "There is no script folder/nope.sh: the folder folder holds a.sh, b.py.",
        ),
        ("void/nope.sh", "There is no script void/nope.sh: the folder void is empty."),
        (
            "none/nope.sh",
            "There is no script none/nope.sh: the folder none does not exist (is the volume mounted?).",
        ),
        (
            "folder",
            "The script ./folder is a folder, which holds a.sh, b.py: name a file in it.",
        ),
        ("blank.sh", "The script ./blank.sh is empty."),
        ("./fifo", "The script ./fifo is not a regular file."),
        (
            "./dangling",
            "The script ./dangling is a link to a file that does not exist.",
        ),
        (
            "many/nope",
            "There is no script many/nope: the folder many holds 00, 01, 02, 03, 04, 05, 06, 07,"
            " 08, 09 and 2 more.",
        ),
        (
            "blank.sh/x",
            "There is no script blank.sh/x: the folder blank.sh cannot be listed (Not a directory).",
        ),
    ],
)
def test_what_cannot_be_found_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("folder", "void", "many"):
        (tmp_path / folder).mkdir()
    for file in (
        "folder/a.sh",
        "folder/b.py",
        "folder/..data",
        *(f"many/{n:02}" for n in range(12)),
    ):
        (tmp_path / file).write_text("x")
    (tmp_path / "blank.sh").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StartError) as caught:
        find(name)
    assert str(caught.value) == sentence


def test_a_bare_name_that_is_nowhere_names_every_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        StartError,
        match=rf"looked in {tmp_path} is empty; /checks .*/scripts holds certificate_expiry.py, ",
    ):
        find("nope.sh")


def test_a_bundled_script_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where khshim runs from a checkout, as after `make try`."""
    monkeypatch.chdir(tmp_path)
    assert Path(find("disk_space.sh")).read_text() == (ROOT / "scripts/disk_space.sh").read_text()


@pytest.mark.parametrize(
    ("text", "mode", "env", "sentence"),
    [
        (
            "#!/no/such/shell -e\n",
            0o755,
            {},
            "the interpreter in its first line, /no/such/shell -e, does not exist here.",
        ),
        (
            "#!/no/such/shell -e\n",
            0o644,
            {},
            "its interpreter /no/such/shell does not exist here.",
        ),
        (
            "#!/bin/shh\r\nls\r\n",
            0o755,
            {},
            "The script has Windows line endings (CRLF)",
        ),
        (
            "#!/etc/passwd\n",
            0o755,
            {},
            "the interpreter in its first line, /etc/passwd, may not be executed by user",
        ),
        (
            "ls\n",
            0o755,
            {"SHIM_INTERPRETER": "bsh -e"},
            "its interpreter bsh does not exist here.",
        ),
        ("\x7fELF\0\0", 0o755, {}, "exec format error"),
    ],
)
def test_what_cannot_be_started_is_reported(
    shim: Shim, script: Write, text: str, mode: int, env: dict[str, str], sentence: str
) -> None:
    run = shim.run(script(text, mode=mode), env=env)
    assert run.exit_status == 0
    [error] = run.errors
    assert sentence in error
    assert run.event("script_not_started")["message"] == error


def test_arguments_that_are_too_long_are_reported(shim: Shim, script: Write) -> None:
    # With a stack of 8 MiB execve(2) takes 2 MiB: enough for the variables, of which
    # SHIM_ARGS is one, but not for the arguments besides.
    names = ["SHIM_ARGS", *(f"FILL_{number}" for number in range(19))]
    run = shim.run(
        env={
            "SHIM_SCRIPT": script("#!/bin/sh\n"),
            **dict.fromkeys(names, "x" * 100 * 1024),
        },
        prefix=["prlimit", "--stack=8388608"],
    )
    [error] = run.errors
    assert error.endswith("its arguments and environment are larger than the kernel allows.")


def test_an_executable_text_without_a_first_line_is_run_by_sh(shim: Shim, script: Write) -> None:
    assert shim.run(script("echo from $0 >&2; exit 4\n", "check")).errors[0].startswith("from /")


def test_a_compiled_program_is_run(shim: Shim) -> None:
    assert shim.run("/bin/true").ok


def test_an_unreadable_script_is_reported(shim: Shim, script: Write) -> None:
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    path = script("exit 0\n", mode=0o000)
    run = shim.run(path, prefix=prefix if os.getuid() == 0 else [])
    [error] = run.errors
    assert error.startswith(f"The script {path} cannot be read by user {os.getuid()}")
    assert "defaultMode" in error
