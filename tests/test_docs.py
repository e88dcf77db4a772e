"""The documents name tests and files that exist."""

from __future__ import annotations

import re
import subprocess

import pytest

from docs.generate import NAMES_THE_IMAGE, paths, written
from tests.support.manifests import ROOT

RELIABILITY = (ROOT / "docs" / "RELIABILITY.md").read_text()
FUNCTIONS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([^`]*test_[^`]*)`", RELIABILITY))))
def test_every_test_that_is_named_exists(reference: str) -> None:
    file, _, name = reference.rpartition("::") if "::" in reference else ("", "", reference)
    if reference.endswith(".py"):
        file, name = reference, ""
    if file:
        assert (ROOT / "tests" / file.removeprefix("tests/")).is_file()
    for part in name.strip("…").split("…"):
        assert re.search(rf"def test_\w*{re.escape(part.removeprefix('test_'))}", FUNCTIONS), part


@pytest.mark.parametrize("document", ["README.md", "docs/RELIABILITY.md"])
def test_every_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", paths())
def test_every_document_is_as_the_declarations_have_it(path: str) -> None:
    """The tables of settings, events and exit statuses, and the image's version."""
    assert written(path) == (ROOT / path).read_text(), "run: make docs"


def test_every_file_that_names_the_image_is_kept_at_its_version() -> None:
    named = subprocess.run(
        ["git", "grep", "-lE", r"khshim:[0-9]+\.[0-9]+\.[0-9]+"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if named.returncode > 1:
        pytest.skip("not a git checkout")
    assert set(named.stdout.split()) <= set(NAMES_THE_IMAGE)
