"""The documents name tests and files that exist."""

from __future__ import annotations

import re
import subprocess
from itertools import count

import pytest

from docs.command_line import PARSERS
from docs.generate import MADE, paths, written
from shim.settings import SETTINGS
from tests.support.manifests import ROOT

RELIABILITY = (ROOT / "docs" / "RELIABILITY.md").read_text()
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\(([^)\s]+)\)")
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/**/README.md")]
    if not any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts)
)
FUNCTIONS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))


def without_code(text: str) -> str:
    """Return Markdown without its blocks and spans of code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^ *```.*?^ *```$", "", text))


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings of a document in Markdown, as GitHub makes them."""
    found: set[str] = set()
    text = re.sub(r"(?ms)^ *```.*?^ *```$", "", text)
    for heading in re.findall(r"(?m)^#+ +(.*?) *$", text):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        again = next(number for number in count(0) if _numbered(anchor, number) not in found)
        found.add(_numbered(anchor, again))
    return found


def _numbered(anchor: str, number: int) -> str:
    return f"{anchor}-{number}" if number else anchor


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([^`]*test_[^`]*)`", RELIABILITY))))
def test_every_test_that_is_named_exists(reference: str) -> None:
    file, _, name = reference.rpartition("::") if "::" in reference else ("", "", reference)
    if reference.endswith(".py"):
        file, name = reference, ""
    if file:
        assert (ROOT / "tests" / file.removeprefix("tests/")).is_file()
    for part in name.strip("…").split("…"):
        assert re.search(rf"def test_\w*{re.escape(part.removeprefix('test_'))}", FUNCTIONS), part


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    for target in LINK.findall(without_code(path.read_text())):
        if re.match("https?:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(there.read_text()), target


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("## What the script gets, and when it ends", "what-the-script-gets-and-when-it-ends"),
        ("### `khshim try` & co.", "khshim-try--co"),
        ("## [Settings](docs/SETTINGS.md)", "settings"),
    ],
)
def test_anchors_are_as_github_makes_them(heading: str, anchor: str) -> None:
    assert anchors(f"# First\n\n{heading}\n\n{heading}\n") == {"first", anchor, f"{anchor}-1"}


def test_a_hash_in_code_is_no_heading() -> None:
    assert anchors("```sh\n# khshim: interval=5m\n```\n") == set()


def test_every_page_is_named_in_the_readme() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")}
    assert pages <= {target.partition("#")[0] for target in LINK.findall(README)}


@pytest.mark.parametrize("path", paths())
def test_every_document_is_as_the_declarations_have_it(path: str) -> None:
    """The tables of settings, events, commands and so on, and the image's version."""
    assert written(path) == (ROOT / path).read_text(), "run: make docs"


@pytest.mark.parametrize("path", MADE)
def test_man_page_and_completions_are_as_the_parsers_have_them(path: str) -> None:
    for tool in ("argparse_manpage", "shtab"):
        pytest.importorskip(tool, reason="needs the extra: pip install 'khshim[docs]'")
    assert MADE[path]() == (ROOT / path).read_text(), "run: make docs"


def test_the_man_page_names_every_command_option_and_setting() -> None:
    page = (ROOT / "share/man/khshim.1").read_text().replace("\\-", "-")
    for command, make in PARSERS.items():
        assert command in page
        for option in set(make().options()) - {"--help"}:
            assert option in page, option
    for setting in SETTINGS:
        assert f"\\fB{setting.name}\\fR" in page


def complete_in_bash(words: str) -> set[str]:
    """Return what bash offers for the last of `words`."""
    script = (
        f"source {ROOT}/share/completions/khshim; COMP_WORDS=({words}); [ \"$1\" ] || COMP_WORDS+=('')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); $(complete -p khshim | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
        ' khshim "${COMP_WORDS[COMP_CWORD]}"; printf \'%s\\n\' "${COMPREPLY[@]}"'
    )
    partial = "" if words.endswith(" ") else "partial"
    command = ["bash", "-c", script, "bash", partial]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("khshim ", {"run", "try", "manifest", "doctor", "install"}),
        ("khshim man", {"manifest"}),
        ("khshim try --ti", {"--timeout"}),
        ("khshim try --server ", {"v2", "v3"}),
    ],
)
def test_bash_completes(words: str, offered: set[str]) -> None:
    assert complete_in_bash(words) == offered


def test_every_file_that_names_the_image_is_kept_at_its_version() -> None:
    named = subprocess.run(
        ["git", "grep", "-lE", r"khshim:[0-9]+\.[0-9]+\.[0-9]+"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if named.returncode > 1:
        pytest.skip("not a git checkout")
    assert set(named.stdout.split()) <= {*paths(), *MADE}
