"""`khshim manifest --kustomize DIR`: a folder to commit, read by kustomize where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.go_parsers import GoParsers
from tests.support.manifests import Resource, load, manifest

ALL = ("--interval=5m", "--timeout=1m", "--image=registry.example/khshim:1")
WEB = (
    "#!/bin/sh\n# khshim: namespace=shop role=pods cluster-role=nodes file=lib.sh env=A=$(B)\n\n \n"
)
FILES = {"checks/web.sh": WEB, "checks/db_main.py": "import sys\n", "checks/lib.sh": "\tx() { :; }"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the folder checks; its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checks").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    yield tmp_path


def write(*words: str, to: str = "deploy") -> str:
    """Write a kustomization; return what was said of it."""
    result = manifest(*words, *ALL, f"--kustomize={to}")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def files(folder: str) -> dict[str, bytes]:
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def built(folder: str) -> list[Resource]:
    """Return the resources of a kustomization, as kustomize makes them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", folder]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return load(made.stdout)


def in_order(documents: list[Resource]) -> list[Any]:
    return sorted(documents, key=lambda one: (one["kind"], str(sorted(one["metadata"].items()))))


def test_what_is_in_the_folder() -> None:
    assert write("checks") == "deploy: 2 checks; 6 files written, 0 unchanged, 0 removed\n"
    found = files("deploy")
    assert set(found) == {
        *("kustomization.yaml", "db-main.yaml", "web.yaml", ".khshim.sha256"),
        *("scripts/web.sh", "scripts/lib.sh", "scripts/db_main.py"),
    }
    assert found["scripts/web.sh"].decode() == WEB
    [kustomization] = load(found["kustomization.yaml"].decode())
    assert kustomization == {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["db-main.yaml", "web.yaml"],
        "configMapGenerator": [
            {"name": "db-main", "files": ["scripts/db_main.py"]},
            {"name": "web", "namespace": "shop", "files": ["scripts/web.sh", "scripts/lib.sh"]},
        ],
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    stream = load(manifest("checks", *ALL).stdout)
    others = load(found["db-main.yaml"].decode()) + load(found["web.yaml"].decode())
    assert others == [one for one in stream if one["kind"] != "ConfigMap"]


def test_kustomize_makes_of_it_what_goes_to_stdout_otherwise() -> None:
    write("checks")
    stream = load(manifest("checks", *ALL).stdout)
    assert in_order(built("deploy")) == in_order(stream)


@pytest.mark.timeout(300)
def test_go_reads_every_file(go: GoParsers) -> None:
    write("checks")
    for path in Path("deploy").glob("*.yaml"):
        text = path.read_text()
        assert go.read(text) == load(text)


def test_the_second_time_nothing_is_written() -> None:
    write("checks")
    before = files("deploy")
    times = {path: path.stat().st_mtime_ns for path in Path("deploy").rglob("*")}
    assert write("checks") == "deploy: 2 checks; 0 files written, 6 unchanged, 0 removed\n"
    assert files("deploy") == before
    del times[Path("deploy/.khshim.sha256")]
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_its_record_is_one_that_sha256sum_checks() -> None:
    write("checks")
    command = ["sha256sum", "--check", "--strict", "--quiet", ".khshim.sha256"]
    subprocess.run(command, cwd="deploy", check=True)


def test_what_has_changed_is_written_and_what_has_gone_is_removed() -> None:
    write("checks")
    Path("checks/web.sh").write_text("#!/bin/sh\n")
    Path("checks/lib.sh").unlink()
    Path("checks/db_main.py").rename("checks/db.py")
    said = write("checks")
    # A script that is named otherwise makes a new check.
    assert said == "deploy: 2 checks; 5 files written, 0 unchanged, 3 removed\n"
    assert set(files("deploy")) == {
        *("kustomization.yaml", "db.yaml", "web.yaml", ".khshim.sha256"),
        *("scripts/web.sh", "scripts/db.py"),
    }
    assert len(built("deploy")) == 4


@pytest.mark.parametrize(
    "path", ["kustomization.yaml", "web.yaml", "scripts/web.sh", "scripts/lib.sh"]
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_khshim_did_not_write_is_not_overwritten(path: str, is_first: bool) -> None:
    if not is_first:
        write("checks")
    theirs = Path("deploy", path)
    theirs.parent.mkdir(parents=True, exist_ok=True)
    theirs.write_text("# theirs\n")
    before = files("deploy")
    Path("checks/db_main.py").write_text("import os\n")
    result = manifest("checks", *ALL, "--kustomize=deploy")
    assert result.returncode == 1 and result.stdout == ""
    assert f"deploy/{path} is not as khshim wrote it, or not khshim's at all" in result.stderr
    assert files("deploy") == before


def test_what_was_changed_by_hand_is_not_removed() -> None:
    write("checks")
    Path("checks/web.sh").unlink()
    Path("deploy/web.yaml").write_text("# mine now\n")
    write("checks/db_main.py")
    assert "web.yaml" in files("deploy") and "scripts/web.sh" not in files("deploy")


def test_files_of_others_stay() -> None:
    write("checks")
    Path("deploy/patch.yaml").write_text("# theirs\n")
    Path("checks/web.sh").unlink()
    write("checks/db_main.py")
    assert "patch.yaml" in files("deploy")


def test_scripts_that_are_in_the_folder_stay_where_they_are() -> None:
    Path("deploy").mkdir()
    Path("checks").rename("deploy/checks")
    write("deploy/checks")
    assert "scripts/web.sh" not in files("deploy")
    assert len(built("deploy")) == 9
    # They are their author's: neither overwritten nor removed.
    Path("deploy/checks/web.sh").write_text(f"{WEB}echo\n")
    assert "2 files written" not in write("deploy/checks")
    write("deploy/checks/db_main.py")
    assert "checks/web.sh" in files("deploy") and "web.yaml" not in files("deploy")
    # Also where it is khshim's copy that is given as the script.
    Path("other.sh").write_text("#!/bin/sh\n")
    write("other.sh", to="again")
    write("again/scripts/other.sh", to="again")
    assert "scripts/other.sh" in files("again")


def test_a_folder_whose_name_is_odd_to_kustomize() -> None:
    Path("deploy/a=b").mkdir(parents=True)
    Path("deploy/a=b/c.sh").write_text("#!/bin/sh\n")
    write("deploy/a=b")
    assert "scripts/c.sh" in files("deploy")
    assert len(built("deploy")) == 2


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        (
            {"a/x.sh": "# khshim: name=a\n", "b/x.sh": "# khshim: name=b\n"},
            "two files would be scripts/x.sh",
        ),
        (
            {"a/x.sh": "# khshim: namespace=a\n", "b/x.sh": "# khshim: namespace=b\n"},
            "two files would be x.yaml",
        ),
        ({"a/kustomization.sh": "#!/bin/sh\n"}, "would be the kustomization itself"),
    ],
)
def test_two_files_of_one_name(layout: dict[str, str], sentence: str) -> None:
    for name, text in layout.items():
        Path(name).parent.mkdir()
        Path(name).write_text(text)
    result = manifest(*layout, *ALL, "--kustomize=deploy")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert sentence in result.stderr
    assert not Path("deploy").exists()


def test_a_folder_that_cannot_be_written() -> None:
    Path("deploy").write_text("a file\n")
    result = manifest("checks", *ALL, "--kustomize=deploy")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "deploy" in result.stderr and "Not a directory" in result.stderr


def test_a_record_that_leads_out_of_the_folder() -> None:
    """It comes with a repository, perhaps from somebody else's hands."""
    write("checks")
    record = Path("deploy/.khshim.sha256")
    digest = subprocess.run(
        ["sha256sum", "checks/web.sh"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    paths = ["../checks/web.sh", os.path.abspath("checks/web.sh"), "scripts/../../checks/web.sh"]
    lines = "".join(f"{digest}  {path}\n" for path in paths)
    record.write_text(f"{record.read_text()}{lines}no line of it\n")
    write("checks")
    assert Path("checks/web.sh").exists()
