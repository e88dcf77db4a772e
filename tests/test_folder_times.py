"""How the time is divided among the scripts of a folder."""

from __future__ import annotations

import os

import pytest

from shim.folder.times import LEAST_SHARE, Queue, RunnerBudget, Share
from shim.settings import Settings
from shim.supervise.escalation import Escalation, StoppedBy
from tests.support.settings import GOOD, NOW, UNIX_NOW, share


def of_runner(left: float | None, **env: str) -> RunnerBudget:
    deadline = "" if left is None else str(UNIX_NOW + left)
    settings = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": deadline, **env})
    return RunnerBudget(settings, unix_now=UNIX_NOW, started_at=NOW)


@pytest.mark.parametrize("left", [600.0, 60.0, 10.0, 3.0, 0.5])
def test_the_runner_ends_in_time(left: float) -> None:
    alone = Settings({**GOOD, "KH_CHECK_RUN_DEADLINE": str(UNIX_NOW + left)}).budget(
        unix_now=UNIX_NOW, started_at=NOW
    )
    runner = of_runner(left)
    assert runner.end_of_scripts is not None and runner.terminate_at is not None
    assert alone.terminate_at is not None and alone.kill_at is not None
    # Reported as early as a script alone would be,
    assert runner.kill_at == alone.kill_at
    assert runner.end_of_scripts < runner.terminate_at < alone.kill_at
    # and the scripts have little less time than it.
    less = alone.terminate_at - (runner.end_of_scripts - runner.grace_of_scripts)
    assert less == pytest.approx(min(1.5, left / 20))


def test_a_timeout_is_not_the_runners() -> None:
    assert of_runner(60, SHIM_TIMEOUT="1s").terminate_at == of_runner(60).terminate_at
    assert not of_runner(60, SHIM_TIMEOUT="1s").limited_by_timeout
    without = of_runner(None, SHIM_TIMEOUT="1s")
    assert (without.terminate_at, without.end_of_scripts, without.grace_of_scripts) == (
        None,
        None,
        5,
    )


def test_turns() -> None:
    queue = Queue(4)
    queue.waiting = 9
    assert [queue.turns(place) for place in range(4)] == [3, 2, 2, 2]
    assert [queue.turns(place, 3) for place in range(4)] == [2, 2, 1, 1]
    queue.waiting = 1
    assert [queue.turns(place) for place in range(4)] == [1, 0, 0, 0]


def test_the_queue_is_shared_with_forked_processes() -> None:
    queue = Queue(1)
    queue.waiting = 1000
    pid = os.fork()
    if pid == 0:
        queue.waiting -= 1
        os._exit(queue.waiting == 999)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert queue.waiting == 999


def test_a_script_for_which_none_waits_has_all_the_time() -> None:
    one, _ = share(0)
    assert (one.terminate_at, one.kill_at, one.limited_by_share) == (NOW + 55, NOW + 60, False)
    assert one.deadline == NOW + 63
    assert one.time_left(NOW) == 63


def test_a_script_for_which_others_wait_has_an_equal_part() -> None:
    one, queue = share(8)  # two after it in its place
    queue.ended(30)
    one.has_changed()
    assert (one.kill_at, one.limited_by_share) == (NOW + 20, True)
    assert one.terminate_at == NOW + 15
    assert one.terminate_at_latest == NOW + 55


def test_none_is_stopped_for_others_before_it_had_a_moment() -> None:
    one, queue = share(400)
    queue.ended(30)
    one.has_changed()
    assert one.kill_at == NOW + LEAST_SHARE
    assert one.terminate_at == NOW + LEAST_SHARE * 2 / 3


def test_what_the_others_do_not_need_is_its() -> None:
    one, queue = share(8)
    assert one.kill_at == NOW + 40  # half of the equal part for each
    queue.ended(2)
    assert not one.has_changed()
    queue.ended(12)
    assert queue.average == 7
    assert one.has_changed()
    assert not one.has_changed()
    assert one.kill_at == NOW + 32  # twice the average for each
    queue.waiting = 4
    assert one.has_changed()
    assert one.kill_at == NOW + 46
    queue.waiting = 0
    assert one.has_changed()
    assert (one.terminate_at, one.kill_at, one.limited_by_share) == (NOW + 55, NOW + 60, False)


def test_only_as_many_places_are_freed_as_are_needed() -> None:
    kept, _ = share(1, place=1)
    freed, _ = share(1, place=0)
    assert (kept.kill_at, freed.kill_at) == (NOW + 60, NOW + 45)


@pytest.mark.parametrize("scripts", [8, 40, 60])
def test_where_all_hang_each_is_run(scripts: int) -> None:
    """The worst case: each uses up what it gets."""
    queue, at_once, began = Queue(4), 4, NOW
    for left in range(scripts - at_once, -1, -at_once):
        queue.waiting = left
        one = Share(
            started_at=began,
            left=NOW + 63 - began,
            end=NOW + 60,
            grace_period=5.0,
            timeout=None,
            queue=queue,
            place=0,
            turns_at_start=queue.turns(0),
        )
        assert one.kill_at is not None and one.terminate_at is not None
        assert one.terminate_at - began > 0.6
        for _ in range(at_once):
            queue.ended(one.kill_at - began)
        began = one.kill_at
    assert began == NOW + 60


def test_a_timeout_of_its_own() -> None:
    one, _ = share(8, timeout=3.0)
    assert (one.terminate_at, one.kill_at) == (NOW + 3, NOW + 8)
    assert (one.limited_by_timeout, one.limited_by_share) == (True, False)
    # A share that ends in its grace period shortens that.
    one, _ = share(8, timeout=38.0)
    assert (one.terminate_at, one.kill_at, one.limited_by_share) == (NOW + 35, NOW + 40, True)


def test_without_a_deadline_there_is_no_share() -> None:
    queue = Queue(1)
    queue.waiting = 5
    one = Share(
        started_at=NOW, left=None, end=None, grace_period=5.0, timeout=None,
        queue=queue, place=0, turns_at_start=5,
    )  # fmt: skip
    assert (one.terminate_at, one.kill_at, one.deadline) == (None, None, None)


def test_a_script_is_stopped_when_its_share_is_needed_and_not_before() -> None:
    one, queue = share(8)
    escalation = Escalation(one, 5.0)
    assert escalation.next_at == NOW + 35
    queue.waiting = 4
    assert escalation.due(NOW + 35) is None
    assert escalation.next_at == NOW + 45
    assert escalation.due(NOW + 45) is not None
    assert escalation.stopped_by is StoppedBy.SHARE
    queue.waiting = 0  # too late: it has been told
    assert escalation.due(NOW + 46) is None
    assert escalation.next_at == NOW + 50
