"""The tables of the documents and the help, made from the declarations."""

from __future__ import annotations

import re

from shim import exit_status
from shim.commands.reference import events_table, exit_statuses_table, run_help, settings_table
from shim.observe.events import EVENTS
from shim.settings import SETTINGS


def rows(table: str, columns: int) -> list[list[str]]:
    """Return the cells of a table in Markdown without its head."""
    found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert {len(row) for row in found} == {columns}
    assert found[1] == ["---"] * columns
    return found[2:]


def test_every_setting_has_a_row_and_khshims_own_come_first() -> None:
    names = [row[0].strip("`") for row in rows(settings_table(), 3)]
    assert sorted(names) == sorted(setting.name for setting in SETTINGS)
    prefixes = [name.partition("_")[0] for name in names]
    assert prefixes == sorted(prefixes, reverse=True)


def test_every_event_has_a_row() -> None:
    assert [row[0] for row in rows(events_table(), 3)] == [f"`{event.name}`" for event in EVENTS]


def test_every_exit_status_has_a_row() -> None:
    assert rows(exit_statuses_table(), 2) == [
        [str(status), meaning] for status, meaning in exit_status.MEANINGS.items()
    ]


def test_the_help_is_for_a_terminal() -> None:
    text = run_help()
    assert not re.search(r"`|\]\(", text), "marks of Markdown"
    assert max(map(len, text.split("\nExit status:")[0].splitlines())) <= 80
    for setting in SETTINGS:
        assert re.search(rf"^  {setting.name}(  \[.+\])?$", text, re.MULTILINE)
