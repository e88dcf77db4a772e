"""docs/pictures/time.svg: how khshim divides a check's timeout, by its own Budget."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from shim.kuberhealthy import PATHS, Server
from shim.settings import Settings

# What is drawn, from top to bottom: the release line, and a check's timeout in seconds.
ROWS = [(Server.V3, 30), (Server.V3, 60), (Server.V2, 30), (Server.V2, 60)]
COLOURS = {"script": "#2f7ed8", "grace period": "#e8a33d", "report reserve": "#4caf7a"}
LEFT, TOP, WIDTH = 150, 74, 700  # pixels: where the bars begin, and how wide they are
HEIGHT, STEP = 30, 46
STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;font-size:14px;fill:#24292f}"
    ".in{fill:#fff;font-weight:bold;text-anchor:middle}.mark{font-size:13px;text-anchor:middle}"
)


class Part(NamedTuple):
    """A part of the time until the deadline, in seconds."""

    name: str
    seconds: float


def parts(server: Server, timeout: float) -> list[Part]:
    """Return what a script on this server gets of a timeout whose pod starts at once."""
    settings = Settings({"KH_REPORTING_URL": f"http://kuberhealthy{PATHS[server]}"}, ["check.sh"])
    vars(settings)["deadline"] = timeout
    budget = settings.budget(unix_now=0.0, started_at=0.0)
    assert budget.terminate_at is not None
    return [
        Part("script", budget.terminate_at),
        Part("grace period", budget.grace_period),
        Part("report reserve", budget.reserve),
    ]


def picture() -> str:
    """Return the picture in SVG, which is read on a light and on a dark page."""
    width, height = LEFT + WIDTH + 50, TOP + STEP * len(ROWS) + 44
    body = [*_marks(), *(line for index in range(len(ROWS)) for line in _row(index)), *_legend()]
    title = "The time until a check's deadline: script, grace period, report reserve"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" role="img">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#f6f8fa" stroke="#d0d7de"/>\n'
        + "".join(f"{line}\n" for line in body)
        + "</svg>\n"
    )


def _row(index: int) -> Iterator[str]:
    server, timeout = ROWS[index]
    y, x = TOP + STEP * index, float(LEFT)
    middle = y + HEIGHT / 2 + 5
    yield f'<text x="20" y="{middle}">{server.value}, timeout {timeout}s</text>'
    for part in parts(server, timeout):
        width = part.seconds / timeout * WIDTH
        colour = COLOURS[part.name]
        yield f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" fill="{colour}"/>'
        words = _seconds(part.seconds)
        yield f'<text class="in" x="{x + width / 2:.1f}" y="{middle}">{words}</text>'
        x += width


def _marks() -> Iterator[str]:
    """Name the moments between the parts, above the first bar."""
    server, timeout = ROWS[0]
    script, grace, _ = (part.seconds / timeout * WIDTH for part in parts(server, timeout))
    moments = {"start": 0.0, "SIGTERM": script, "SIGKILL": script + grace, "deadline": WIDTH}
    for name, offset in moments.items():
        x = LEFT + offset
        y = TOP - 40 if name == "SIGKILL" else TOP - 22  # side by side they would overlap
        yield f'<text class="mark" x="{x:.1f}" y="{y}">{name}</text>'
        yield f'<line x1="{x:.1f}" y1="{y + 5}" x2="{x:.1f}" y2="{TOP}" stroke="#57606a"/>'


def _legend() -> Iterator[str]:
    y = TOP + STEP * len(ROWS) + 8
    for index, (name, colour) in enumerate(COLOURS.items()):
        x = LEFT + 190 * index
        yield f'<rect x="{x}" y="{y}" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{x + 22}" y="{y + 12}">{name}</text>'


def _seconds(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") + " s"
