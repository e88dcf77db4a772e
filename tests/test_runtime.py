"""What the runtime is made with; what comes of it is tested in containers (tests/image)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runtime.elf import Elf
from shim.runtime import original_environ


def test_the_launchers_changes_are_undone() -> None:
    environ = {"KHSHIM_KEPT_LD_PRELOAD": "/x.so", "PATH": "/bin", "KHSHIM_KEPT_OPENSSL_CONF": ""}
    assert original_environ(environ) == {"LD_PRELOAD": "/x.so", "PATH": "/bin", "OPENSSL_CONF": ""}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A copy of a program that needs libraries."""
    copy = tmp_path / "program"
    copy.write_bytes(Path("/bin/ls").resolve().read_bytes())
    copy.chmod(0o755)
    return copy


def test_what_a_program_needs(program: Path) -> None:
    elf = Elf(program.read_bytes())
    output = subprocess.run(["ldd", program], capture_output=True, check=True, text=True).stdout
    assert elf.needed() and all(f"{name} =>" in output for name in elf.needed())
    assert elf.loader() in output


def test_another_loader_in_place(program: Path) -> None:
    elf = Elf(program.read_bytes())
    size = len(elf.data)
    elf.set_loader("/nowhere/ld.so")
    assert elf.loader() == "/nowhere/ld.so" and len(elf.data) == size
    program.write_bytes(elf.data)
    with pytest.raises(FileNotFoundError):
        subprocess.run([program], check=False)


def test_what_does_not_fit(program: Path) -> None:
    elf = Elf(program.read_bytes())
    with pytest.raises(ValueError, match="no room"):
        elf.set_loader("/" + "x" * 200)
    with pytest.raises(ValueError, match="does not fit"):
        elf.replace(b"/lib", b"/longer")
    assert bytes(elf.data) == program.read_bytes()


def test_a_library_path_that_is_built_in_is_forgotten(tmp_path: Path) -> None:
    """Python's own build system gives its interpreters one, and Debian's does not."""
    cc = next((path for path in ("/usr/bin/cc", "/usr/bin/gcc") if os.path.exists(path)), None)
    if cc is None:
        pytest.skip("there is no compiler here")
    source, library = tmp_path / "own.c", tmp_path / "libown.so"
    source.write_text("int own(void) { return 0; }\n")
    subprocess.run([cc, "-shared", "-fPIC", "-o", library, source], check=True)
    (tmp_path / "main.c").write_text("int own(void); int main(void) { return own(); }\n")
    program = tmp_path / "main"
    subprocess.run(
        [cc, "-o", program, tmp_path / "main.c", library, f"-Wl,-rpath,{tmp_path}"], check=True
    )
    environ = {"LD_DEBUG": "libs"}
    before = subprocess.run([program], env=environ, capture_output=True, text=True, check=False)
    elf = Elf(program.read_bytes())
    elf.forget_search_path()
    program.write_bytes(elf.data)
    after = subprocess.run([program], env=environ, capture_output=True, text=True, check=False)
    assert f"search path={tmp_path}" in before.stderr
    assert f"search path={tmp_path}" not in after.stderr


def test_what_is_no_elf_file() -> None:
    with pytest.raises(ValueError, match="no 64-bit"):
        Elf(Path(__file__).read_bytes())
    with pytest.raises(ValueError, match="no 64-bit"):
        Elf(b"")
