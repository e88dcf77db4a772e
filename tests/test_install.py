"""`khshim install`, with a small folder in the place of the runtime; the real one is in tests/image."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.commands.install import InstallError, install
from tests.support.khshim import KHSHIM

FILES = {
    "bin/khshim": "launcher",
    "lib/ld.so": "loader",
    "lib/python/os.pyc": "code",
    "cert.pem": "CA",
}
Make = Callable[..., Path]


@pytest.fixture
def make_runtime(tmp_path: Path) -> Make:
    """Make a folder of files with a true list of their hashes."""

    def make(files: dict[str, str] = FILES, name: str = "runtime") -> Path:
        folder = tmp_path / name
        lines = []
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
            (folder / path).chmod(0o755 if path.startswith("bin/") else 0o644)
            lines.append(f"{hashlib.sha256(text.encode()).hexdigest()}  {path}\n")
        (folder / "SHA256SUMS").write_text("".join(lines))
        return folder

    return make


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_folder(make_runtime: Make, tmp_path: Path, exists: bool) -> None:
    source, target = make_runtime(), tmp_path / "a" / "target"
    if exists:
        target.mkdir(parents=True)
    assert install(str(target), str(source)) == len(FILES) + 1
    assert contents(target) == contents(source)
    assert stat.S_IMODE((target / "bin" / "khshim").stat().st_mode) == 0o755
    assert os.listdir(target / "lib") == os.listdir(source / "lib")


def test_whatever_the_umask_is_another_user_can_read_it(make_runtime: Make, tmp_path: Path) -> None:
    source, target = make_runtime(), tmp_path / "target"
    target.mkdir()
    before = os.umask(0o077)
    try:
        install(str(target), str(source))
    finally:
        os.umask(before)
    for folder in (target / "bin", target / "lib" / "python"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_an_older_one_gives_way(make_runtime: Make, tmp_path: Path) -> None:
    older = make_runtime({**FILES, "lib/gone.so": "old", "bin/khshim": "old"}, "older")
    target = tmp_path / "target"
    install(str(target), str(older))
    newer = make_runtime()
    install(str(target), str(newer))
    assert contents(target) == contents(newer)


def test_one_that_was_interrupted(make_runtime: Make, tmp_path: Path) -> None:
    source, target = make_runtime(), tmp_path / "target"
    (target / ".khshim-install" / "new" / "bin").mkdir(parents=True)
    (target / ".khshim-install" / "new" / "bin" / "khshim").write_text("half")
    install(str(target), str(source))
    assert contents(target) == contents(source)


def test_a_folder_with_other_files_is_left_alone(make_runtime: Make, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "important").write_text("mine")
    with pytest.raises(InstallError, match=r"holds other files \(important\)"):
        install(str(target), str(make_runtime()))
    assert contents(target) == {"important": "mine"}


def test_a_damaged_source(make_runtime: Make, tmp_path: Path) -> None:
    source, target = make_runtime(), tmp_path / "target"
    (source / "lib" / "ld.so").write_text("damaged")
    with pytest.raises(InstallError, match="ld.so is not what was built: its SHA-256 is another"):
        install(str(target), str(source))
    assert contents(target) == {}
    with pytest.raises(InstallError, match="ld.so is not what was built"):
        install(str(source), str(source))


def test_where_it_is_already(make_runtime: Make) -> None:
    source = make_runtime()
    before = contents(source)
    assert install(str(source / "lib" / ".."), str(source)) == len(FILES) + 1
    assert contents(source) == before


def test_without_a_runtime_of_its_own(tmp_path: Path) -> None:
    result = subprocess.run(
        [*KHSHIM, "install", str(tmp_path / "target")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.startswith("khshim install: this khshim runs in a Python of this machine")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("words", [[], ["a", "b"], ["--frobnicate"]])
def test_wrong_usage(words: list[str]) -> None:
    result = subprocess.run(
        [*KHSHIM, "install", *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == 64
    assert result.stderr.count("\n") == 1 and "khshim install --help" in result.stderr
