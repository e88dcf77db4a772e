"""What Grafana makes of a dashboard's definition, as far as its queries go."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

ALL = "$__all"
# What Grafana's Prometheus data source escapes in a value that goes into a regular expression.
SPECIAL = re.compile(r"[\\^$*+?.()|\[\]{}]")


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables that are queried, by their names."""
    listed = dashboard["templating"]["list"]
    return {variable["name"]: variable for variable in listed if variable["type"] == "query"}


def expressions(dashboard: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each panel, with each of its expressions."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel, target["expr"]


def filled(expr: str, dashboard: Mapping[str, Any], chosen: Mapping[str, Sequence[str]]) -> str:
    """Return an expression with the values that somebody has chosen for the variables."""
    for name, variable in variables(dashboard).items():
        values = chosen.get(name, [ALL])
        if list(values) == [ALL]:
            text = variable["allValue"]
        else:
            escaped = [SPECIAL.sub(r"\\\\\g<0>", value) for value in values]
            text = escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
        expr = text.join(re.split(rf"\${name}\b", expr))
    return expr


def legend(pattern: str, labels: Mapping[str, str]) -> str:
    """Return a series' name by a panel's legend."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), pattern)
