"""The pictures in docs/pictures are of khshim as it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import groupby

import pytest

from docs.terminal_pictures import FOLDER, PICTURES, PROMPT, Picture, run
from docs.time_line import ROWS, parts
from shim.kuberhealthy import LEAST_RESERVE, Server

SVG = "{http://www.w3.org/2000/svg}"
ESCAPES = re.compile("\x1b\\[[0-9;]*m")


def lines_of(picture: Picture) -> list[str]:
    """Return the lines that the picture of a terminal shows."""
    tree = ElementTree.parse(FOLDER / f"{picture.name}.svg")
    texts = [text for text in tree.iter(f"{SVG}text") if "clip-path" in text.attrib]
    shown = groupby(texts, lambda text: text.attrib["y"])
    lines = ["".join(text.text or "" for text in line) for _, line in shown]
    return [line.replace("\xa0", " ").rstrip() for line in lines]


def normal(lines: list[str]) -> list[str]:
    """Return lines without times and what follows from them, and each of a kind once."""
    told = [re.sub(r"[\d.]*\d", "0", ESCAPES.sub("", line)) for line in lines if line.strip()]
    return [line for line, _ in groupby(re.sub("--+| +", "-", line.rstrip()) for line in told)]


@pytest.mark.whole_run
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_shows_what_a_run_writes_today(picture: Picture) -> None:
    ran = [f"{PROMPT} {picture.command}", *run(picture).split("\n")]
    assert normal(lines_of(picture)) == normal(ran), "run: make pictures"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_names_nothing_of_the_machine_it_was_made_on(picture: Picture) -> None:
    text = (FOLDER / f"{picture.name}.svg").read_text()
    assert not re.search("/(home|root|tmp|work)/|https?://(?!www.w3.org)", text)


@pytest.mark.parametrize(("server", "timeout"), ROWS)
def test_the_line_in_time_adds_up(server: Server, timeout: float) -> None:
    drawn = parts(server, timeout)
    assert sum(part.seconds for part in drawn) == pytest.approx(timeout)
    assert drawn[-1].seconds >= LEAST_RESERVE[server]
