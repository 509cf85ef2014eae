"""When a pool of several queues begins, and what becomes of a queue that cannot be used later."""

from dataclasses import replace

import pytest

from fleet.core.exit_codes import QUEUE_LATE, QUEUE_UNUSABLE
from fleet.core.outcomes import Exit
from fleet.core.pool.effects import Log, OrderScout
from fleet.core.pool.events import Died, HelperDied, PauseAsked, Tick
from fleet.core.pool.queue_state import DeleteProbe, Refusal
from fleet.core.pool.state import HelperState, PoolEnd, PoolPhase, Role
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import TryDelete, Unusable, Usable
from fleet.core.slot_state import State
from tests.core.pool.story import helper_ready, recovery_orders, scout_says
from tests.core.pool.test_queue_state import NOW, Host, orphan
from tests.support.queues import change_queue

PLACE = QueuePlace("queue", "http://127.0.0.1:1/", "x")
GONE = Unusable(1, QUEUE_UNUSABLE, "it does not exist")
PROBE = TryDelete("m", "handle", 1)


def usable(place: int) -> Usable:
    return Usable(PLACE, [], "", place)


def booting() -> Host:
    """A pool whose app is imported."""
    host = Host(State.IDLE, State.IDLE)
    host.pool = replace(host.pool, phase=PoolPhase.BOOTING, scout=HelperState(alive=True))
    for place in (0, 1):
        host.pool = change_queue(host.pool, place, usable=False, answered=False)
    host.take(helper_ready(Role.TEMPLATE))
    return host


def test_a_pool_begins_when_all_queues_have_answered_once() -> None:
    host = booting()
    host.take(scout_says(usable(1)))
    assert (host.pool.scout.ready, host.pool.phase) == (False, PoolPhase.BOOTING)
    host.take(scout_says(usable(1)))
    assert not host.pool.scout.ready, "the same one"
    host.take(scout_says(usable(0)))
    assert (host.pool.scout.ready, host.pool.phase) == (True, PoolPhase.RUNNING)


@pytest.mark.parametrize("code", [QUEUE_UNUSABLE, QUEUE_LATE])
def test_a_queue_that_cannot_be_used_at_the_start_ends_the_pool(code: int) -> None:
    """Whichever of them: what works is not begun without it."""
    host = booting()
    host.take(scout_says(usable(0)))
    effects = host.take(scout_says(replace(GONE, code=code)))
    assert not any(isinstance(effect, Log) for effect in effects), "the exit's error says it"
    assert host.pool.end == PoolEnd(code, GONE.why)
    assert host.pool.phase is PoolPhase.DRAINING
    assert host.take(scout_says(replace(GONE, queue=0, why="nor does this one"))) == []
    assert (host.pool.end, host.pool.scout.refused) == (PoolEnd(code, GONE.why), False)
    host.take(scout_says(usable(1)))
    assert host.pool.phase is PoolPhase.DRAINING, "it is too late"


def test_a_scouts_successor_is_ready_with_its_first_queue() -> None:
    """What died meanwhile on that queue does not wait for the others."""
    host = Host(State.WORKING, State.WORKING)
    host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    host.now += 10.0
    host.take(Tick())
    for place in (0, 1):
        host.take(Died(place, Exit(signal=9), "SIGKILL", (orphan(place),)))
    host.pool = change_queue(host.pool, 1, probe=DeleteProbe(PROBE), denial=Refusal(NOW, "no"))
    effects = host.take(scout_says(usable(0)))
    assert host.pool.scout.ready
    assert [order.queue for order in recovery_orders(effects)] == [0]
    assert OrderScout(PROBE) not in effects
    effects = host.take(scout_says(usable(1)))
    assert [order.queue for order in recovery_orders(effects)] == [1]
    assert OrderScout(PROBE) in effects


def test_a_queue_that_becomes_unusable_degrades_itself() -> None:
    host = Host(State.WORKING, State.WORKING)
    told = Log("queue.unusable", {"queue": "low", "why": GONE.why})
    assert told in host.take(scout_says(GONE))
    high, low = host.pool.queues
    assert high == host.before.queues[0]
    assert (low.usable, low.trouble) == (False, GONE.why)
    assert low.refused == Refusal(NOW, GONE.why)
    assert not low.may_be_polled
    assert host.pool.phase is PoolPhase.RUNNING
    host.now += 5.0
    host.take(scout_says(GONE))
    assert host.pool.queues[1].refused == Refusal(NOW, GONE.why), "as before"


def test_one_that_only_does_not_answer_may_do_so_again() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.take(scout_says(replace(GONE, code=QUEUE_LATE)))
    low = host.pool.queues[1]
    assert (low.usable, low.trouble, low.refused) == (False, GONE.why, None)


def test_orders_wait_for_a_queue_that_cannot_be_used() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.take(scout_says(GONE))
    assert recovery_orders(host.take(Died(1, Exit(signal=9), "SIGKILL", (orphan(1),)))) == []
    host.pool = change_queue(host.pool, 1, probe=DeleteProbe(PROBE), denial=Refusal(NOW, "no"))
    assert OrderScout(PROBE) not in host.take(Tick())
    effects = host.take(scout_says(usable(1)))
    assert [order.queue for order in recovery_orders(effects)] == [1]
    assert OrderScout(PROBE) in effects


def test_a_queue_that_can_be_used_again_is_as_before() -> None:
    host = Host(State.WORKING, State.WORKING)
    host.take(scout_says(GONE))
    host.take(PauseAsked(True, 1))
    assert host.pool.queues[1].refused, "a pause does not make it usable"
    host.take(PauseAsked(False, 1))
    host.take(scout_says(usable(1)))
    low = host.pool.queues[1]
    assert (low.usable, low.trouble, low.refused, low.may_be_polled) == (True, "", None, True)
