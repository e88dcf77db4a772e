"""The documents name tests and files that exist."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from docs.generate import BLOCKS, filled
from tests.manifests import ROOT

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


@pytest.mark.parametrize(("document", "name", "content"), BLOCKS)
def test_every_table_is_as_the_declarations_have_it(
    document: str, name: str, content: Callable[[], str]
) -> None:
    text = (ROOT / document).read_text()
    assert filled(text, name, content()) == text, "run: make docs"
