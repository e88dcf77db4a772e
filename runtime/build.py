"""Makes the runtime: khshim with its interpreter and all that this needs, in one folder.

    python3 -m runtime.build --packages DIR --into DIR

It takes what is installed here, on a Debian of any architecture that is 64 bits wide and little-endian:
the Python that runs this, the libraries that it needs, the loader, the authorities for TLS, and from
--packages what pip installed there. What is written into --into works as /opt/khshim in any image; it
is the same, byte for byte, as long as the packages are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from runtime.elf import Elf
from runtime.packages import Component, Debian, common_licenses, python_component
from runtime.sbom import bill_of_materials
from shim.runtime import CONTENTS, HOME, KEPT

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
TRIPLET = sysconfig.get_config_var("MULTIARCH")
STDLIB = Path(sysconfig.get_path("stdlib"))
LIBRARIES = [
    Path(f"/usr/lib/{TRIPLET}"),
    Path(f"/lib/{TRIPLET}"),
    Path(sysconfig.get_config_var("LIBDIR")),  # of a Python that is not Debian's
]
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
AUTHORITIES_MADE_BY = Path("/usr/sbin/update-ca-certificates")
MAIN = """\
import sys

from shim.__main__ import main

sys.exit(main())
"""
# It asks importlib.metadata which version of h2 is installed. None is, and that import is a
# fourteenth of what a run of khshim costs.
NOT_USED = Path("urllib3/http2/__init__.py")
EMPTY = Path(__file__).parent / "__init__.py"
C_OPTIONS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Os", "-static", "-s"]
# The C library loads it when a thread ends early; nothing names it as needed.
ALSO_NEEDED = ["libgcc_s.so.1"]
# Older ones look for the modules that resolve names in the image (libnss_dns.so.2).
OLDEST_C_LIBRARY = (2, 34)
# The time of all files, so that two builds are the same: 1 January 1980 where nothing else is set.
SOURCE_DATE_EPOCH = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))

# What no check needs: tests, tools for developers and terminals, databases in files, other
# packages, and what stands in for a compiled module that is there.
LEFT_OUT = re.compile(
    r"(.+/)?tests?/|(idlelib|tkinter|turtledemo|lib2to3|ensurepip|venv|pydoc_data|distutils|_pyrepl"
    r"|__phello__|curses|dbm|sqlite3|site-packages|dist-packages|lib-dynload|config-.*)/"
    r"|(turtle|pydoc|doctest|pdb|bdb|cmd|cProfile|profile|pstats|pickletools|pyclbr|tabnanny|trace"
    r"|modulefinder|zipapp|webbrowser|antigravity|this|sitecustomize|_distutils_system_mod"
    r"|_(aix|apple|ios|osx)_support|_pydecimal|_pydatetime|_pyio)\.py$"
    r"|_sysconfigdata_"
)
MODULES_LEFT_OUT = re.compile(
    r"_test|_?xx|_ctypes_test|_tkinter|_curses|_g?dbm|readline|_sqlite3|_codecs_|_lsprof|_crypt"
    r"|nis|ossaudio|_uuid"  # the last one would need a library, for uuid1() alone
)


def main() -> int:
    """Build the runtime that the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--packages", type=Path, required=True, help="where pip installed khshim")
    parser.add_argument("--into", type=Path, required=True, help="a folder that is made anew")
    options = parser.parse_args()
    if sys.flags.hash_randomization:
        # A set in bytecode is written in the order of its hashes. And a traceback without
        # the source has no use for columns, which are a tenth of all that is carried.
        command = [sys.executable, "-X", "no_debug_ranges", "-m", "runtime.build", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    Builder(options.packages, options.into).build()
    return 0


class Builder:
    """Writes the runtime into a folder."""

    def __init__(self, packages: Path, into: Path) -> None:
        self._packages = packages
        self._into = into
        self._lib = into / "lib"
        self._stdlib = self._lib / PYTHON
        self._modules = self._stdlib / "lib-dynload"
        # Files of this machine that have become part of the runtime.
        self._taken: set[Path] = set()

    def build(self) -> None:
        """Write everything; the list of contents is last."""
        _check_c_library()
        shutil.rmtree(self._into, ignore_errors=True)
        self._interpreter_and_libraries()
        self._standard_library()
        self._own_packages()
        self._write("cert.pem", self._take(AUTHORITIES))
        self._taken.add(AUTHORITIES_MADE_BY)
        self._launcher()
        self._papers()
        self._contents()
        self._set_times()

    def _interpreter_and_libraries(self) -> None:
        path = Path(os.path.realpath(sys.executable))
        interpreter = Elf(self._take(path))
        loader = Path(os.path.realpath(interpreter.loader()))
        self._write_elf("bin/python3", interpreter)
        needed = [*interpreter.needed(), *ALSO_NEEDED]
        for path in sorted(Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")):
            if not MODULES_LEFT_OUT.match(path.name):
                module = Elf(self._take(path))
                needed += module.needed()
                self._write_elf(f"lib/{PYTHON}/lib-dynload/{path.name}", module)
        libraries: dict[str, Elf] = {}
        while needed:
            name = needed.pop()
            if name not in libraries and name != loader.name:
                libraries[name] = Elf(self._take(_library(name)))
                needed += libraries[name].needed()
        for name, library in libraries.items():
            self._write_elf(f"lib/{name}", library)
        self._write_elf("lib/ld.so", _loader_at_home(Elf(self._take(loader))))

    def _standard_library(self) -> None:
        for source in sorted(STDLIB.rglob("*.py")):
            path = source.relative_to(STDLIB)
            if not LEFT_OUT.match(path.as_posix()) and "__pycache__" not in path.parts:
                self._take(source)
                self._compile(source, path)
        data = STDLIB / f"{sysconfig._get_sysconfigdata_name()}.py"  # type: ignore[attr-defined]
        self._compile(data, Path(data.name))

    def _own_packages(self) -> None:
        """Compile what pip installed into the standard library's folder: one place to look in."""
        for source in sorted(self._packages.rglob("*.py")):
            path = source.relative_to(self._packages)
            self._compile(EMPTY if path == NOT_USED else source, path)
        for folder in sorted(self._packages.glob("*.dist-info")):
            self._write(f"lib/{PYTHON}/{folder.name}/METADATA", (folder / "METADATA").read_bytes())
        for path in sorted((self._packages / "share").rglob("*")):
            if path.is_file():
                inside = f"share/{path.relative_to(self._packages / 'share')}"
                self._write(inside, path.read_bytes(), executable=os.access(path, os.X_OK))

    def _launcher(self) -> None:
        source = Path(__file__).parent / "launcher.c"
        target = self._into / "bin" / "khshim"
        # By its name `khshim doctor` knows it among a process's arguments.
        self._write("lib/khshim", MAIN.encode())
        macros = {"HOME": HOME, "PREFIX": KEPT, "MAIN": f"{HOME}/lib/khshim"}
        subprocess.run(
            [os.environ.get("CC", "musl-gcc"), *C_OPTIONS,
             *(f'-D{name}="{value}"' for name, value in macros.items()), "-o", target, source],
            check=True,
        )  # fmt: skip
        # A part of the C library it is linked with is in it.
        self._taken.add(Path(f"/usr/lib/{TRIPLET.replace('gnu', 'musl')}/libc.a"))

    def _papers(self) -> None:
        """Write the bill of materials and the texts of all licences."""
        debian = Debian()
        names = {debian.owner(path) for path in self._taken} - {""}
        own = [python_component(path) for path in sorted(self._packages.glob("*.dist-info"))]
        [product] = [part for part in own if part.name == "khshim"]
        parts = [debian.component(name) for name in sorted(names)]
        if not debian.owner(Path(os.path.realpath(sys.executable))):
            parts.append(_built_python())
        parts += [part for part in own if part is not product]
        self._write("sbom.cdx.json", bill_of_materials(product, parts).encode())
        for part in [product, *parts]:
            for text in part.texts:
                self._write(f"share/licenses/{part.name}/{text.name}", text.read_bytes())
        for text in common_licenses([text for part in parts for text in part.texts]):
            self._write(f"share/licenses/common-licenses/{text.name}", text.read_bytes())
        note = (Path(__file__).parent / "CHANGES-TO-LIBRARIES").read_bytes()
        self._write("share/licenses/README", note)

    def _contents(self) -> None:
        """Write a list of all files that sha256sum(1) can check."""
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self._into)}\n"
            for path in sorted(self._into.rglob("*"))
            if path.is_file()
        ]
        self._write(CONTENTS, "".join(lines).encode())

    def _set_times(self) -> None:
        for path in [*self._into.rglob("*"), self._into]:
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            os.utime(path, (SOURCE_DATE_EPOCH, SOURCE_DATE_EPOCH))

    def _take(self, path: Path) -> bytes:
        """Return the content of a file of this machine, noting that it is a part now."""
        path = path.resolve(strict=True)
        self._taken.add(path)
        return path.read_bytes()

    def _compile(self, source: Path, path: Path) -> None:
        """Write bytecode alone: never compared with a source, which is not there."""
        target = self._stdlib / path.with_suffix(".pyc")
        target.parent.mkdir(parents=True, exist_ok=True)
        py_compile.compile(
            str(source),
            cfile=str(target),
            dfile=f"{HOME}/lib/{PYTHON}/{path}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )

    def _write_elf(self, name: str, file: Elf) -> None:
        file.set_loader(f"{HOME}/lib/ld.so")
        file.forget_search_path()
        self._write(name, bytes(_with_paths_at_home(file).data), executable=True)

    def _write(self, name: str, data: bytes, *, executable: bool = False) -> None:
        target = self._into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o755 if executable else 0o644)


def _check_c_library() -> None:
    found = os.confstr("CS_GNU_LIBC_VERSION") or ""
    version = tuple(int(part) for part in re.findall(r"[0-9]+", found))
    if version < OLDEST_C_LIBRARY:
        oldest = ".".join(map(str, OLDEST_C_LIBRARY))
        raise SystemExit(
            f"The C library here is {found or 'unknown'}; needed is glibc {oldest} or newer."
        )


def _library(name: str) -> Path:
    """Return where the library `name` is."""
    for folder in LIBRARIES:
        if (folder / name).exists():
            return folder / name
    raise SystemExit(f"{name} is needed, and in none of {', '.join(map(str, LIBRARIES))}.")


def _built_python() -> Component:
    """Return the interpreter as a part, where it is from no package."""
    version = sys.version.partition(" ")[0]
    purl = f"pkg:generic/python@{version}"
    return Component("python", version, "Python-2.0.1", purl, (STDLIB / "LICENSE.txt",))


def _with_paths_at_home(file: Elf) -> Elf:
    """Let `file` look below HOME where it would look into the image.

    The paths are replaced by others of the same length, filled up with slashes, so that
    the file's layout stays as its linker made it.
    """
    for old, new in (
        (f"/usr/lib/{TRIPLET}", f"{HOME}/lib"),  # libraries, OpenSSL's modules, gconv's
        (f"/lib/{TRIPLET}", f"{HOME}/lib"),
        ("/usr/lib/ssl", HOME),  # OpenSSL's cert.pem and openssl.cnf
        ("/usr/lib/locale", f"{HOME}/lib"),
        ("/usr/share/locale", f"{HOME}/lib"),
    ):
        file.replace(old.encode(), new.ljust(len(old), "/").encode())
    return file


def _loader_at_home(loader: Elf) -> Elf:
    """Keep the loader from reading what the image tells its own, and from looking in its folders."""
    for old, new in (
        (b"/etc/ld.so.cache", b"/opt/khshim/none"),
        (b"/etc/ld.so.preload", b"/opt/khshim///none"),
        # Too short to be replaced by HOME; sysfs(5) holds no libraries.
        (b"\0/lib/\0", b"\0/sys/\0"),
        (b"\0/usr/lib/\0", b"\0/sys/////\0"),
    ):
        if not loader.replace(old, new):
            raise SystemExit(f"The loader here is an unknown one: it has no {old!r}.")
    return loader


if __name__ == "__main__":
    raise SystemExit(main())
