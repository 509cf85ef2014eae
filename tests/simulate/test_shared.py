"""Several queues in a simulated pool: what is measured of each, by cases reckoned by hand.

What the choice itself must keep is in tests/core/scheduling/.
"""

from typing import Any

import pytest

from fleet.simulate import queue_rows
from fleet.simulate.queue_rows import Row
from fleet.simulate.shared import ANSWER, Arrival, Plan, SharedPool

MINUTE = 60.0


def run(dispatchers: int, *queues: list[Arrival], end: float = MINUTE, **fields: Any) -> SharedPool:
    """A pool that has run; the messages of each queue, one after the other."""
    arrivals = [arrival for queue in queues for arrival in queue]
    return SharedPool(Plan(dispatchers, len(queues), arrivals, **fields), end).run()


def rows(pool: SharedPool) -> list[Row]:
    return queue_rows.rows(pool, [f"queue {place}" for place in range(len(pool.queues))])


def test_an_idle_pool_costs_a_poll_a_queue_each_wait_time() -> None:
    """Each poll is open for its wait time and the answer's time."""
    high, low = rows(run(8, [], [], end=99.5 * (10 + ANSWER)))
    assert high.polls == low.polls == pytest.approx(100 * MINUTE / (99.5 * (10 + ANSWER)))
    assert (high.share, high.done, high.left, high.calls) == (0, 0, 0, high.polls)


def test_a_message_on_an_idle_pool_does_not_wait() -> None:
    pool = run(8, [Arrival(5.0, 0, 1.0)], [Arrival(5.0, 1, 3.0)])
    high, low = rows(pool)
    assert (high.waits, low.waits) == ((0, 0, 0), (0, 0, 0))
    assert (high.share, low.share) == pytest.approx((1 / 4, 3 / 4))
    assert (high.done, low.done) == (1, 1)


def test_what_waits_at_the_end_is_counted() -> None:
    pool = run(1, [], [Arrival(0.0, 1, 20.0) for _ in range(9)])
    _, low = rows(pool)
    assert low.left == 9 - low.done - 1
    assert low.waits[0] < low.waits[2] < MINUTE


def test_calls_are_polls_deletes_and_extensions() -> None:
    """A job of 100 s extends its first lease of 20 s after a third, then each third of 60 s."""
    pool = run(2, [Arrival(0.5, 0, 100.0)], [], end=2 * MINUTE)
    high, low = rows(pool)
    extends = 1 + int((100 - 20 / 3) / 20)
    assert high.calls == pytest.approx(high.polls + (1 + extends) / 2)
    assert low.calls == low.polls


def test_an_order_asks_for_no_share_and_weights_do() -> None:
    first, second = rows(run(1, [], [], weights=[3, 1]))
    assert (first.asked, second.asked) == (0.75, 0.25)
    assert [row.asked for row in rows(run(1, [], []))] == [None, None]


def test_a_limit_is_kept_and_the_rest_is_for_others() -> None:
    flood = [[Arrival(0.0, place, 1.0) for _ in range(500)] for place in range(2)]
    high, low = rows(run(4, *flood, limits=[1, 9]))
    assert high.share == pytest.approx(1 / 4, abs=0.02)
    assert low.done > 2.8 * high.done


def test_the_same_plan_is_the_same_run() -> None:
    flood = [[Arrival(place / 7, place, 0.3) for _ in range(200)] for place in range(2)]
    one, other = (rows(run(3, *flood)) for _ in range(2))
    assert one == other
