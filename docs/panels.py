"""Panels of a Grafana dashboard, drawn as SVG from their definition and what Prometheus answers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

# Grafana's dark theme, and the colours that it gives to series one after the other.
TEXT, DIM, PANEL, BORDER = "#d5d6de", "#9a9ba6", "#181b1f", "#2b2f36"
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9")
NAMED = {
    "green": "#73bf69",
    "semi-dark-green": "#37872d",
    "yellow": "#f2cc0c",
    "orange": "#ff9830",
    "red": "#f2495c",
    "text": TEXT,
}
STYLE = (
    f"text{{font-family:Inter,Helvetica,'DejaVu Sans',Arial,sans-serif;font-size:12px;fill:{TEXT}}}"
    f".title{{font-size:14px;font-weight:500}}.on{{fill:#fff}}.dim{{fill:{DIM}}}.end{{text-anchor:end}}"
    ".middle{text-anchor:middle}.value{font-size:38px;font-weight:500;fill:#fff}"
)
# Pixels: what a panel keeps free of its own for its title, its axes and its legend.
TITLE, AXIS, LEGEND, PAD, LEFT = 34, 22, 26, 12, 66
CHARACTER = 6.3  # the width of one, on average


class Series(NamedTuple):
    """A named line: (unix time, value)."""

    name: str
    values: Sequence[tuple[float, float]]


class Box(NamedTuple):
    """A rectangle, in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float


class Window(NamedTuple):
    """The time that is shown, in unix time; `step` seconds are between two values."""

    start: float
    end: float
    step: float


def panel(definition: Mapping[str, Any], series: Sequence[Series], box: Box, window: Window) -> str:
    """Return a panel in SVG."""
    draw = {"stat": _stat, "timeseries": _timeseries, "state-timeline": _state_timeline}
    inner = "\n".join(draw[definition["type"]](definition, series, box, window))
    style = "title on" if definition["type"] == "stat" else "title"
    title = _text(box.x + PAD, box.y + 22, definition["title"], style)
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="3"'
        f' fill="{PANEL}" stroke="{BORDER}"/>\n{inner}\n{title}'
    )


def words(value: float, unit: str) -> str:
    """Return a value with its unit, as Grafana shows it."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "bytes":
        return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"))
    if unit == "s" and 0 < abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.4g} s" if unit == "s" else f"{value:.4g}"


def ticks(least: float, most: float, unit: str = "none", count: int = 4) -> list[float]:
    """Return round values from `least` or below to `most` or above, about `count` of them."""
    scale = 1024.0 ** max(0, math.floor(math.log(max(most, 1), 1024))) if unit == "bytes" else 1.0
    most = most if most > least else least + 1
    rough = (most - least) / scale / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    if unit == "none" and most >= 1:
        step = max(step, 1.0)
    first, last = math.floor(least / scale / step), math.ceil(most / scale / step - 1e-9)
    return [number * step * scale for number in range(first, max(last, first + 1) + 1)]


def _scaled(value: float, base: int, units: Sequence[str]) -> str:
    power = min(int(math.log(value, base)) if value >= 1 else 0, len(units) - 1)
    return f"{value / base**power:.3g} {units[power]}"


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'


def _rect(box: Box, colour: str) -> str:
    return (
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{max(box.width, 0):.1f}"'
        f' height="{box.height:.1f}" fill="{colour}"/>'
    )


def _stat(
    definition: Mapping[str, Any], series: Sequence[Series], box: Box, window: Window
) -> Iterator[str]:
    """The last value, on the colour of its threshold."""
    value = series[0].values[-1][1] if series else 0.0
    steps = definition["fieldConfig"]["defaults"]["thresholds"]["steps"]
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    # Under the words of the title as well, as Grafana's colorMode "background" has it.
    yield _rect(Box(box.x + 1, box.y + 1, box.width - 2, box.height - 2), NAMED[colour[-1]])
    unit = definition["fieldConfig"]["defaults"]["unit"]
    middle = box.x + box.width / 2
    yield _text(middle, box.y + box.height / 2 + 24, words(value, unit), "value middle")


def _timeseries(
    definition: Mapping[str, Any], series: Sequence[Series], box: Box, window: Window
) -> Iterator[str]:
    defaults = definition["fieldConfig"]["defaults"]
    unit = defaults["unit"]
    values = [value for one in series for _, value in one.values]
    least = min(defaults.get("min", math.inf), *values)
    marks = ticks(least, max(values), unit)
    area = _area(box)
    height = _scale(marks[0], marks[-1], area.y + area.height, area.y)
    for mark in marks:
        y = height(mark)
        yield f'<path d="M{area.x:.1f} {y:.1f}h{area.width:.1f}" stroke="{BORDER}"/>'
        yield _text(area.x - 8, y + 4, words(mark, unit), "dim end")
    yield from _time_axis(area, window)
    across = _scale(window.start, window.end, area.x, area.x + area.width)
    for index, one in enumerate(series):
        points = _path(one, across, height, window.step)
        colour = PALETTE[index % len(PALETTE)]
        yield f'<path d="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
    names = [(one.name, PALETTE[index % len(PALETTE)]) for index, one in enumerate(series)]
    yield from _legend(names, box)


def _state_timeline(
    definition: Mapping[str, Any], series: Sequence[Series], box: Box, window: Window
) -> Iterator[str]:
    """A row for each series, in which values that follow each other and are equal are one bar."""
    [mapping] = definition["fieldConfig"]["defaults"]["mappings"]
    area = _area(box, left=max(len(one.name) for one in series) * CHARACTER + 24)
    across = _scale(window.start, window.end, area.x, area.x + area.width)
    step = area.height / len(series)
    yield from _time_axis(area, window)
    for row, one in enumerate(series):
        y, high = area.y + row * step + step * 0.1, step * 0.8
        yield _text(area.x - 8, y + high / 2 + 4, one.name, "dim end")
        for start, end, value in _bars(one, window):
            colour = NAMED[mapping["options"][f"{value:g}"]["color"]]
            yield _rect(Box(across(start), y, across(end) - across(start), high), colour)
    shown = [(option["text"], NAMED[option["color"]]) for option in mapping["options"].values()]
    yield from _legend(shown, box)


def _bars(series: Series, window: Window) -> Iterator[tuple[float, float, float]]:
    start, last = series.values[0]
    for (before, _), (at, value) in pairwise(series.values):
        if value != last or at - before > 2 * window.step:
            yield start, min(at, before + window.step), last
            start, last = at, value
    yield start, window.end, last


def _area(box: Box, left: float = LEFT) -> Box:
    """Return where the values of a panel are drawn."""
    height = box.height - TITLE - AXIS - LEGEND - PAD
    return Box(box.x + left, box.y + TITLE + 6, box.width - left - PAD, height)


def _scale(least: float, most: float, first: float, last: float) -> Callable[[float], float]:
    """Return what turns a value between `least` and `most` into pixels."""
    return lambda value: first + (value - least) / (most - least) * (last - first)


def _path(
    series: Series, across: Callable[[float], float], height: Callable[[float], float], step: float
) -> str:
    """Return a line through the values, with a gap where there are none."""
    parts, before = [], -math.inf
    for at, value in series.values:
        move = "M" if at - before > 2 * step else "L"
        parts.append(f"{move}{across(at):.1f} {height(value):.1f}")
        before = at
    return "".join(parts)


def _time_axis(area: Box, window: Window) -> Iterator[str]:
    span = window.end - window.start
    step = next(step for step in (5, 10, 15, 30, 60, 300, 900, 3600) if span / step <= 6)
    across = _scale(window.start, window.end, area.x, area.x + area.width)
    bottom = area.y + area.height
    for at in range(int(-(-window.start // step) * step), int(window.end) + 1, step):
        x = across(at)
        yield f'<path d="M{x:.1f} {area.y:.1f}V{bottom:.1f}" stroke="{BORDER}"/>'
        yield _text(x, bottom + 16, time.strftime("%H:%M:%S", time.gmtime(at)), "dim middle")


def _legend(names: Sequence[tuple[str, str]], box: Box) -> Iterator[str]:
    x, y = box.x + PAD, box.y + box.height - 12
    for name, colour in names:
        yield f'<rect x="{x:.1f}" y="{y - 6:.1f}" width="12" height="4" rx="2" fill="{colour}"/>'
        yield _text(x + 17, y, name)
        x += 17 + len(name) * CHARACTER + 10
