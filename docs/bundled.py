"""What the bundled checks say of themselves at their top, and the tables that are made from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shim.folder.find import HEADER

SCRIPTS = Path(__file__).parent.parent / "scripts"
_VARIABLE = re.compile(r" {0,2}([A-Z][A-Z_]+)  +(\S.*)")
_FIELD = re.compile(r"(Example|Replaces): (.*)")


class Variable(NamedTuple):
    """A variable that a script reads.

    `default` is None where it is required, and `alternative` then what else will do, if there is
    anything.
    """

    name: str
    meaning: str
    default: str | None
    alternative: str = ""


class Bundled(NamedTuple):
    """A bundled script. `replaces` names the official images that do the same, if there are any."""

    name: str
    question: str
    variables: list[Variable]
    notes: str
    example: str
    replaces: str
    rights: str


def bundled() -> list[Bundled]:
    """Return all bundled scripts, in the order of their names."""
    return [read(path) for path in sorted(SCRIPTS.iterdir()) if path.suffix in (".sh", ".py")]


def read(path: Path) -> Bundled:
    """Return what a script says of itself; raises ValueError where a part is missing."""
    text = path.read_text()
    lines = list(_top(text, path.suffix))
    name, _, question = lines[0].partition(" - ")
    if name != path.name or not question:
        raise ValueError(f"{path.name} begins with '{lines[0]}', not with '{path.name} - …?'")
    variables: list[tuple[str, str]] = []
    fields: dict[str, str] = {}
    notes: list[str] = []
    field = ""
    for line in lines[1:]:
        variable, match = _VARIABLE.fullmatch(line), _FIELD.fullmatch(line)
        if not line:
            notes.append("")
        elif variable:
            variables.append((variable[1], variable[2]))
        elif match:
            field = match[1]
            fields[field] = match[2]
        elif field:
            fields[field] += f" {line.strip()}"
        elif variables and line.startswith("   "):
            known, meaning = variables.pop()
            variables.append((known, f"{meaning} {line.strip()}"))
        else:
            notes.append(line)
    own = [match[1].strip() for match in map(HEADER.match, text.split("\n")) if match]
    return Bundled(
        name,
        question,
        [_variable(path.name, *one) for one in variables],
        " ".join("\n".join(notes).split()),
        fields.get("Example", ""),
        fields.get("Replaces", ""),
        " ".join(own),
    )


def _top(text: str, suffix: str) -> Iterator[str]:
    """Yield the lines at the top of a script that are for people."""
    if suffix == ".py":
        yield from (ast.get_docstring(ast.parse(text)) or "").split("\n")
        return
    for line in text.split("\n")[1:]:
        if not line.startswith("#"):
            return
        yield line.removeprefix("#").removeprefix(" ")


def _variable(script: str, name: str, text: str) -> Variable:
    match = re.fullmatch(r"(.*?) +\((required|default: )(.*)\)", text)
    if match is None:
        raise ValueError(f"{script} says neither 'required' nor a default of {name}")
    meaning, kind, rest = match.groups()
    if kind == "required":
        return Variable(name, meaning, None, rest.removeprefix(", or "))
    return Variable(name, meaning, rest)


def overview() -> str:
    """Return the README's table of all bundled checks."""
    lines = ["| script | question | variables | in place of |", "| --- | --- | --- | --- |"]
    for one in bundled():
        # A required one is in bold.
        names = [
            f"`{v.name}`" if v.default is not None else f"**`{v.name}`**" for v in one.variables
        ]
        link = f"[{one.name}](scripts/{one.name})"
        lines.append(f"| {link} | {one.question} | {' '.join(names)} | {one.replaces or '–'} |")
    return "\n".join(lines) + "\n"


def details() -> str:
    """Return a section for each bundled check, for docs/CHECKS.md."""
    return "\n".join(_section(one) for one in bundled())


def _section(one: Bundled) -> str:
    lines = [f"### {one.name}", "", one.question[:1].upper() + one.question[1:]]
    if one.notes:
        lines += ["", one.notes]
    lines += ["", "| variable | default | meaning |", "| --- | --- | --- |"]
    for name, meaning, default, alternative in one.variables:
        required = f"**required**, or {alternative}" if alternative else "**required**"
        shown = required if default is None else default
        lines.append(f"| `{name}` | {shown} | {meaning.replace('|', chr(92) + '|')} |")
    lines += ["", "```sh", one.example, "```", ""]
    if one.rights:
        lines += [f"Rights: `{one.rights}`, which `khshim manifest` reads in the script.", ""]
    return "\n".join(lines)
