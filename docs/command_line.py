"""The man page, the shell completions and docs/COMMANDS.md, made from the parsers of the commands.

Man page and completions need the extra `docs`: argparse-manpage and shtab.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any

import shim
from shim import exit_status
from shim.commands import doctor, install, manifest_options, try_script
from shim.commands.arguments import Parser
from shim.commands.reference import COMMANDS, SUMMARY, plain, settings

PARSERS: dict[str, Callable[[], Parser]] = {
    "try": try_script.parser,
    "manifest": manifest_options.parser,
    "doctor": doctor.parser,
    "install": install.parser,
}
# What completes the name of a file, by the destinations of options and arguments.
TAKES_A_FILE = ("command", "script", "scripts", "junit", "files", "log")
TAKES_A_FOLDER = ("kustomize", "folder")
SEE_SETTINGS = "[Settings](SETTINGS.md), [What is reported](REPORTS.md)"


def man_page() -> str:
    """Return the man page in the language of man(7)."""
    from argparse_manpage.manpage import Manpage

    page = Manpage(
        _whole(),
        {
            "project_name": "khshim",
            "version": shim.__version__,
            "manual_title": "khshim",
            "description": SUMMARY,
            "date": "undated",
        },
    )
    page.date = ""  # the page is the same on every day
    for heading, entries in (
        ("environment", [(row.name, row.default_words, row.meaning) for row in settings()]),
        ("exit status of run", [(str(k), "–", v) for k, v in exit_status.MEANINGS.items()]),
    ):
        page.add_section(heading, ">", "\n".join(_entry(*entry) for entry in entries))
    for name, make in PARSERS.items():
        if epilog := make().epilog:
            page.add_section(f"notes on {name}", ">", f".nf\n{_lines(epilog)}\n.fi")
    return re.sub(r"[ \t]+$", "", str(page), flags=re.MULTILINE)


def tables() -> str:
    """Return every command in Markdown: how it is called, what it does, and its options."""
    parts = []
    for name, (usage, summary) in COMMANDS.items():
        parser = PARSERS[name]() if name in PARSERS else _run()
        parts.append(f"\n## khshim {name}\n\n`{_usage(parser) or usage}`\n\n")
        description = parser.description if name in PARSERS else f"{summary}: {SEE_SETTINGS}"
        text = " ".join((description or summary).split())
        parts.append(f"{text[0].upper()}{text[1:]}\n")
        for group in parser._action_groups:
            shown = (action for action in group._group_actions if action.dest != "help")
            rows = [_row(parser, action) for action in shown]
            if rows:
                parts.append(f"\n| {_title(group)} | meaning | default |\n| --- | --- | --- |\n")
                parts += rows
    return "".join(parts) + "\n"


def completion(shell: str) -> str:
    """Return what completes the command line in `shell`, "bash" or "zsh"."""
    import shtab

    parser = _whole()
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):
            for name, (_, summary) in COMMANDS.items():
                action.choices[name].description = summary  # one line, and not the first of many
        if action.dest in TAKES_A_FILE:
            action.complete = shtab.FILE
        elif action.dest in TAKES_A_FOLDER:
            action.complete = shtab.DIRECTORY
    text: str = shtab.complete(parser, shell)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip("\n") + "\n"


def _whole() -> argparse.ArgumentParser:
    """Return a parser of all commands, which only these documents are made from."""
    whole = argparse.ArgumentParser("khshim", description=SUMMARY)
    whole.add_argument("--version", action="store_true", help="print the version and exit")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND")
    for name, (usage, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary)
        own = PARSERS[name]() if name in PARSERS else _run()
        own.usage = own.usage or usage
        # In the place of the one just made: with `parents` up to Python 3.13 an option that
        # excludes another one is not in its group any more.
        commands.choices[name] = own
    return whole


def _run() -> argparse.ArgumentParser:
    run = argparse.ArgumentParser("khshim run", description="Settings: see ENVIRONMENT.")
    run.add_argument("script", metavar="SCRIPT", nargs="?", help="wins over SHIM_SCRIPT")
    run.add_argument("args", metavar="ARG", nargs="*", help="wins over SHIM_ARGS")
    return run


def _usage(parser: argparse.ArgumentParser) -> str:
    return (parser.usage or "").removeprefix("usage: ")


def _title(group: Any) -> str:
    return {"positional arguments": "argument", "options": "option"}.get(group.title, group.title)


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else "")
    names = ", ".join(action.option_strings)
    shown = " ".join(filter(None, (names, str(value))))
    text, _, default = parser._get_formatter()._expand_help(action).partition(" (default: ")
    cells = [f"`{shown}`", text, default.removesuffix(")")]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _actions(parser: argparse.ArgumentParser) -> list[Any]:
    found: list[Any] = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for own in action.choices.values():
                found += _actions(own)
    return found


def _entry(name: str, default: str, meaning: str) -> str:
    shown = "" if default == "–" else f" [{plain(default)}]"
    return f".TP\n\\fB{_roff(name)}\\fR{_roff(shown)}\n{_roff(plain(meaning))}"


def _lines(text: str) -> str:
    return "\n".join(map(_roff, text.rstrip("\n").split("\n")))


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text
