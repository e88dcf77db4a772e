from __future__ import annotations

import pytest

from shim.budget import Budget
from tests.support.settings import NOW, budget

V2 = {"KH_REPORTING_URL": "http://kh/externalCheckStatus"}


@pytest.mark.parametrize(
    ("left", "changes", "terminate_in", "kill_in"),
    [
        # SIGTERM at D - reserve - grace, SIGKILL at D - reserve.
        (60, {}, 53, 58),
        (60, {"SHIM_GRACE_PERIOD": "1s", "SHIM_REPORT_RESERVE": "3s"}, 56, 57),
        (120, V2, 103, 108),
        (60, {"SHIM_GRACE_PERIOD": "0", "SHIM_REPORT_RESERVE": "0"}, 60, 60),
        # Together at most a third of what is left, in proportion.
        (21, {}, 14, 19),
        (10.5, {}, 7, 9.5),
        (0.3, {}, 0.2, 0.3 - 0.1 * 2 / 7),
        # On v2 the reserve keeps 7 s while the script has anything left.
        (51, V2, 51 - 17, 51 - 12),
        (30, V2, 20, 30 - 10 * 12 / 17),
        (25, V2, 25 - 7 - 5 * 25 / 51, 18),
        (10, V2, 10 - 7 - 5 * 10 / 51, 3),
        (28 / 3, V2, 14 / 9, 7 / 3),
        # And leaves the script a quarter.
        (8, V2, 2 - 2 / 3, 2),
        (4, V2, 2 / 3, 1),
        (10, {**V2, "SHIM_REPORT_RESERVE": "3s"}, 10 - 3 - 5 * 10 / 24, 7),
        # SHIM_TIMEOUT only brings them forward.
        (60, {"SHIM_TIMEOUT": "10s"}, 10, 15),
        (60, {"SHIM_TIMEOUT": "52s"}, 52, 57),
        (60, {"SHIM_TIMEOUT": "54s"}, 53, 58),
        (60, {"SHIM_TIMEOUT": "10m"}, 53, 58),
        (None, {"SHIM_TIMEOUT": "10s"}, 10, 15),
    ],
)
def test_when_the_signals_are_due(
    left: float | None, changes: dict[str, str], terminate_in: float, kill_in: float
) -> None:
    result = budget(left, **changes)
    assert result.terminate_at == pytest.approx(NOW + terminate_in)
    assert result.kill_at == pytest.approx(NOW + kill_in)


def test_a_reserve_that_may_shrink_to_nothing() -> None:
    result = Budget(started_at=NOW, left=0.6, grace_period=0.0, reserve=3.0)
    assert result.reserve == pytest.approx(0.2)


def test_without_limits_nothing_is_due() -> None:
    result = budget(None)
    assert (result.deadline, result.terminate_at, result.kill_at) == (None, None, None)
    assert result.time_left(NOW) is None


@pytest.mark.parametrize(
    ("timeout", "by_timeout"), [("10s", True), ("52.9s", True), ("53s", False), ("54s", False)]
)
def test_which_limit_it_is(timeout: str, by_timeout: bool) -> None:
    assert budget(60, SHIM_TIMEOUT=timeout).limited_by_timeout is by_timeout


@pytest.mark.parametrize("left", [-1.0, 0.0, -1e9])
def test_a_past_deadline_leaves_no_time(left: float) -> None:
    time_left = budget(left).time_left(NOW)
    assert time_left is not None and time_left <= 0


def test_a_scripts_own_limits_do_not_move() -> None:
    of_script = budget(60)
    assert of_script.terminate_at_latest == NOW + 53
    assert not of_script.has_changed()
