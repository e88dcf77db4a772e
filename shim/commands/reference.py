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
SUMMARY = "turns any script into a Kuberhealthy check"
# Each command: how it is called, and what it does.
COMMANDS = {
    "run": ("khshim [run] [SCRIPT [ARG...]]", "run it, report exit status and stderr"),
    "try": ("khshim try SCRIPT [ARG...]", "show what would be reported, no cluster"),
    "manifest": ("khshim manifest SCRIPT...", "write the resources for kubectl apply"),
    "doctor": ("khshim doctor", "look at what usually goes wrong in a pod"),
    "install": ("khshim install DIR", "copy khshim with its own runtime"),
}


def settings_table() -> str:
    """Return the settings as a table in Markdown, khshim's own before Kuberhealthy's."""
    rows = [(f"`{row.name}`", row.default_words, row.meaning) for row in settings()]
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


def metrics_table() -> str:
    """Return the metrics as a table in Markdown. Needs the extra `metrics`."""
    from shim.observe.metrics import HELP

    rows = [(f"`khshim_{name}`", meaning) for name, meaning in HELP.items()]
    return _table(("metric", "meaning"), rows)


def exit_statuses_table() -> str:
    """Return the exit statuses as a table in Markdown."""
    rows = [(str(status), meaning) for status, meaning in exit_status.MEANINGS.items()]
    return _table(("status", "meaning"), rows)


def overview() -> str:
    """Return the help on all commands, which fits on one screen."""
    names = [f"  {usage:35}{summary}" for usage, summary in COMMANDS.values()]
    statuses = ", ".join(map(str, exit_status.MEANINGS))
    return "\n".join(
        [
            f"khshim {SUMMARY}.",
            "",
            *names,
            "  khshim COMMAND --help | --version",
            "",
            "`run` takes everything from the environment: SHIM_SCRIPT, the other SHIM_",
            "settings, and what Kuberhealthy sets. SCRIPT and ARGs win over it.",
            "",
            "Example:",
            "  khshim try --timeout 10s ./my_check.sh --verbose",
            "",
            f"Exit status of run: {statuses} (see khshim run --help).",
            "Of try and doctor: 0 OK, 1 not OK. 64 for wrong usage of any.",
            "",
        ]
    )


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
    for setting in settings():
        default = plain(setting.default_words)
        lines.append(f"  {setting.name}" + ("" if default == "–" else f"  [{default}]"))
        lines += _wrapped(setting.meaning)
    lines += ["", "Exit status:"]
    lines += [f"  {status:<3} {meaning}" for status, meaning in exit_status.MEANINGS.items()]
    lines += ["", "Example:", "  SHIM_SCRIPT=/checks/web.sh khshim run", ""]
    return "\n".join(lines)


def settings() -> list[Setting[Any]]:
    """Return all settings, khshim's own before Kuberhealthy's."""
    return sorted(SETTINGS, key=lambda setting: setting.name.startswith("KH_"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _wrapped(markdown: str) -> list[str]:
    indent = " " * INDENT
    text = plain(markdown)
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def plain(markdown: str) -> str:
    """Return Markdown as plain text: links by their words, and no marks of code."""
    without_references = re.sub(r" \(\[[^]]*\]\([^)]*\)\)", "", markdown)
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", without_references).replace("`", "")
