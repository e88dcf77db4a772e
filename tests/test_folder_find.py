"""Which files of a folder are scripts: one rule for a run, khshim try and khshim manifest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shim.folder.find import look_into, needed_files, to_run


def names(paths: list[str]) -> list[str]:
    return [os.path.basename(path) for path in paths]


def test_what_is_a_script(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("exit\n")
    (tmp_path / "b.py").write_text("")
    (tmp_path / "c").write_text("#!/bin/sh\n")
    (tmp_path / "d").write_text("text\n# khshim: interval=5m\n")
    (tmp_path / "e.md").write_text("text #!/bin/sh\n")
    (tmp_path / "f").write_bytes(b"\x7fELF\xff")
    (tmp_path / "f").chmod(0o755)
    (tmp_path / ".g.sh").write_text("exit\n")
    (tmp_path / "h.sh").mkdir()
    (tmp_path / "i").symlink_to("nowhere")
    os.mkfifo(tmp_path / "j")
    found = look_into(str(tmp_path))
    assert names(found.scripts) == ["a.sh", "b.py", "c", "d", "i", "j"]
    assert names(found.others) == ["e.md", "f"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_into(str(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("# khshim: file=lib.sh interval=5m file='my data'\n", ["lib.sh", "my data"]),
        ("#khshim:file=lib.sh -- file=other\n", ["lib.sh"]),
        ("# khshim: file='lib.sh\n# khshim: file=b\n", ["b"]),
        ("# khshim: file=../lib/x.sh\n", ["../lib/x.sh", "x.sh"]),
        ("echo file=lib.sh\n", []),
    ],
)
def test_the_files_that_a_script_needs(tmp_path: Path, text: str, files: list[str]) -> None:
    script = tmp_path / "a.sh"
    script.write_text(text)
    assert set(needed_files(str(script))) == {f"{tmp_path}/{file}" for file in files}


def test_what_a_script_needs_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text("# khshim: file=lib.sh file=./data\n. ./lib.sh\n")
    (tmp_path / "lib.sh").write_text("x=1\n")
    (tmp_path / "data").write_text("x\n")
    (tmp_path / "gone.sh").symlink_to("nowhere")
    found = to_run(str(tmp_path))
    assert (names(found.scripts), found.others) == (["a.sh", "gone.sh"], [])
