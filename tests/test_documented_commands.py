"""Every command that a document tells a reader to type is run, or is known not to be and why."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pytest

import shim
from tests.support.documents import ROOT, Block, blocks, commands, pod, prepare

LANGUAGES = {"bash", "dockerfile", "json", "mermaid", "python", "sh", "text", "yaml"}
# Where the ways to install it put the command, below the home directory.
PLACES = ("khshim/bin", ".local/bin", "venv/bin")
BLOCKS = [block for block in blocks() if block.language == "sh"]


class Where(Enum):
    HERE = "run by this file; the note is what it writes"
    CLONE = "run by this file as a whole block, with a clone of this repository"
    INSTALLS = "run by this file where the package index can be reached"
    IMAGE = "run by tests/image/test_documented_containers.py; the note is what it writes"
    ELSEWHERE = "not run by a test of this kind; the note says what runs it, or why nothing can"


class Row(NamedTuple):
    """Commands that a pattern matches in whole, and where they are run."""

    pattern: str
    where: Where
    note: str
    status: int = 0


# A command belongs to the first row that matches it.
TABLE = [
    Row(r"git clone .*|cd khshim|make try", Where.CLONE, ""),
    Row(r"make test|make quick", Where.ELSEWHERE, "they run this file"),
    Row(
        r"make image|docker build .*", Where.ELSEWHERE, "tests/image/prepare, on a base of its own"
    ),
    Row(r"docker push .*", Where.ELSEWHERE, "needs a registry"),
    Row(r"kind load .*", Where.ELSEWHERE, "needs a cluster made by kind"),
    Row(
        r"kubectl port-forward .*|curl .*/json",
        Where.ELSEWHERE,
        "tests/kuberhealthy reads the page",
    ),
    Row(
        r"docker run .* \| kubectl apply -f -", Where.IMAGE, "(?s).*healthcheck.*/my-check created"
    ),
    Row(
        r"docker run .* try --json .*",
        Where.IMAGE,
        r'\{"OK": false, "Errors": \["no such luck"\]\}',
        1,
    ),
    Row(r"docker tag .*|mkdir -p checks|echo .* >checks/.*", Where.IMAGE, ""),
    Row(r"pipx install \.|uv tool install \.", Where.INSTALLS, ""),
    Row(r"python3 -m venv .*|pip install .*", Where.INSTALLS, ""),
    Row(r"kubectl proxy &|KUBERNETES_API=.*", Where.ELSEWHERE, "tests/cluster/test_bundled.py"),
    Row(r"khshim try \./my_script\.sh", Where.HERE, "(?s).*OK   reported"),
    Row(r"SHIM_SCRIPT=checks/ khshim try", Where.HERE, "(?s).*OK   reported"),
    Row(r"khshim try checks/", Where.HERE, "(?s)SCRIPT .*2 of 2 OK"),
    Row(
        r"khshim manifest my_check.* \| kubectl .*",
        Where.HERE,
        "configmap/my-check created\nhealthch",
    ),
    Row(
        r"khshim manifest postgres.* \| kubectl .*",
        Where.HERE,
        "configmap/postgres created\nhealthch",
    ),
    Row(
        r"khshim manifest checks/ --together shop .* \| kubectl .*",
        Where.HERE,
        "configmap/shop created\nhealthch",
    ),
    Row(
        r"khshim manifest checks/ .* \| kubectl .*",
        Where.HERE,
        "(?s).*/orders created.*/web-shop cr",
    ),
    Row(
        r"khshim manifest checks/ .* --kustomize .*",
        Where.HERE,
        "deploy: 2 checks; 5 files written",
    ),
    Row(r"khshim manifest .*", Where.HERE, "(?s)---\n.*kind: HealthCheck"),
    Row(r"kubectl apply -k deploy", Where.HERE, "(?s).*healthcheck.*/web-shop created"),
    Row(r"kubectl create secret docker-registry .*", Where.HERE, ""),
    Row(r"kubectl exec POD -- khshim doctor", Where.HERE, "(?s)ok    settings.*ok    server"),
    Row(r"kubectl logs POD \| docker run .* doctor --log -", Where.IMAGE, "OK: The script passed"),
    Row(r"kubectl logs POD \| khshim doctor --log -", Where.HERE, "OK: The script passed"),
    Row(r"kubectl logs POD \| .*'select.*exit_code != 0.*", Where.HERE, "$"),
    Row(r"kubectl logs POD \| .*", Where.HERE, "(?s).*script_started.*report_accepted"),
    Row(r"kubectl patch crd .*", Where.HERE, "customresourcedefinition.* patched"),
    Row(r"source \.venv/bin/activate", Where.HERE, ""),
    Row(r"source share/completions/khshim", Where.HERE, ""),
]


def row_of(command: str) -> Row | None:
    return next((row for row in TABLE if re.fullmatch(row.pattern, command)), None)


def lines_for(block: Block, where: Where) -> list[str]:
    """Return a block's commands that are run there."""
    return [line for line in block.lines if (row := row_of(line)) and row.where is where]


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_a_class(command: str) -> None:
    assert row_of(command) is not None, "say in TABLE where it is run, or why nowhere"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.pattern)
def test_every_row_has_a_command(row: Row) -> None:
    assert any(row_of(command) is row for command in commands())


@pytest.mark.parametrize("block", blocks(), ids=Block.name)
def test_a_block_is_commands_to_copy_or_something_else_and_says_which(block: Block) -> None:
    assert block.language in LANGUAGES
    prompts = [line for line in block.lines if re.match(r"[$#>] ", line)]
    assert block.language not in ("sh", "text", "json") or not prompts
    if block.language == "sh":
        assert (
            subprocess.run(["bash", "-n", "-c", "\n".join(block.lines)], check=False).returncode
            == 0
        )
        assert not any(line.endswith("\\") for line in block.lines), "a line is a command"


def test_no_block_is_indented_where_nobody_looks_for_commands() -> None:
    for path in {block.document for block in blocks()}:
        text = re.sub(r"(?ms)^ *```.*?^ *```$", "", (Path(ROOT) / path).read_text())
        assert not re.findall(r"(?m)(?<=\n)\n {4,}\S.*", text), path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def run(line: str, folder: Path, environ: Mapping[str, str], status: int = 0) -> str:
    """Run what is typed in bash, see that it ends so, and return what it writes."""
    script = f"set -o pipefail\n{line}"
    ran = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.whole_run
@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if lines_for(block, Where.HERE)], ids=Block.name
)
def test_it_does_what_the_document_says(block: Block, folder: Path) -> None:
    lines = lines_for(block, Where.HERE)
    if any("| jq" in line for line in lines) and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    with pod(folder) as environ:
        for line in lines:
            row = row_of(line)
            assert row is not None
            written = run(line, folder, environ, row.status)
            assert re.match(row.note, written), written


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository to clone: this one's last commit. Skips the test without it, or without an index."""
    clone = ["git", "clone", "--quiet", "--bare", str(ROOT), str(tmp_path / "origin")]
    if subprocess.run(clone, check=False, capture_output=True).returncode != 0:
        pytest.skip("not a git checkout")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=0", "--no-deps"]
    download = [*pip, "--dest", str(tmp_path / "index"), "setuptools"]
    if subprocess.run(download, check=False, capture_output=True).returncode != 0:
        pytest.skip("the package index cannot be reached")
    return tmp_path / "origin"


@pytest.mark.whole_run
@pytest.mark.timeout(300)
def test_the_first_minutes(origin: Path, tmp_path: Path) -> None:
    block = BLOCKS[0]
    assert lines_for(block, Where.CLONE) == block.lines
    typed = re.sub(r"https://\S+", str(origin), "\n".join(block.lines))
    assert str(origin) in typed
    written = run(f"set -e\n{typed.replace(str(origin), f'{origin} khshim')}", tmp_path, os.environ)
    assert re.findall("(?m)^(?:NOT )?OK", written) == ["OK", "NOT OK", "NOT OK"]
    assert "Timed out: the script was still running" in written


@pytest.mark.whole_run
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command", [line for block in BLOCKS for line in lines_for(block, Where.INSTALLS)]
)
def test_it_can_be_installed(command: str, origin: Path, tmp_path: Path) -> None:
    tool = command.split()[0]
    if not shutil.which(tool):
        pytest.skip(f"{tool} is not installed")
    subprocess.run(["git", "clone", "--quiet", origin, tmp_path / "checkout"], check=True)
    environ = {**os.environ, "HOME": str(tmp_path), "PIPX_HOME": str(tmp_path / "pipx")}
    if tool == "pip":  # in whatever environment the reader is in
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
        environ["PATH"] = f"{tmp_path}/venv/bin:{environ['PATH']}"
    run(command, tmp_path / "checkout", environ)
    places = (tmp_path / place / "khshim" for place in PLACES)
    [installed] = [path for path in places if path.is_file()]
    told = subprocess.run([installed, "--version"], capture_output=True, text=True, check=True)
    assert shim.__version__ in told.stdout
