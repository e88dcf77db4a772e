"""What the bundled scripts say of themselves, and that it is true."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from docs.bundled import SCRIPTS, Bundled, bundled, read
from shim.commands.sources import find
from tests.support.manifests import ROOT, load, manifest, pod_spec

ALL = bundled()
# Every single-purpose check of Kuberhealthy v2 that a script could stand in for.
OFFICIAL = {
    *("deployment-check", "dns-resolution-check", "http-check", "http-content-check"),
    *("image-download-check", "network-connection-check", "pod-restarts-check", "pod-status-check"),
    *("resource-quota-check", "ssl-expiry-check", "ssl-handshake-check"),
}


def test_every_script_is_read() -> None:
    assert {one.name for one in ALL} == {path.name for path in SCRIPTS.iterdir() if path.is_file()}


def test_every_official_check_has_one_that_stands_in_for_it() -> None:
    named = [name for one in ALL for name in one.replaces.split(", ") if name]
    assert sorted(named) == sorted(OFFICIAL)


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_what_a_script_says_of_itself(one: Bundled) -> None:
    assert one.question.endswith("?")
    assert one.variables and one.notes
    assert os.access(SCRIPTS / one.name, os.X_OK)
    assert f"khshim manifest {one.name} " in one.example
    # It is found by its name alone, from anywhere.
    assert find([one.name]).scripts


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_the_example_is_a_check(one: Bundled) -> None:
    """It is written without a complaint, and the script gets what it requires."""
    result = manifest(*shlex.split(one.example)[2:])
    assert result.returncode == 0, result.stderr
    [resource] = [doc for doc in load(result.stdout) if doc["kind"] == "HealthCheck"]
    [container] = pod_spec(resource)["containers"]
    given = {variable["name"] for variable in container["env"]}
    required = {variable.name for variable in one.variables if variable.default is None}
    others = {variable.alternative for variable in one.variables}
    assert required <= given or others & given or "envFrom" in container
    known = {variable.name for variable in one.variables}
    assert {name for name in given if not name.startswith("SHIM_")} <= known


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_script_stands_alone(one: Bundled) -> None:
    """Mounted singly it has nothing beside it: it imports khshim's package and the standard library."""
    text = (SCRIPTS / one.name).read_text()
    if one.name.endswith(".py"):
        assert text.startswith("#!/opt/khshim/bin/python3\n")
        imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        assert imported.isdisjoint({path.stem for path in SCRIPTS.iterdir()})
    else:
        assert text.startswith("#!/bin/sh\n")
        assert not re.search(r"^\s*(\.|source) ", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#!/bin/sh\n# b.sh - is it so?\n", "b.sh begins with|a.sh begins with"),
        ("#!/bin/sh\n# a.sh\n", "a.sh begins with"),
        (
            "#!/bin/sh\n# a.sh - is it so?\n#\n#   NAME  what it is\n",
            "neither 'required' nor a default of NAME",
        ),
    ],
)
def test_a_script_that_does_not_say_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.sh"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read(path)


def test_the_page_shows_each_script_with_its_variables() -> None:
    page = (ROOT / "docs" / "CHECKS.md").read_text()
    for one in ALL:
        section = page.partition(f"### {one.name}\n")[2].partition("\n### ")[0]
        assert one.example in section
        assert all(f"| `{variable.name}` |" in section for variable in one.variables)
