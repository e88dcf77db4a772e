"""The alert rules and the dashboard, tried by a real Prometheus on what real runs have pushed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.checks import CHECKS, FAILS_FIRST, RETRIED, Check, run_check, side_by_side
from tests.support.grafana import ALL, expressions, filled, legend, variables
from tests.support.manifests import ROOT
from tests.support.prometheus import Monitoring, eventually, monitoring, without_durations

EXAMPLES = ROOT / "examples" / "prometheus"
RULES = (EXAMPLES / "rules.yaml").read_text()
DASHBOARD = json.loads((EXAMPLES / "dashboard.json").read_text())
PANELS = list(expressions(DASHBOARD))

# Runs of a check that is flaky once, and then never again.
ONCE = "flaky-once"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """A Prometheus that has seen all the checks, each alert firing without delay."""
    folder = tmp_path_factory.mktemp("prometheus")
    with monitoring(without_durations(RULES), folder) as found:
        push(found, folder)
        yield found


def push(found: Monitoring, folder: Path) -> None:
    """Run each check once, and three times those that are about several runs."""
    runs = [
        partial(run_check, name, check, found.gateway, folder) for name, check in CHECKS.items()
    ]
    several = partial(run_several, "flaky", [CHECKS["flaky"]] * 2, found, folder)
    passes = Check(set(), "exit 0", RETRIED)
    once = [Check(set(), FAILS_FIRST, RETRIED), passes, passes]
    side_by_side([*runs, partial(run_several, ONCE, once, found, folder)])
    several()
    names = {*CHECKS, ONCE}
    eventually(lambda: {*found.label_values("check", "khshim_ok")} == names, "all are scraped")


def run_several(name: str, checks: list[Check], found: Monitoring, folder: Path) -> None:
    """Run a check again and again; each run is seen by Prometheus before the next one."""
    for check in checks:
        before = starts(found, name)
        run_check(name, check, found.gateway, folder)
        eventually(partial(is_scraped_after, before, found, name), f"{name} is scraped")


def starts(found: Monitoring, name: str) -> list[float]:
    series = found.query(f'khshim_script_start_time_seconds{{check="{name}"}}')
    return [value for sample in series for _, value in sample.values]


def is_scraped_after(before: list[float], found: Monitoring, name: str) -> bool:
    return starts(found, name) != before


def test_each_alert_fires_for_what_it_is_for(prometheus: Monitoring) -> None:
    """And for nothing else."""
    expected = {name: check.alerts for name, check in CHECKS.items() if check.alerts}

    def all_fire() -> bool:
        firing = prometheus.firing()
        return all(alerts <= firing.get(name, set()) for name, alerts in expected.items())

    eventually(all_fire, f"{expected}")
    # The rules have been evaluated once more since the last of them fired.
    at = time.time()
    eventually(lambda: evaluated_at(prometheus) > at, "another evaluation")
    assert prometheus.firing() == expected


def evaluated_at(prometheus: Monitoring) -> float:
    [group] = prometheus.get("rules")["groups"]
    text = group["lastEvaluation"].rstrip("Z").partition(".")
    whole = time.mktime(time.strptime(text[0], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    return whole + float(f"0.{text[2][:6] or 0}")


def test_every_alert_has_a_case() -> None:
    declared = {
        rule["alert"] for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]
    }
    tried = {alert for check in CHECKS.values() for alert in check.alerts}
    # An hour of silence cannot be waited for: promtool, and the next test.
    assert declared - tried == {"CheckIsSilent"}
    cases = yaml.safe_load((ROOT / "tests/prometheus/rules_test.yaml").read_text())["tests"]
    named = {alert["alertname"] for case in cases for alert in case["alert_rule_test"]}
    assert named == declared


def test_silence_is_seen_in_real_pushes(prometheus: Monitoring) -> None:
    """The expression with a second in place of the hour."""
    [expr] = [
        rule["expr"]
        for group in yaml.safe_load(RULES)["groups"]
        for rule in group["rules"]
        if rule["alert"] == "CheckIsSilent"
    ]
    assert prometheus.query(expr) == []
    short = expr.replace("3600", "1")
    assert short != expr

    def silent() -> set[str]:
        return {sample.labels["check"] for sample in prometheus.query(short)}

    eventually(lambda: silent() == {*CHECKS, ONCE}, "all are silent for a second")


def test_what_an_alert_says(prometheus: Monitoring) -> None:
    for alert in prometheus.alerts():
        name = alert["labels"]["check"]
        assert alert["labels"]["namespace"] == "try"
        assert f"try/{name} " in alert["annotations"]["summary"]
        for text in alert["annotations"].values():
            assert not {"<", "{", "%!"} & {*text.split(), *text[:1]}
            assert "error" not in text and "%!" not in text and "{{" not in text


@pytest.mark.parametrize("chosen", [[ALL], ["flaky"], ["a.b (c)|d+"], ["healthy", "a.b (c)|d+"]])
@pytest.mark.parametrize(("panel", "expr"), PANELS, ids=[panel["title"] for panel, _ in PANELS])
def test_every_panel_shows_something(
    prometheus: Monitoring, panel: dict[str, Any], expr: str, chosen: list[str]
) -> None:
    """With the queries that Grafana makes of the panel: all checks, one, several."""
    if "khshim_folder_" in expr and chosen != [ALL]:
        chosen = ["folder"]
    values = {"check": chosen, "namespace": [ALL] if chosen == [ALL] else ["try"]}
    query = filled(expr, DASHBOARD, values)
    now = time.time()
    series = prometheus.query_range(query, now - 60, now, 1)
    assert series and all(sample.values for sample in series)
    names = {legend(panel["targets"][0]["legendFormat"], sample.labels) for sample in series}
    if "khshim_folder_" in expr:
        assert names == {"folder: check.sh", "folder: orders.sh"}
    elif panel["type"] != "stat":
        wanted = {f"try/{name}" for name in ({*CHECKS, ONCE} if chosen == [ALL] else chosen)}
        assert names <= wanted and (names == wanted or chosen == [ALL])
        assert "try/healthy" in names or "healthy" not in chosen


def test_the_totals(prometheus: Monitoring) -> None:
    """The numbers at the top of the dashboard are those of the checks."""
    totals = {}
    for panel, expr in PANELS:
        if panel["type"] == "stat":
            [sample] = prometheus.query(filled(expr, DASHBOARD, {}))
            totals[panel["title"]] = sample.values[0][1]
    failing = sum("CheckFails" in check.alerts for check in CHECKS.values())
    assert totals == {
        "Failing": failing,
        "Warning": 1,
        "Passed after a retry": 1,
        "Silent for an hour": 0,
    }


def test_the_variables_offer_what_was_pushed(prometheus: Monitoring) -> None:
    offered = {}
    for name, variable in variables(DASHBOARD).items():
        metric, label = variable["query"].removeprefix("label_values(").rstrip(")").split(", ")
        offered[name] = set(prometheus.label_values(label, metric))
    assert offered == {"namespace": {"try"}, "check": {*CHECKS, ONCE}}


def test_when_each_alert_fires() -> None:
    """By promtool, in minutes and hours that are not waited for."""
    rules = Path(__file__).with_name("rules_test.yaml")
    result = subprocess.run(
        ["promtool", "test", "rules", rules], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_state_of_a_timeline_has_a_colour_and_a_word() -> None:
    """Without them Grafana draws 0 and 1 in the same colour."""
    for panel in DASHBOARD["panels"]:
        if panel["type"] == "state-timeline":
            [mapping] = panel["fieldConfig"]["defaults"]["mappings"]
            assert {*mapping["options"]} == {"0", "1"}
            colours = {option["color"] for option in mapping["options"].values()}
            assert len(colours) == 2
