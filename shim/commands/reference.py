"""The tables of the documents, made from the declarations."""

from __future__ import annotations

from shim.settings import SETTINGS


def settings_table() -> str:
    """Return the settings as a table in Markdown, khshim's own before Kuberhealthy's."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for setting in sorted(SETTINGS, key=lambda setting: setting.name.startswith("KH_")):
        rows.append(f"| `{setting.name}` | {setting.default_words} | {setting.meaning} |")
    return "\n".join(rows) + "\n"
