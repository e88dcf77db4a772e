"""The runtime: what is in it, that it is built the same each time, and the ways into an image."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.containers import (
    BASE,
    HOME,
    LIMITS,
    PODMAN,
    RESTRICTED,
    ROOTS,
    RUNTIME,
    Cluster,
    podman,
    wait_for,
)
from tests.support.manifests import ROOT

Make = Callable[..., Cluster]
# A kubelet's emptyDir; and any user, as where the cluster chooses one.
ANY_USER = ["--user=1000680000:0", *RESTRICTED]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    """The folder that is in the image for any image."""
    yield Path(podman("image", "mount", RUNTIME).strip()) / HOME.strip("/")
    podman("image", "unmount", RUNTIME)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """An emptyDir, as the kubelet makes it."""
    folder = tmp_path / "volume"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def install(*options: str, into: str = "/install") -> subprocess.CompletedProcess[str]:
    """Run the init container."""
    return subprocess.run(
        [*PODMAN, "run", "--rm", *LIMITS, *ANY_USER, *options, RUNTIME, "install", into],
        capture_output=True,
        check=False,
        text=True,
    )


def run_khshim(*words: str) -> str:
    return podman("run", "--rm", *LIMITS, RUNTIME, *words)


def run_python(text: str) -> str:
    entry = f"--entrypoint={HOME}/bin/python3"
    return podman("run", "--rm", *LIMITS, entry, RUNTIME, "-c", text).strip()


def test_the_image_holds_nothing_else(runtime: Path) -> None:
    top = runtime.parent.parent
    assert [path.name for path in top.iterdir()] == ["opt"]
    assert [path.name for path in (top / "opt").iterdir()] == ["khshim"]
    [image] = json.loads(podman("image", "inspect", RUNTIME))
    assert image["Config"]["Entrypoint"] == ["/opt/khshim/bin/khshim"]
    assert image["Config"]["User"] == "65532:65532"


def test_the_list_of_contents_is_true(runtime: Path) -> None:
    lines = [line.split("  ", 1) for line in (runtime / "SHA256SUMS").read_text().splitlines()]
    listed = {name: digest for digest, name in lines}
    found = {
        str(path.relative_to(runtime)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in runtime.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }
    assert found == listed


def test_everybody_can_read_it_and_nobody_can_write(runtime: Path) -> None:
    for path in [runtime, *runtime.rglob("*")]:
        status = path.lstat()
        assert (status.st_uid, status.st_gid) == (0, 0), path
        assert status.st_mode & 0o7777 in ((0o755,) if path.is_dir() else (0o644, 0o755)), path
        assert not path.is_symlink()


def test_what_makes_a_start_slow_is_not_imported() -> None:
    """A run imports neither site nor importlib.metadata, and no file is compared with a source."""
    entry = [f"--entrypoint={HOME}/bin/python3", RUNTIME, "-I", "-S", "-X", "utf8", "-v"]
    result = subprocess.run(
        [*PODMAN, "run", "--rm", *LIMITS, *entry, f"{HOME}/lib/khshim", "run", "/nothing"],
        capture_output=True,
        check=False,
        text=True,
    )
    imported = set(re.findall(r"^import '?([\w.]+)'? #", result.stderr, re.M))
    assert {"shim.finish", "urllib3.connection"} <= imported
    assert not {"site", "importlib.metadata", "zipfile"} & imported


def test_it_is_small(runtime: Path) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(runtime, arcname=HOME)
    compressed = len(gzip.compress(layer.getvalue(), 6))
    print(f"{layer.tell() / 1e6:.1f} MB, compressed {compressed / 1e6:.1f} MB")
    assert compressed < 12_000_000


def test_no_library_is_looked_for_in_the_image(runtime: Path) -> None:
    loader = [str(runtime / "lib" / "ld.so"), "--help"]
    output = subprocess.run(loader, capture_output=True, check=True, text=True).stdout
    places = re.findall(r"located via (\S+)\)|^  (\S+) \(system search path\)", output, re.M)
    assert {cache or folder for cache, folder in places} == {
        "/opt/khshim/none",
        "/opt/khshim/lib//////",
        "/opt/khshim/lib//////////",
        "/sys",
        "/sys////",
    }
    theirs = re.compile(rb"/usr/lib/(ssl|locale)|/lib/[a-z0-9_]+-linux-gnu/")
    for path in [runtime / "bin/python3", *(runtime / "lib").rglob("*.so*")]:
        assert theirs.search(path.read_bytes()) is None, path


def bill_of_materials(runtime: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((runtime / "sbom.cdx.json").read_text())
    return document


def versions(runtime: Path) -> dict[str, str]:
    components = bill_of_materials(runtime)["components"]
    return {component["name"]: component["version"] for component in components}


def test_the_bill_of_materials_is_true(runtime: Path) -> None:
    """It names the versions that the parts themselves say they have."""
    listed = versions(runtime)
    python, openssl, urllib3 = run_python(
        "import platform, ssl, urllib3\n"
        "print(platform.python_version(), ssl.OPENSSL_VERSION.split()[1], urllib3.__version__)"
    ).split()
    [interpreter] = {v for name, v in listed.items() if re.match(r"python3\.\d+-minimal", name)}
    [library] = {v for name, v in listed.items() if name.startswith("libssl")}
    assert interpreter.startswith(f"{python}-") and library.startswith(f"{openssl}-")
    c_library = (runtime / "lib/libc.so.6").read_bytes()
    assert f"(Debian GLIBC {listed['libc6']})".encode() in c_library
    assert listed["urllib3"] == urllib3
    required = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.M))
    assert required.items() <= listed.items()
    for name in ("ca-certificates", "libgcc-s1", "musl-dev", "zlib1g"):
        assert name in listed
    product = bill_of_materials(runtime)["metadata"]["component"]
    assert run_khshim("--version") == f"khshim {product['version']}\n"


def test_the_bill_of_materials_leaves_nothing_out(runtime: Path) -> None:
    """Each library is from a package that is listed, as dpkg knows of in an image that has them all."""
    names = [path.name for path in (runtime / "lib").glob("*.so.*")]
    command = "for name; do dpkg -S */$name; done"
    output = podman(
        "run", "--rm", *LIMITS, "--entrypoint=/bin/sh", BASE, "-c", command, "sh", *names
    )  # fmt: skip
    packages = {line.partition(":")[0] for line in output.splitlines()}
    assert packages and packages <= versions(runtime).keys()


def test_every_part_has_its_licence(runtime: Path) -> None:
    for name in [*versions(runtime), "khshim"]:
        texts = list((runtime / "share/licenses" / name).iterdir())
        assert any(len(text.read_bytes()) > 500 for text in texts), name
    referred = set()
    for text in (runtime / "share/licenses").glob("*/copyright"):
        words = text.read_text(errors="replace")
        referred |= set(re.findall(r"/usr/share/common-licenses/([\w.-]*\w)", words))
    common = {path.name for path in (runtime / "share/licenses/common-licenses").iterdir()}
    # Debian's GPL, LGPL and so on stand for their newest versions.
    assert {name for name in referred if re.search(r"\d$", name)} <= common | {"LGPL-2"}
    assert "LGPL-2.1" in common


@pytest.mark.timeout(900)
def test_two_builds_are_the_same(runtime: Path) -> None:
    again = "localhost/khshim-again"
    base = podman("image", "inspect", "--format={{.Digest}}", BASE).strip()
    subprocess.run(
        ["buildah", "--storage-driver=overlay", "build", "--isolation=chroot", "--pull-never",
         "--network=host", "--no-cache", "--target=runtime", f"--build-arg=BASE={BASE}@{base}",
         f"--tag={again}", "."],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    try:
        other = Path(podman("image", "mount", again).strip()) / HOME.strip("/")
        assert contents(other) == contents(runtime)
    finally:
        podman("image", "unmount", again)
        podman("rmi", again)


def contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time of change and bytes of all there is in a folder."""
    result = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        result[str(path.relative_to(folder))] = (status.st_mode, int(status.st_mtime), data)
    return result


@pytest.fixture(params=["init container", "image volume"])
def way_in(request: pytest.FixtureRequest, runtime: Path, volume: Path) -> str:
    """The option that gives a container khshim: the other ways that a pod can have it."""
    if request.param == "image volume":
        return f"--volume={runtime}:{HOME}:ro"  # mounted by the kubelet with subPath: opt/khshim
    result = install(f"--volume={volume}:/install")
    assert result.returncode == 0, result.stderr
    return f"--volume={volume}:{HOME}:ro"


@pytest.mark.parametrize("root", ROOTS)
def test_the_ways_into_a_pod(make_cluster: Make, way_in: str, root: str) -> None:
    cluster = make_cluster(image=f"localhost/khshim-root-{root}")
    script = "import sys\nsys.exit('no such luck')\n"
    options = [way_in, f"--entrypoint={HOME}/bin/khshim", *ANY_USER]
    options.append(cluster.mount(script, "check.py"))
    assert cluster.run("run", "check.py", options=options) == (False, ["no such luck"])


@pytest.mark.parametrize("root", ROOTS)
def test_stopping_a_pod(make_cluster: Make, way_in: str, root: str) -> None:
    cluster = make_cluster(image=f"localhost/khshim-root-{root}")
    script = "import signal\nprint('ready', flush=True)\nsignal.pause()\n"
    options = [way_in, f"--entrypoint={HOME}/bin/khshim", *ANY_USER]
    options.append(cluster.mount(script, "check.py"))
    process = cluster.start("run", "check.py", options=options)
    wait_for(process, b"ready")
    podman("kill", "--signal=TERM", cluster.name)
    process.communicate()
    assert cluster.receiver.stored is not None
    assert cluster.receiver.stored[1][0].startswith("khshim was told to stop by SIGTERM")


def test_it_says_where_it_must_be(runtime: Path) -> None:
    options = [f"--volume={runtime}:/elsewhere:ro", "--entrypoint=/elsewhere/bin/khshim"]
    result = subprocess.run(
        [*PODMAN, "run", "--rm", *LIMITS, *options, "localhost/khshim-root-static", "--version"],
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 78
    assert result.stderr == (
        "khshim: its interpreter /opt/khshim/bin/python3 cannot be started: No such file or"
        " directory. khshim works at /opt/khshim only, and was started as"
        " /elsewhere/bin/khshim: copy or mount its whole folder there.\n"
    )


def test_install_is_complete(runtime: Path, volume: Path) -> None:
    result = install(f"--volume={volume}:/install")
    assert (result.returncode, result.stderr) == (0, "")
    files = len([path for path in runtime.rglob("*") if path.is_file()])
    assert (
        f"is in /install: {files} files, each verified. It works at /opt/khshim." in result.stdout
    )
    copied, original = contents(volume), contents(runtime)
    for name in original.keys() | copied.keys() - {"."}:
        if name != ".":
            assert copied[name][0] == original[name][0], name
            assert copied[name][2] == original[name][2], name


def test_install_again(volume: Path) -> None:
    """An init container can run twice, and be interrupted; an older khshim gives way."""
    for _ in range(2):
        assert install(f"--volume={volume}:/install").returncode == 0
    assert (volume / "bin" / "khshim").exists()
    assert not list(volume.glob(".*"))


def test_install_at_the_place_it_is_at() -> None:
    result = install(into=HOME)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_damaged_file_is_not_installed(volume: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "cert.pem"
    damaged.write_text("damaged")
    result = install(f"--volume={volume}:/install", f"--volume={damaged}:{HOME}/cert.pem:ro")
    assert result.returncode == 1
    assert "cert.pem is not what was built: its SHA-256 is another" in result.stderr
    assert not list(volume.iterdir())


def test_a_volume_that_is_too_small(volume: Path) -> None:
    result = install("--mount=type=tmpfs,dst=/install,tmpfs-size=8m,tmpfs-mode=0777")
    assert result.returncode == 1
    assert re.fullmatch(r"khshim install: .*: No space left on device\n", result.stderr)


def test_a_volume_that_is_read_only(volume: Path) -> None:
    result = install(f"--volume={volume}:/install:ro")
    assert result.returncode == 1
    assert result.stderr.endswith(": Read-only file system\n") and result.stderr.count("\n") == 1
