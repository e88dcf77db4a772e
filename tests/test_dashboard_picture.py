"""docs/pictures/dashboard.svg is of the dashboard as it is, and its panels are drawn right."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from docs.dashboard_picture import DASHBOARD, PICTURE
from docs.panels import Box, Series, Window, panel, ticks, words

SVG = "{http://www.w3.org/2000/svg}"
WINDOW = Window(1000.0, 1060.0, 1.0)
BOX = Box(0, 0, 600, 300)
MAPPING = {
    "type": "value",
    "options": {"0": {"text": "failed", "color": "red"}, "1": {"text": "passed", "color": "green"}},
}


def drawn(kind: str, series: list[Series], **defaults: Any) -> ElementTree.Element:
    definition = {
        "type": kind,
        "title": "A <title>",
        "fieldConfig": {"defaults": {"unit": "none", **defaults}},
    }
    return ElementTree.fromstring(
        f'<svg xmlns="http://www.w3.org/2000/svg">{panel(definition, series, BOX, WINDOW)}</svg>'
    )


def texts(tree: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in tree.iter(f"{SVG}text")]


def test_the_picture_shows_every_panel() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    titles = [text.text for text in ElementTree.parse(PICTURE).iter(f"{SVG}text")]
    for definition in dashboard["panels"]:
        assert definition["title"] in titles, "run: make pictures"


def test_the_picture_names_nothing_of_the_machine_it_was_made_on() -> None:
    assert not re.search("/(home|root|tmp|work)/|https?://(?!www.w3.org)", PICTURE.read_text())


@pytest.mark.parametrize(
    ("least", "most", "unit", "expected"),
    [
        (0, 3.2, "s", [0, 1, 2, 3, 4]),
        (0, 0, "s", [0, 0.5, 1]),
        (26.4, 29.8, "s", [26, 27, 28, 29, 30]),
        (0, 1, "none", [0, 1]),
        (0, 143, "none", [0, 50, 100, 150]),
        (0, 28 * 2**20, "bytes", [0, 10 * 2**20, 20 * 2**20, 30 * 2**20]),
        (-3, 7, "s", [-5, 0, 5, 10]),
    ],
)
def test_ticks(least: float, most: float, unit: str, expected: list[float]) -> None:
    assert ticks(least, most, unit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0051, "s", "5.1 ms"),
        (12.5, "s", "12.5 s"),
        (0, "s", "0 s"),
        (0.905, "percentunit", "90.5%"),
        (28 * 2**20, "bytes", "28 MiB"),
        (0, "bytes", "0 B"),
        (143, "none", "143"),
    ],
)
def test_words(value: float, unit: str, expected: str) -> None:
    assert words(value, unit) == expected


def test_a_line_has_a_gap_where_there_is_no_value() -> None:
    values = [(1000.0, 1.0), (1001.0, 2.0), (1030.0, 2.0), (1031.0, 1.0)]
    tree = drawn("timeseries", [Series("shop/<web>", values)], min=0)
    [line] = [path for path in tree.iter(f"{SVG}path") if path.attrib.get("fill") == "none"]
    assert line.attrib["d"].count("M") == 2 and line.attrib["d"].count("L") == 2
    assert {"A <title>", "shop/<web>", "00:17:00"} <= set(texts(tree))


def test_a_state_lasts_until_the_next_one() -> None:
    values = [(1000.0 + at, float(at < 30)) for at in range(61)]
    tree = drawn("state-timeline", [Series("web", values)], mappings=[MAPPING])
    bars = [
        rect for rect in tree.iter(f"{SVG}rect") if rect.attrib["fill"] in ("#73bf69", "#f2495c")
    ]
    passed, failed = bars[0], bars[1]
    assert passed.attrib["fill"] == "#73bf69" and failed.attrib["fill"] == "#f2495c"
    end = float(passed.attrib["x"]) + float(passed.attrib["width"])
    assert end == pytest.approx(float(failed.attrib["x"]), abs=0.2)
    assert float(failed.attrib["width"]) == pytest.approx(float(passed.attrib["width"]), rel=0.05)


@pytest.mark.parametrize(
    ("value", "colour"), [(0.0, "#73bf69"), (1.0, "#f2495c"), (7.0, "#f2495c")]
)
def test_a_total_has_the_colour_of_its_threshold(value: float, colour: str) -> None:
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    tree = drawn(
        "stat", [Series("Failing", [(1000.0, 0.0), (1001.0, value)])], thresholds={"steps": steps}
    )
    assert [rect.attrib["fill"] for rect in tree.iter(f"{SVG}rect")][1] == colour
    assert f"{value:g}" in texts(tree)
