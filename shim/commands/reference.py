"""The tables of the documents and of `khshim run --help`, made from the declarations."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from shim import exit_status
from shim.settings import SETTINGS, Setting

WIDTH = 80
INDENT = 6


def settings_table() -> str:
    """Return the settings as a table in Markdown, khshim's own before Kuberhealthy's."""
    rows = [(f"`{row.name}`", row.default_words, row.meaning) for row in _settings()]
    return _table(("variable", "default", "meaning"), rows)


def events_table() -> str:
    """Return the events of the log as a table in Markdown."""
    from shim.observe.events import (  # the help does without the report's modules
        EVENTS,
        field_names,
    )

    rows = [
        (f"`{event.name}`", event.when, " ".join(f"`{field}`" for field in field_names(event)))
        for event in EVENTS
    ]
    return _table(("event", "when", "fields"), rows)


def exit_statuses_table() -> str:
    """Return the exit statuses as a table in Markdown."""
    rows = [(str(status), meaning) for status, meaning in exit_status.MEANINGS.items()]
    return _table(("status", "meaning"), rows)


def run_help() -> str:
    """Return the help of `khshim run`: every setting and exit status, for a terminal."""
    lines = [
        "khshim [run] [SCRIPT [ARG...]]",
        "",
        "Run a script, and report its exit status and stderr to Kuberhealthy. Everything",
        "comes from the environment; SCRIPT and ARGs win over it.",
        "",
        "Settings:",
    ]
    for setting in _settings():
        default = _plain(setting.default_words)
        lines.append(f"  {setting.name}" + ("" if default == "–" else f"  [{default}]"))
        lines += _wrapped(setting.meaning)
    lines += ["", "Exit status:"]
    lines += [f"  {status:<3} {meaning}" for status, meaning in exit_status.MEANINGS.items()]
    lines += ["", "Example:", "  SHIM_SCRIPT=/checks/web.sh khshim run", ""]
    return "\n".join(lines)


def _settings() -> list[Setting[Any]]:
    return sorted(SETTINGS, key=lambda setting: setting.name.startswith("KH_"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _wrapped(markdown: str) -> list[str]:
    indent = " " * INDENT
    text = _plain(markdown)
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _plain(markdown: str) -> str:
    """Return Markdown as plain text: links by their words, and no marks of code."""
    without_references = re.sub(r" \(\[[^]]*\]\(#[^)]*\)\)", "", markdown)
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", without_references).replace("`", "")
