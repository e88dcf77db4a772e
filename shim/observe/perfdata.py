"""Performance data of Nagios plugins, by the Monitoring Plugins Development Guidelines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from shim.report.plugin_output import ITEM, split

# Base units, as Prometheus wants them.
UNITS = {
    "s": ("seconds", 1.0),
    "ms": ("seconds", 1e-3),
    "us": ("seconds", 1e-6),
    "ns": ("seconds", 1e-9),
    "%": ("ratio", 1e-2),
    "c": ("total", 1.0),
    "B": ("bytes", 1.0),
    "kB": ("bytes", 1e3),
    "KB": ("bytes", 1e3),
    "MB": ("bytes", 1e6),
    "GB": ("bytes", 1e9),
    "TB": ("bytes", 1e12),
    "PB": ("bytes", 1e15),
    "EB": ("bytes", 1e18),
    "KiB": ("bytes", 2.0**10),
    "MiB": ("bytes", 2.0**20),
    "GiB": ("bytes", 2.0**30),
    "TiB": ("bytes", 2.0**40),
    "PiB": ("bytes", 2.0**50),
    "EiB": ("bytes", 2.0**60),
}


class Value(NamedTuple):
    """One figure in base units; `unit` is "" for a plain one, an unknown one is as written."""

    label: str
    unit: str
    value: float


def parse(lines: Iterable[bytes]) -> list[Value]:
    """Return the performance data in a plugin's output."""
    values = []
    for _, data in split(line.decode("utf-8", "replace") for line in lines):
        for item in re.finditer(ITEM, data):
            if item["number"] is None:  # U, not known
                continue
            unit, factor = UNITS.get(item["unit"], (item["unit"], 1.0))
            label = item["plain"] or item["quoted"].replace("''", "'")
            values.append(Value(label, unit, float(item["number"].replace(",", ".")) * factor))
    return values
