"""The choice among queues in a small world: what must hold whatever comes.

The world itself asserts after every event: limits, order, the looks' pauses, the lengths of polls,
and that no dispatcher is left without work that there is (small_world.py).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.scheduling.small_world import ANSWER, Arrival, Plan, World

SECONDS = st.sampled_from([0.01, 0.3, 2.0, 9.0])
MINUTE = 60.0


def flood(queue: int, seconds: float, many: int) -> list[Arrival]:
    """Messages that are there from the beginning."""
    return [Arrival(0.0, queue, seconds) for _ in range(many)]


def every(queue: int, pause: float, until: float, seconds: float = 0.5) -> list[Arrival]:
    """A message now and then."""
    return [
        Arrival(3 + number * pause, queue, seconds) for number in range(int((until - 3) / pause))
    ]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any pool, and any work that it can do in a few minutes."""
    queues = draw(st.integers(1, 4))
    arrivals = [
        Arrival(draw(st.floats(0.01, 40)), draw(st.integers(0, queues - 1)), draw(SECONDS))
        for _ in range(draw(st.integers(0, 20)))
    ]
    for queue in range(queues):
        if draw(st.booleans()):
            arrivals += flood(queue, draw(SECONDS), draw(st.integers(1, 20)))
    limits = [draw(st.sampled_from([inf, inf, 1.0, 2.0])) for _ in range(queues)]
    weighted = draw(st.booleans())
    return Plan(
        dispatchers=draw(st.integers(1, 5)),
        queues=queues,
        arrivals=arrivals,
        wait_time=draw(st.sampled_from([1.0, 4.0, 10.0])),
        limits=limits,
        weights=[draw(st.sampled_from([1.0, 2.0, 5.0])) for _ in range(queues)] if weighted else [],
        starve_after=inf if weighted else draw(st.sampled_from([inf, inf, 0.5, 5.0])),
        seed=draw(st.integers(0, 9)),
    )


def enough_time(plan: Plan) -> float:
    """Seconds in which everything must be done, one job after another and a look before each."""
    work = sum(each.seconds + 5 for each in plan.arrivals)
    return 2 * MINUTE + work


def longest_without(plan: Plan) -> float:
    """B: how long no dispatcher becomes free, at the most."""
    longest = max((each.seconds for each in plan.arrivals), default=0.0)
    return max(longest, plan.wait_time + ANSWER) + ANSWER


@settings(max_examples=100)
@given(plans())
def test_everything_is_done_and_the_first_queue_starts_in_time(plan: Plan) -> None:
    world = World(plan, enough_time(plan)).run(until_done=True)
    assert [len(book.visible) for book in world.queues] == [0] * plan.queues
    assert sum(book.ended for book in world.queues) == len(plan.arrivals)
    if not plan.weights and world.queues[0].limit == inf:
        turns = 1 if plan.starve_after == inf else 2
        bound = world.longest_pause + turns * longest_without(plan) + 2 * ANSWER
        assert max(world.first_waits[0], default=0.0) <= bound


@pytest.mark.parametrize("dispatchers", [1, 2, 4, 8])
@pytest.mark.parametrize("seconds", [0.2, 1.0, 5.0])
def test_the_high_queue_starts_within_the_bound_while_the_low_one_is_flooded(
    dispatchers: int, seconds: float
) -> None:
    """The flood's polls come home at once, so B is one of its jobs."""
    arrivals = flood(1, seconds, 6000) + every(0, 7.3, MINUTE)
    world = World(Plan(dispatchers, 2, arrivals), MINUTE).run()
    (high, _) = world.first_waits
    assert len(high) == 7
    pause = max(0.0, 4 / dispatchers - 1)
    assert max(high) <= pause + seconds + 3 * ANSWER


@pytest.mark.parametrize("dispatchers", [1, 2, 4, 8])
def test_looks_take_a_quarter_of_the_dispatchers_at_the_most(dispatchers: int) -> None:
    """But for the first long poll, from before the flood was known."""
    world = World(Plan(dispatchers, 2, flood(1, 1.0, 2000)), 20 + 2 * MINUTE).run()
    looks = sum(each.length + ANSWER for each in world.grants if each.queue == 0 and each.at > 20)
    assert looks <= 1.05 * 2 * MINUTE * dispatchers / 4
    assert world.queues[1].worked > 0.65 * 2 * MINUTE * dispatchers


@pytest.mark.parametrize(
    ("dispatchers", "queues", "a_minute"),
    [(8, 1, 6), (8, 2, 12), (8, 8, 48), (4, 4, 24), (1, 2, 60), (2, 8, 120)],
)
def test_an_idle_pool_keeps_one_long_poll_open_a_queue_or_polls_in_turn(
    dispatchers: int, queues: int, a_minute: int
) -> None:
    world = World(Plan(dispatchers, queues, []), 5 * MINUTE).run()
    assert len(world.grants) / 5 == pytest.approx(a_minute, rel=0.05)
    by_queue = [sum(each.queue == queue for each in world.grants) for queue in range(queues)]
    assert max(by_queue) - min(by_queue) <= 2


def test_a_burst_on_the_high_queue_takes_the_dispatchers_as_their_jobs_end() -> None:
    arrivals = flood(1, 2.0, 1000) + [Arrival(30.0, 0, 5.0) for _ in range(40)]
    world = World(Plan(8, 2, arrivals), 60.0).run()
    granted = [each for each in world.grants if 32.5 < each.at < 50]
    assert granted
    assert {each.queue for each in granted} == {0}


def test_a_message_now_and_then_on_the_high_queue_leaves_the_low_one_its_dispatchers() -> None:
    arrivals = every(0, 0.4, MINUTE, seconds=0.01) + flood(1, 0.5, 2000)
    world = World(Plan(8, 2, arrivals), MINUTE).run()
    assert world.queues[1].worked > 0.6 * 8 * MINUTE
    assert max(world.first_waits[0]) <= 0.5 + 3 * ANSWER


def test_a_high_queue_at_its_limit_holds_back_nobody() -> None:
    arrivals = flood(0, 5.0, 500) + flood(1, 1.0, 500)
    world = World(Plan(4, 2, arrivals, limits=[2, inf]), MINUTE).run()
    assert world.queues[0].worked == pytest.approx(2 * MINUTE, rel=0.02)
    assert world.queues[1].worked > 1.8 * MINUTE


def gaps(world: World, queue: int) -> Iterator[float]:
    """Seconds between two grants of a queue."""
    moments = [0.0, *(each.at for each in world.grants if each.queue == queue), world.end]
    return (later - earlier for earlier, later in pairwise(moments))


def test_without_starve_after_a_low_queue_waits_for_ever() -> None:
    world = World(Plan(2, 2, flood(0, 1.0, 500) + flood(1, 1.0, 5)), MINUTE).run()
    assert world.queues[1].ended == 0


@pytest.mark.parametrize(("dispatchers", "seconds"), [(1, 1.0), (2, 8.0), (8, 0.2)])
def test_starve_after_lets_each_lower_queue_through(dispatchers: int, seconds: float) -> None:
    arrivals: Sequence[Arrival] = [each for q in range(3) for each in flood(q, seconds, 8000)]
    world = World(Plan(dispatchers, 3, arrivals, starve_after=10.0), 2 * MINUTE).run()
    for queue in (1, 2):
        assert max(gaps(world, queue)) <= 10.0 + 4 * (seconds + 2 * ANSWER)
        assert min(list(gaps(world, queue))[:-1]) >= 10.0
    assert world.queues[0].ended > world.queues[1].ended + world.queues[2].ended


# Weights.


@pytest.mark.parametrize("seconds", [(0.2, 0.2), (0.1, 2.0), (5.0, 0.1)])
@pytest.mark.parametrize("dispatchers", [1, 4])
def test_weights_are_shares_of_the_job_time(dispatchers: int, seconds: tuple[float, float]) -> None:
    """Up to a few jobs: however long it goes on, the difference does not grow."""
    arrivals = flood(0, seconds[0], 4500) + flood(1, seconds[1], 4500)
    world = World(Plan(dispatchers, 2, arrivals, weights=[3, 1]), 2 * MINUTE).run()
    had = [book.worked / book.weight for book in world.queues]
    assert abs(had[0] - had[1]) <= (dispatchers + 1) * max(seconds)
    assert all(book.visible for book in world.queues)


def test_a_queue_saves_nothing_up_while_it_is_empty() -> None:
    late = [Arrival(2 * MINUTE, 1, 0.5) for _ in range(2000)]
    arrivals = flood(0, 0.5, 5000) + late
    before = World(Plan(4, 2, arrivals, weights=[1, 1]), 2 * MINUTE + 2).run()
    after = World(Plan(4, 2, arrivals, weights=[1, 1]), 3 * MINUTE).run()
    shares = [
        late.worked - early.worked for early, late in zip(before.queues, after.queues, strict=True)
    ]
    assert shares[0] == pytest.approx(shares[1], rel=0.1)


def test_a_queue_saves_nothing_up_while_it_is_at_its_limit() -> None:
    """The second one cannot use its share; the third is not to wait until it could have."""
    late = [Arrival(2 * MINUTE, 2, 0.5) for _ in range(2000)]
    arrivals = flood(0, 0.5, 5000) + flood(1, 0.5, 5000) + late
    plan = Plan(8, 3, arrivals, weights=[1, 1, 1], limits=[inf, 1, inf])
    before, after = World(plan, 2 * MINUTE + 2).run(), World(plan, 3 * MINUTE).run()
    first, second, third = (
        new.worked - old.worked for old, new in zip(before.queues, after.queues, strict=True)
    )
    assert first == pytest.approx(third, rel=0.1)
    assert second == pytest.approx(58, rel=0.1)
