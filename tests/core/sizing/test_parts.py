"""What several queues need together, and whose need the reason names."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.depth import Depth
from fleet.core.sizing import rule
from fleet.core.sizing.rule import Need, Part, Scene, Sizing
from fleet.core.sizing.workload import Workload
from tests.core.sizing.test_rule import CONFIG, learned


def part(name: str, visible: int | None, seconds: float = 2.0, **more: Any) -> Part:
    """A queue without anything in hand, on a host of eight dispatchers."""
    depth = None if visible is None else Depth(visible, 0)
    load = more.pop("load", 0.0)
    given = {"target_wait": 60.0, "busy": 0, "held": 0, "size": 8, "name": name, **more}
    return Part(learned(seconds, load), depth, **given)


def need(*parts: Part) -> Need:
    return rule.estimate_need(parts, 0.0, 0.0)


def test_each_queue_needs_by_its_own_jobs_and_target_wait() -> None:
    slow, urgent = part("slow", 60, 10.0), part("urgent", 60, 2.0, target_wait=12.0)
    assert need(slow, part("none", 0)) == Need(20, "slow: 60 visible × 10 s / 30 s = 20")
    assert need(part("none", 0), urgent) == Need(20, "urgent: 60 visible × 2 s / 6 s = 20")


def test_the_needs_of_all_are_added_and_the_largest_is_named() -> None:
    parts = part("high", 150), part("low", 300), part("last", 15)
    assert need(*parts) == Need(31, "low: 300 visible × 2 s / 30 s = 20; 31 for all queues")


def test_one_queues_jobs_are_needed_beside_anothers_backlog() -> None:
    busy = part("high", 0, load=8.0, busy=8)
    assert need(busy, part("low", 120)).size == 16
    assert need(part("low", 30), busy).terms == "high: 8.0 busy on average; 10 for all queues"


def test_parts_of_dispatchers_are_rounded_up_once() -> None:
    assert need(*[part(str(number), 3) for number in range(10)]).size == 2
    assert need(*[part(str(number), 0, load=0.1) for number in range(30)]).size == 3


def test_no_queue_needs_more_than_its_limit() -> None:
    limited = part("low", 300, limit=2.0)
    assert need(limited, part("high", 15)) == Need(
        3, "low: 300 visible × 2 s / 30 s = 20, its limit is 2; 3 for all queues"
    )
    assert need(replace(limited, limit=20.0), part("high", 0)).size == 20


def test_a_queue_of_whose_messages_nothing_is_known_needs_what_works_on_it() -> None:
    assert need(part("low", None, load=3.0), part("high", 15)).size == 4
    nobody_has_seen = replace(part("low", 300), work=Workload())
    assert need(nobody_has_seen, part("high", 15)).size == 1


def test_our_share_of_a_queue_is_that_of_those_who_may_work_on_it() -> None:
    """Of eight dispatchers four are busy for another queue; four others' messages are in flight."""
    shared = replace(part("low", 120), depth=Depth(120, 8), busy=4, held=4, size=4)
    assert need(shared, part("high", 0)).terms == "low: 120 visible × 50.0% ours × 2 s / 30 s = 4"


def test_a_short_queue_of_long_jobs_needs_one_for_each_message() -> None:
    seen = need(part("low", 3, 3600.0, busy=2), part("high", 0))
    assert seen == Need(5, "low: 3 visible + 2 busy = 5")


@pytest.mark.parametrize("tight", [True, False])
def test_a_pool_grows_by_all_of_them_while_nobody_is_spare(tight: bool) -> None:
    parts = [part("high", 120, size=8), part("low", 240, size=8)]
    scene = Scene(12, 12, 12, spare=not tight)
    sizing, to = rule.decide(Sizing(), parts, scene, CONFIG, 0.0, 0.0)
    assert to == (24 if tight else 12)
    assert sizing.why.startswith("low: " if tight else "high: 0.0 busy")


def test_a_sample_is_wanted_for_what_all_need() -> None:
    tight, scene = Sizing(tight=True, sampled_at=0.0), Scene(8, 8, 8, spare=False)
    parts = [part("high", 75), part("low", 75)]
    assert rule.wants_sample(tight, parts, scene, CONFIG, 15.0)
    assert not rule.wants_sample(tight, parts[:1], scene, CONFIG, 15.0)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.floats(0.01, 100), st.floats(0, 20)), min_size=1),
    st.integers(0, 100),
)
def test_more_that_waits_never_needs_fewer(
    queues: list[tuple[int, float, float]], more: int
) -> None:
    parts = [part("x", visible, seconds, load=load) for visible, seconds, load in queues]
    fuller = [part("x", queues[0][0] + more, queues[0][1], load=queues[0][2]), *parts[1:]]
    assert need(*parts).size <= need(*fuller).size
    assert max(need(each).size for each in parts) <= need(*parts).size
