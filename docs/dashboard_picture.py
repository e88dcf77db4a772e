"""docs/pictures/dashboard.svg: the dashboard's panels with what real runs have pushed: `make pictures`.

Drawn from examples/prometheus/dashboard.json and the answers of a real Prometheus to each
panel's query, not by Grafana. Needs Debian's prometheus and prometheus-pushgateway.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from docs.panels import BORDER, DIM, STYLE, TEXT, Box, Series, Window, panel
from shim.commands.fake_kuberhealthy import Receiver
from shim.kuberhealthy import Server
from tests.support.checks import busy_server, side_by_side, written
from tests.support.grafana import expressions, filled, legend
from tests.support.khshim import NO_CHANGES, Shim
from tests.support.prometheus import Monitoring, eventually, monitoring

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "examples" / "prometheus" / "dashboard.json"
PICTURE = ROOT / "docs" / "pictures" / "dashboard.svg"
TOOLS = ("prometheus", "prometheus-pushgateway")

# In pixels; Grafana's grid has 24 columns.
WIDTH, ROW, GAP, HEAD = 1200.0, 34.0, 8.0, 62.0
COLUMNS = 24
# Each check runs so many times, and begins once in so many seconds.
ROUNDS = 16
INTERVAL = 6.0
RETRIED = {"SHIM_ATTEMPTS": "3", "SHIM_ATTEMPT_DELAY": "0.2s"}


class Check(NamedTuple):
    """A check of the picture; its script reads the number of the run in ROUND.

    In the rounds of `busy` the server answers 503 to the first attempt to report. With
    `others`, scripts by their names, it is a folder of all of them.
    """

    namespace: str
    script: str
    env: Mapping[str, str] = NO_CHANGES
    busy: Sequence[int] = ()
    others: Mapping[str, str] = NO_CHANGES


BUSY = "dd if=/dev/zero of=/dev/null bs=64k count={} 2>/dev/null"
CHECKS = {
    "web": Check(
        "shop",
        f'{BUSY.format(4000)}; case $ROUND in 7|8|9) echo "status 503, expected 200" >&2; exit 1;; esac',
    ),
    "orders": Check(
        "shop", "exec sleep $(echo $ROUND | awk '{print 0.3 + $1 * 0.18}')", {"SHIM_TIMEOUT": "3s"}
    ),
    "replica": Check(
        "shop",
        "case $ROUND in 4|10|11|14) [ -e $0.again ] || { > $0.again; exit 1; };; esac; rm -f $0.again",
        RETRIED,
    ),
    "nightly": Check(
        "infra",
        "sleep 0.2",
        others={
            "backups.sh": "sleep 0.4; [ $ROUND -ne 5 ] || { echo 'the last one is 3 days old' >&2; exit 1; }",
            "queues.sh": "exec sleep $(echo $ROUND | awk '{print 0.9 - $1 * 0.04}')",
        },
    ),
    "dns": Check("infra", BUSY.format(1000), busy=(6, 12, 13)),
    "disk": Check(
        "infra",
        '[ $ROUND -lt 10 ] || { echo "91 % of /data are used" >&2; exit 1; }',
        {"SHIM_WARN_EXIT_CODES": "1"},
    ),
}


def main() -> int:
    """Draw the picture anew, and return 0."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"docs/pictures/dashboard.svg stays as it is: there is no {missing[0]} here.")
        print("On Debian: apt install prometheus prometheus-pushgateway")
        return 0
    with tempfile.TemporaryDirectory() as folder, monitoring("", Path(folder)) as prometheus:
        start = time.time()
        run_all(prometheus, Path(folder))
        window = Window(start, time.time(), 1.0)
        PICTURE.write_text(picture(json.loads(DASHBOARD.read_text()), prometheus, window))
    return 0


def run_all(prometheus: Monitoring, folder: Path) -> None:
    """Run each check in each round, and wait until Prometheus has seen the last one."""
    began = time.monotonic()
    for number in range(1, ROUNDS + 1):
        side_by_side(
            [
                partial(run, name, check, number, prometheus, folder)
                for name, check in CHECKS.items()
            ]
        )
        time.sleep(max(began + number * INTERVAL - time.monotonic(), 0.0))
    eventually(lambda: len(prometheus.query("khshim_ok")) == len(CHECKS), "all are scraped")


def run(name: str, check: Check, number: int, prometheus: Monitoring, folder: Path) -> None:
    """Run a check once."""
    path = written(folder / name, check.script, check.others)
    settings = {
        "KH_POD_NAMESPACE": check.namespace,
        "SHIM_CHECK_NAME": name,
        "SHIM_PUSHGATEWAY_URL": prometheus.gateway,
        "ROUND": str(number),
        **check.env,
    }
    with ExitStack() as stack:
        if number in check.busy:
            settings.update(stack.enter_context(busy_server()))
        receiver = stack.enter_context(Receiver(Server.V3, 30))
        process = Shim(receiver).start(str(path), env=settings, stderr=subprocess.DEVNULL)
        process.communicate()


def picture(dashboard: Mapping[str, Any], prometheus: Monitoring, window: Window) -> str:
    """Return the dashboard in SVG, with what Prometheus knows of the time of `window`."""
    drawn = [
        panel(
            definition,
            answers(definition, expr, dashboard, prometheus, window),
            _box(definition),
            window,
        )
        for definition, expr in expressions(dashboard)
    ]
    height = (
        max(_box(definition).y + _box(definition).height for definition in dashboard["panels"])
        + GAP
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {height:g}" width="{WIDTH:g}"'
        f' height="{height:g}" role="img">\n<title>The dashboard "{escape(dashboard["title"])}"</title>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH:g}" height="{height:g}" fill="#0b0c0f"/>\n'
        + "\n".join([*_head(dashboard, window), *drawn, "</svg>", ""])
    )


def answers(
    definition: Mapping[str, Any],
    expr: str,
    dashboard: Mapping[str, Any],
    prometheus: Monitoring,
    window: Window,
) -> list[Series]:
    """Return what Prometheus answers to a panel's query, for all checks."""
    [target] = definition["targets"]
    found = prometheus.query_range(filled(expr, dashboard, {}), *window)
    series = [Series(legend(target["legendFormat"], one.labels), one.values) for one in found]
    return sorted(series, key=lambda one: one.name)


def _box(definition: Mapping[str, Any]) -> Box:
    """Return where a panel is, by its place in the grid."""
    place, column = definition["gridPos"], (WIDTH - GAP) / COLUMNS
    x, y = GAP + place["x"] * column, HEAD + place["y"] * ROW
    return Box(x, y, place["w"] * column - GAP, place["h"] * ROW - GAP)


def _head(dashboard: Mapping[str, Any], window: Window) -> Sequence[str]:
    """Return the dashboard's title, its variables, and the time that is shown."""
    times = [time.strftime("%H:%M:%S", time.gmtime(at)) for at in (window.start, window.end)]
    parts = [
        f'<text x="16" y="38" style="font-size:18px;font-weight:500">{escape(dashboard["title"])}</text>'
    ]
    x = 190.0
    for name in ("namespace", "check"):
        parts.append(
            f'<rect x="{x:g}" y="20" width="150" height="28" rx="3" fill="none" stroke="{BORDER}"/>'
        )
        parts.append(f'<text x="{x + 10:g}" y="39" fill="{DIM}">{name}</text>')
        parts.append(f'<text x="{x + 90:g}" y="39" fill="{TEXT}">All</text>')
        x += 162
    shown = f"{times[0]} to {times[1]} (UTC)"
    parts.append(f'<text x="{WIDTH - 16:g}" y="39" class="dim end">{shown}</text>')
    return parts


if __name__ == "__main__":
    sys.exit(main())
