"""What is told of each of several queues, and of all of them together."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.polling import Polling
from fleet.core.pool.queue_state import Counts, Refusal
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, Pool, PoolPhase, new
from fleet.core.queue_config import QueueConfig
from fleet.core.sizing.workload import Workload
from fleet.core.slot_state import State
from fleet.core.view import health, progress
from fleet.core.view.status import Identity, reason, snapshot, state
from tests.core.pool.story import running
from tests.support.queues import change_queue

NOW = 100.0
WHO = Identity("work@high+1", 4711, "work:job", "high, low", "", began=0.0)
FAILING = Polling(failures=9)


def two() -> Pool:
    """Two dispatchers: one works for low, which has a limit, and one polls high."""
    config = Config(2)
    low = QueueConfig("http://127.0.0.1/000/low", "app:job", config, limit=2.0)
    pool = new(config, [QueueConfig("high", "app:job", config), low])
    helper = HelperState(alive=True, ready=True, proven=True)
    slots = (Slot(0, State.WORKING, since=90.0, queue=1), Slot(1, State.POLLING, since=95.0))
    for place in (0, 1):
        pool = change_queue(pool, place, usable=True)
    return replace(pool, phase=PoolPhase.RUNNING, template=helper, scout=helper, slots=slots)


def told(pool: Pool) -> dict[str, Any]:
    return snapshot(WHO, pool, {}, {}, NOW)


def states(pool: Pool) -> list[tuple[str, str | None]]:
    return [(each["state"], each["reason"]) for each in told(pool)["queues"]]


def test_each_queue_has_an_object_of_its_own() -> None:
    pool = change_queue(two(), 0, counts=Counts(received=3, deleted=2), weight=None)
    pool = change_queue(pool, 1, depth=Depth(7, 2, 1), sampled_at=96.0, counts=Counts(received=5))
    high, low = told(pool)["queues"]
    assert list(high) == [
        *("name", "state", "reason", "depth", "counts", "busy", "polling", "limit", "weight"),
        "job_seconds",
    ]
    assert (high["name"], high["busy"], high["polling"], high["limit"]) == ("high", 0, 1, None)
    assert (low["name"], low["busy"], low["polling"], low["limit"]) == ("low", 1, 0, 2)
    assert (high["depth"], high["counts"]["received"]) == (None, 3)
    assert low["depth"] == {"visible": 7, "in_flight": 2, "delayed": 1, "sampled_ago": 4.0}
    assert low["counts"]["received"] == 5
    assert (high["job_seconds"], low["job_seconds"]["mean"]) == (None, 100.0)
    assert "dispatcher_deaths" not in low["counts"], "a dispatcher is of no queue"


def test_a_weight_is_told() -> None:
    assert [each["weight"] for each in told(change_queue(two(), 1, weight=0.5))["queues"]] == [
        None,
        0.5,
    ]


def test_of_one_queue_there_is_one_object() -> None:
    story = running(1)
    story.sample(7, 2, 1)
    whole = snapshot(WHO, story.pool, {}, {}, story.now)
    (queue,) = whole["queues"]
    assert (queue["name"], queue["depth"], queue["state"]) == ("jobs", whole["depth"], "running")


def test_a_dispatcher_at_work_has_a_queue() -> None:
    pool = two()
    assert [each["queue"] for each in told(pool)["dispatchers"]] == ["low", "high"]
    idle = replace(pool, slots=(pool.slots[0], replace(pool.slots[1], state=State.IDLE)))
    assert [each["queue"] for each in told(idle)["dispatchers"]] == ["low", None]


# Together.


def test_the_whole_is_the_sum() -> None:
    pool = change_queue(two(), 0, depth=Depth(7, 2, 1), sampled_at=96.0, counts=Counts(received=3))
    assert told(pool)["depth"] == {"visible": 7, "in_flight": 2, "delayed": 1, "sampled_ago": 4.0}
    pool = change_queue(pool, 1, depth=Depth(3, 1, 4), sampled_at=91.0, counts=Counts(received=5))
    whole = told(pool)
    assert whole["depth"] == {"visible": 10, "in_flight": 3, "delayed": 5, "sampled_ago": 9.0}
    assert whole["counts"]["received"] == 8
    assert progress.status_line(pool) == "running: 1/2 busy, about 10 visible"
    file = health.snapshot(pool, "", "")
    assert [file[f"queue_count{which}"] for which in ("", "_delayed", "_not_visible")] == [10, 5, 3]


def test_before_the_first_sample_nothing_is_known() -> None:
    assert told(two())["depth"] is None
    assert health.snapshot(two(), "", "")["queue_count"] is None


def test_how_long_a_job_takes_is_by_queue_and_together() -> None:
    pool = replace(two(), slots=())
    for place, (worked, jobs) in enumerate(((10.0, 10), (90.0, 10))):
        work = Workload(NOW, worked=worked, finished=jobs, worked_total=worked, finished_total=jobs)
        pool = change_queue(pool, place, work=work)
    assert [each["job_seconds"]["mean"] for each in told(pool)["queues"]] == [1.0, 9.0]
    assert told(pool)["job_seconds"] == {"mean": 5.0, "recent": 5.0}


def test_leases_that_are_lost_count_in_their_queue_and_in_all() -> None:
    pool = two()
    pool = replace(pool, slots=(replace(pool.slots[0], lost=(0,)), pool.slots[1]))
    whole = told(pool)
    assert [each["counts"]["lease_lost"] for each in whole["queues"]] == [0, 1]
    assert whole["counts"]["lease_lost"] == 1


# State, and why.


def test_a_queue_that_fails_degrades_itself_and_not_the_pool() -> None:
    pool = change_queue(two(), 1, polling=FAILING, trouble="SQS answers 503")
    assert states(pool) == [("running", None), ("degraded", "SQS answers 503")]
    assert (state(pool), reason(pool)) == ("running", None)


def test_where_all_queues_that_are_not_paused_fail_the_pool_is_degraded() -> None:
    pool = change_queue(two(), 1, polling=FAILING, trouble="SQS answers 503")
    pool = change_queue(pool, 0, paused=True)
    assert (state(pool), reason(pool)) == ("degraded", "queue 'low': SQS answers 503")
    pool = change_queue(two(), 0, paused=True)
    assert (state(pool), reason(pool)) == ("running", None)


def test_a_reason_that_names_its_queue_is_told_as_it_is() -> None:
    pool = change_queue(two(), 1, polling=FAILING, trouble="queue 'low': SQS answers 503")
    pool = change_queue(pool, 0, paused=True)
    assert reason(pool) == "queue 'low': SQS answers 503"


@pytest.mark.parametrize(
    ("number", "more"), [(2, "; 1 more queue degraded"), (3, "; 2 more queues degraded")]
)
def test_the_first_of_several_that_fail_is_told(number: int, more: str) -> None:
    config = Config(1)
    pool = new(config, [QueueConfig(f"q{place}", "app:job", config) for place in range(number)])
    pool = replace(pool, phase=PoolPhase.RUNNING)
    for place in range(number):
        pool = change_queue(pool, place, polling=FAILING, trouble="no answer")
    assert reason(pool) == f"queue 'q0': no answer{more}"


def test_a_call_about_a_message_in_hand_that_fails_is_its_queues() -> None:
    pool = two()
    pool = replace(pool, slots=(replace(pool.slots[0], trouble="no answer"), pool.slots[1]))
    assert states(pool) == [("running", None), ("degraded", "no answer")]
    pool = change_queue(two(), 0, denial=Refusal(NOW, "a delete is denied"))
    assert states(pool)[0][1] == (
        "a delete is denied; nothing is received until a delete is allowed"
    )


def test_a_paused_queue_is_paused_alone() -> None:
    pool = change_queue(two(), 1, paused=True)
    assert states(pool) == [("running", None), ("paused", "an operator paused it")]
    assert (state(pool), reason(pool)) == ("running", None)


def test_a_pool_of_which_every_queue_is_paused_is_paused() -> None:
    pool = change_queue(change_queue(two(), 1, paused=True), 0, paused=True)
    assert (state(pool), reason(pool)) == ("paused", "an operator paused it")


def test_a_paused_pool_receives_from_no_queue() -> None:
    pool = replace(change_queue(two(), 1, paused=True), paused=True)
    assert states(pool) == [
        ("paused", "an operator paused the pool"),
        ("paused", "an operator paused it"),
    ]


@pytest.mark.parametrize(
    ("phase", "word"), [(PoolPhase.BOOTING, "starting"), (PoolPhase.DRAINING, "draining")]
)
def test_before_and_after_it_runs_a_queue_is_as_the_pool(phase: PoolPhase, word: str) -> None:
    assert states(replace(change_queue(two(), 1, paused=True), phase=phase)) == [(word, None)] * 2


def test_no_limit_is_no_number() -> None:
    pool = change_queue(two(), 1, limit=inf)
    assert [each["limit"] for each in told(pool)["queues"]] == [None, None]
