"""Messages whose dispatchers died: who settles them, when, and how they are counted.

Stories; the model is elsewhere.
"""

from dataclasses import replace

import pytest

from fleet.core.config import Config
from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool import machine
from fleet.core.pool.deadlines import wakes_at
from fleet.core.pool.effects import Effect, KillHelper, Log, SpawnHelper
from fleet.core.pool.emptiness import Emptiness
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Event,
    HelperDied,
    OrderNotTaken,
    SpawnFailed,
    StopAsked,
    Tick,
)
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.queue_state import Counts, QueueState
from fleet.core.pool.recovery_orders import AT_ONCE
from fleet.core.pool.state import Level, Pool, PoolPhase, Role, new
from fleet.core.protocol import Held, Ready, Received
from fleet.core.scout_protocol import Recover, Recovered, Trying
from fleet.core.slot_state import State
from tests.core.pool.story import helper_ready, recovery_orders, scout_says
from tests.support.queues import change_queue, one_queue

KILLED = Exit(signal=9)
DELETE, RELEASE, DEAD_LETTER, LEAVE = Settlement
EMPTY = Emptiness(zero_since=50.0, zero_until=60.0, poll_agreed=True)


class Host:
    """A pool of two, one step after the other."""

    def __init__(self, workers: int = 2) -> None:
        self.now = 100.0
        self.pool: Pool = new(config := Config(workers, wait_time=10.0), one_queue(config))
        self.asked: list[Effect] = []
        self.take(Tick(), helper_ready(Role.TEMPLATE), helper_ready(Role.SCOUT))
        for slot in range(workers):
            self.take(DispatcherSaid(slot, Ready(slot + 10)))

    @property
    def queue(self) -> QueueState:
        (queue,) = self.pool.queues
        return queue

    def take(self, *events: Event) -> list[Effect]:
        """What is asked for by all of them."""
        found: list[Effect] = []
        for event in events:
            self.pool, effects = machine.step(self.pool, event, self.now, 0.5)
            found += effects
        self.asked += found
        return found

    def works(self, slot: int) -> None:
        """The slot's dispatcher has a message in hand."""
        if self.pool.slots[slot].state is State.IDLE:  # it is somebody else's turn to poll
            (other,) = (each.number for each in self.pool.slots if each.state is State.POLLING)
            self.works(other)
        self.take(DispatcherSaid(slot, Received(0.1)))

    def dies(
        self,
        slot: int,
        lease: float = 60.0,
        intent: Settlement | None = None,
        how: Exit | None = None,
    ) -> list[Effect]:
        """With a message in hand."""
        orphan = Orphan("id", 3, "handle", self.now + lease, 7, intent, how)
        return self.take(Died(slot, KILLED, "SIGKILL", (orphan,)))

    def has_stopped(self) -> bool:
        """Nothing more is waited for."""
        return self.pool.phase is PoolPhase.STOPPED

    @property
    def counts(self) -> Counts:
        return self.pool.counts


def given(effects: list[Effect]) -> list[tuple[int, Settlement]]:
    return [(order.number, order.settlement) for order in recovery_orders(effects)]


def logged(effects: list[Effect]) -> list[str]:
    return [
        effect.event
        for effect in effects
        if isinstance(effect, Log) and effect.event.startswith("message.")
    ]


@pytest.fixture
def host() -> Host:
    """Slot 0 has a message in hand."""
    host = Host()
    host.works(0)
    return host


@pytest.mark.parametrize(
    ("intent", "how", "order"),
    [(None, None, RELEASE), (None, Exit(code=0), DELETE), (DELETE, None, DELETE)],
)
def test_the_scout_settles_and_its_answer_is_booked(
    host: Host, intent: Settlement | None, how: Exit | None, order: Settlement
) -> None:
    assert given(host.dies(0, intent=intent, how=how)) == [(0, order)]
    assert host.counts.in_hand == 1
    effects = host.take(scout_says(Recovered(0, order)))
    (log,) = (effect for effect in effects if isinstance(effect, Log))
    assert log.event == f"message.{order.value}"
    delay = 7 if order is RELEASE else 0
    assert log.fields == {
        "slot": 0,
        "queue": "jobs",
        "message_id": "id",
        "attempt": 3,
        "why": "its dispatcher died",
        "delay": delay,
    }
    assert host.counts.in_hand == 0
    assert (host.counts.deleted, host.counts.released) == ((1, 0) if order is DELETE else (0, 1))
    assert host.pool.recoveries == ()


def test_what_the_scout_cannot_settle_is_left(host: Host) -> None:
    host.dies(0)
    assert logged(host.take(scout_says(Recovered(0, LEAVE)))) == ["message.left"]
    assert (host.counts.left, host.counts.in_hand) == (1, 0)


@pytest.mark.parametrize("intent", [RELEASE, DEAD_LETTER])
def test_what_may_have_been_done_is_left_at_once(host: Host, intent: Settlement) -> None:
    assert logged(host.dies(0, intent=intent)) == ["message.left"]
    assert (host.counts.left, host.pool.recoveries) == (1, ())


def test_an_answer_to_an_order_that_is_not_open_says_nothing(host: Host) -> None:
    host.dies(0)
    host.take(scout_says(Recovered(0, RELEASE)))
    assert host.take(scout_says(Recovered(0, RELEASE)), scout_says(Recovered(99, DELETE))) == []
    assert host.counts.released == 1


def test_orders_have_numbers_of_their_own() -> None:
    host = Host()
    host.works(0)
    host.works(1)
    assert given(host.dies(0)) == [(0, RELEASE)]
    assert given(host.dies(1)) == [(1, RELEASE)]
    host.take(scout_says(Recovered(1, RELEASE)))
    assert [each.order.number for each in host.pool.recoveries] == [0]


# By the state of the slot.


def test_a_message_that_nobody_had_heard_of_yet_is_received_too(host: Host) -> None:
    """The poll had come home, and its dispatcher died before it could say so: that poll is not
    open.
    """
    assert host.pool.slots[1].state is State.POLLING
    assert given(host.dies(1)) == [(0, RELEASE)]
    assert host.counts.received == 2
    assert host.queue.dead_polls == ()


def test_a_message_that_waits_for_its_release_is_inherited() -> None:
    host = Host()
    host.works(0)
    host.pool = change_queue(host.pool, 0, dead_polls=(200.0,))
    host.take(DispatcherSaid(0, Held()))
    assert host.pool.slots[0].state is State.HOLDING
    assert given(host.dies(0)) == []
    assert len(host.pool.recoveries) == 1


def test_a_poll_that_had_not_come_home_stays_open(host: Host) -> None:
    host.take(Died(1, KILLED, "SIGKILL"))
    assert host.queue.dead_polls == (111.0,)
    assert host.counts.received == 1


@pytest.mark.parametrize("settled", [*Settlement, None])
def test_a_message_that_was_settled_but_not_said_is_booked(
    host: Host, settled: Settlement | None
) -> None:
    host.take(Died(0, KILLED, "SIGKILL", (), {0: settled} if settled else {}))
    counts = host.counts
    assert counts.in_hand == 0
    booked = {DELETE: counts.deleted, RELEASE: counts.released, DEAD_LETTER: counts.dead_lettered}
    assert booked.get(settled or LEAVE, counts.left) == 1


@pytest.mark.parametrize("settled", [*Settlement, None])
def test_who_has_nothing_in_hand_leaves_nothing(settled: Settlement | None) -> None:
    """An idle dispatcher's record still says what it did with its last message."""
    host = Host(workers=3)
    (idle, *_) = (slot.number for slot in host.pool.slots if slot.state is State.IDLE)
    before = host.counts
    host.take(Died(idle, KILLED, "SIGKILL", (), {0: settled} if settled else {}))
    assert (host.counts, host.pool.dispatcher_deaths) == (before, 1)
    assert (host.pool.recoveries, host.queue.dead_polls) == ((), ())


# The release rule.


def test_outside_a_drain_a_release_waits_for_the_polls_of_the_dead(host: Host) -> None:
    host.take(Died(1, KILLED, "SIGKILL"))
    assert given(host.dies(0)) == []
    assert wakes_at(host.pool, host.now) <= 111.0
    host.now = 110.9
    assert given(host.take(Tick())) == []
    host.now = 111.0
    assert given(host.take(Tick())) == [(0, RELEASE)]


def test_a_delete_waits_for_nobody(host: Host) -> None:
    host.take(Died(1, KILLED, "SIGKILL"))
    assert given(host.dies(0, how=Exit(code=0))) == [(0, DELETE)]


def test_in_a_drain_a_release_waits_for_every_open_poll(host: Host) -> None:
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    assert given(host.dies(0)) == []
    assert given(host.take(Died(1, Exit(code=0), "exit 0"))) == []  # its poll may be open still
    host.now = 111.0
    assert given(host.take(Tick())) == [(0, RELEASE)]


def test_outside_a_drain_a_release_does_not_wait_for_the_living(host: Host) -> None:
    assert host.pool.slots[1].state is State.POLLING
    assert given(host.dies(0)) == [(0, RELEASE)]


@pytest.mark.parametrize(("lease", "effects"), [(11.0, []), (20.0, [(0, RELEASE)])])
def test_a_release_that_has_waited_too_long_is_left(
    host: Host, lease: float, effects: list[tuple[int, Settlement]]
) -> None:
    """The moment is named, so that a drain does not wait for nothing."""
    host.take(Died(1, KILLED, "SIGKILL"))
    host.dies(0, lease=lease)
    at = wakes_at(host.pool, host.now)
    while host.now < 111.0 and host.pool.recoveries and at <= 111.0:
        host.now = at
        found = host.take(Tick())
        at = wakes_at(host.pool, host.now)
    assert given(found) == effects
    assert host.counts.left == (not effects)
    assert host.now == (111.0 if effects else 106.0)


# Deaths of the scout.


def test_a_successor_is_given_a_delete_again(host: Host) -> None:
    host.dies(0, how=Exit(code=0))
    assert SpawnHelper(Role.SCOUT) in host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    assert [each.is_waiting for each in host.pool.recoveries] == [False]
    assert given(host.take(helper_ready(Role.SCOUT))) == [(0, DELETE)]
    assert host.pool.recoveries[0].given == 2
    host.take(scout_says(Recovered(0, DELETE)))
    assert host.counts.in_hand == 0


def test_a_release_is_given_once_only(host: Host) -> None:
    """Whether the dead scout has done it nobody knows, and once more could hit a new owner."""
    host.dies(0, lease=10_000.0)
    assert logged(host.take(HelperDied(Role.SCOUT, "SIGKILL"))) == ["message.left"]
    assert (host.counts.left, host.pool.recoveries) == (1, ())


def test_a_release_that_was_not_given_is_given_to_the_successor(host: Host) -> None:
    host.take(Died(1, KILLED, "SIGKILL"), HelperDied(Role.SCOUT, "SIGKILL"))
    host.dies(0)
    host.now = 111.0
    assert given(host.take(Tick())) == []
    assert given(host.take(helper_ready(Role.SCOUT))) == [(0, RELEASE)]


def test_nothing_is_given_to_a_scout_that_is_not_ready(host: Host) -> None:
    host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    assert given(host.dies(0, how=Exit(code=0))) == []
    assert len(host.pool.recoveries) == 1


# Many at once.


def test_a_crowd_of_orders_is_given_a_few_at_a_time() -> None:
    """All at once they did not fit into the scout's channel, and what was dropped stayed open for
    ever.
    """
    host = Host(workers=200)
    for slot in range(200):
        host.pool = replace(
            host.pool, slots=tuple(replace(each, crashes=0) for each in host.pool.slots)
        )
        host.works(slot)
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    found = [order for slot in range(200) for order in given(host.dies(slot, how=Exit(code=0)))]
    assert len(found) == AT_ONCE
    for number, order in found:  # grows meanwhile
        assert len([each for each in host.pool.recoveries if each.is_waiting]) <= AT_ONCE
        found += given(host.take(scout_says(Recovered(number, order))))
    assert (host.counts.deleted, host.counts.in_hand, host.has_stopped()) == (200, 0, True)


def test_an_order_that_was_not_taken_is_given_again_after_the_next_word(host: Host) -> None:
    """It was never given: a release too. Not at once, or the master would do nothing else."""
    host.dies(0)
    assert given(host.take(OrderNotTaken(host.pool.recoveries[0].order), Tick())) == []
    assert [(each.is_waiting, each.given) for each in host.pool.recoveries] == [(False, 0)]
    assert given(host.take(scout_says(Trying()))) == [(0, RELEASE)]
    host.take(scout_says(Recovered(0, RELEASE)))
    assert (host.counts.released, host.counts.in_hand) == (1, 0)


def test_an_order_that_was_not_taken_is_given_to_the_successor(host: Host) -> None:
    host.dies(0)
    host.take(OrderNotTaken(host.pool.recoveries[0].order), HelperDied(Role.SCOUT, "SIGKILL"))
    assert given(host.take(helper_ready(Role.SCOUT))) == [(0, RELEASE)]


def test_a_scout_whose_channel_is_full_is_asked_and_then_replaced(host: Host) -> None:
    """It is stopped, most likely."""
    host.dies(0, lease=10_000.0)
    host.take(OrderNotTaken(host.pool.recoveries[0].order))
    while not any(isinstance(effect, KillHelper) for effect in host.asked):
        host.now = wakes_at(host.pool, host.now)
        host.take(Tick())
    assert host.now <= 100.0 + 20.0 + 40.0


# A poll on a FIFO queue that lost its dispatcher. Slot 1 has asked at 100, for ten seconds, with a
# first lease of 20.


@pytest.fixture
def asking(host: Host) -> Host:
    """Its dispatcher is dead."""
    assert given(host.take(Died(1, KILLED, "SIGKILL", receive_id="call"))) == []
    return host


def test_a_poll_is_repeated_when_it_must_be_over(asking: Host) -> None:
    """Not before: what is released while it is open could be swallowed by it."""
    assert asking.queue.dead_polls == (111.0,)
    assert asking.counts.in_hand == 1, "a poll is no message"
    asking.now = 110.9
    assert given(asking.take(Tick())) == []
    asking.now = wakes_at(asking.pool, asking.now)
    assert asking.now == 111.0
    order = Recover(0, "", "", RELEASE, 0, 131.0, receive_id="call")
    assert recovery_orders(asking.take(Tick())) == [order]
    assert asking.pool.recoveries[0].slot == 1


def test_in_a_drain_a_poll_is_repeated_when_no_other_is_open() -> None:
    host = Host(workers=1)
    host.take(Died(0, KILLED, "SIGKILL", receive_id="call"))
    host.take(StopAsked(Level.DRAIN, "SIGTERM"), SpawnFailed(0, "the template is gone"))
    assert not host.has_stopped(), "it waits for the poll of the dead"
    assert given(host.take(Tick())) == []
    host.now = 111.0
    assert given(host.take(Tick())) == [(0, RELEASE)]
    assert not host.has_stopped()
    host.take(scout_says(Recovered(0, LEAVE)))
    assert host.has_stopped()
    assert (host.counts.received, host.counts.left) == (0, 0)


@pytest.mark.parametrize("how", [RELEASE, LEAVE])
def test_what_a_repeated_poll_brings_is_received_and_settled(asking: Host, how: Settlement) -> None:
    asking.now = 111.0
    asking.take(Tick())
    asking.pool = change_queue(asking.pool, 0, emptiness=EMPTY)
    effects = asking.take(scout_says(Recovered(0, how, "found", 4)))
    (log,) = (effect for effect in effects if isinstance(effect, Log))
    assert log.event == f"message.{how.value}"
    why = "its dispatcher died while receiving it"
    assert log.fields == {
        "slot": 1,
        "queue": "jobs",
        "message_id": "found",
        "attempt": 4,
        "why": why,
        "delay": 0,
    }
    assert (asking.counts.received, asking.counts.in_hand) == (2, 1)
    assert (asking.counts.released, asking.counts.left) == ((1, 0) if how is RELEASE else (0, 1))
    assert asking.queue.emptiness == Emptiness(), "the queue has a message again"
    assert asking.pool.recoveries == ()


def test_a_repeated_poll_that_brings_nothing_counts_nothing(asking: Host) -> None:
    asking.now = 111.0
    asking.take(Tick())
    before = asking.counts
    assert logged(asking.take(scout_says(Recovered(0, LEAVE)))) == []
    assert (asking.counts, asking.pool.recoveries) == (before, ())


def test_a_poll_is_repeated_by_a_successor_too(asking: Host) -> None:
    """With the same id it brings the same message, or nothing."""
    asking.now = 111.0
    asking.take(Tick())
    asking.take(HelperDied(Role.SCOUT, "SIGKILL"))
    assert [each.is_waiting for each in asking.pool.recoveries] == [False]
    asking.now = 120.0
    assert given(asking.take(helper_ready(Role.SCOUT), Tick())) == [(0, RELEASE)]
    assert asking.pool.recoveries[0].given == 2


def test_a_poll_is_not_repeated_when_what_it_took_is_visible_by_itself(asking: Host) -> None:
    asking.take(HelperDied(Role.SCOUT, "SIGKILL"))
    asking.now = 111.0
    asking.take(Tick())
    before = asking.counts
    while asking.pool.recoveries and asking.now < 200.0:
        asking.now = wakes_at(asking.pool, asking.now)
        assert logged(asking.take(Tick())) == []
    assert (asking.now, asking.counts) == (131.0, before)


def test_a_pool_is_not_empty_while_a_poll_is_to_be_repeated() -> None:
    host = Host()
    host.pool = replace(
        host.pool, config=replace(host.pool.config, until_empty=True, empty_for=2.0)
    )
    host.take(Died(0, KILLED, "SIGKILL", receive_id="call"))
    host.pool = change_queue(host.pool, 0, emptiness=EMPTY)
    host.take(Tick())
    assert host.pool.level is None
    host.now = 111.0
    host.take(Tick(), scout_says(Recovered(0, LEAVE)))
    assert host.pool.level is Level.DRAIN


def test_polls_and_messages_have_orders_of_their_own() -> None:
    """An answer settles its own order only."""
    host = Host(workers=3)
    host.works(0)
    for receive_id in ("one", "two"):
        asking = next(slot.number for slot in host.pool.slots if slot.state is State.POLLING)
        host.take(Died(asking, KILLED, "SIGKILL", receive_id=receive_id))
    host.dies(0, how=Exit(code=0))
    assert [(each.order.number, each.order.receive_id) for each in host.pool.recoveries] == [
        (0, "one"),
        (1, "two"),
        (2, ""),
    ]
    host.take(scout_says(Recovered(2, DELETE)))
    host.take(scout_says(Recovered(0, RELEASE, "found", 1)))
    assert [each.order.receive_id for each in host.pool.recoveries] == ["two"]


def test_a_kill_forgets_the_polls_of_the_dead(asking: Host) -> None:
    asking.take(StopAsked(Level.DRAIN, "SIGTERM"))
    asking.now += 2
    asking.take(Died(0, Exit(code=0), "exit 0", (), {0: DELETE}))
    asking.take(StopAsked(Level.KILL, "SIGTERM"))
    assert asking.pool.recoveries == ()
    assert (asking.counts.in_hand, asking.counts.left) == (0, 0)
    assert (asking.pool.end and asking.pool.end.code) == 0


# The end.


def drained(host: Host) -> list[Effect]:
    """Everybody but the dead has left."""
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    found: list[Effect] = []
    for slot in host.pool.slots:
        if slot.state is not State.VACANT:
            found += host.take(Died(slot.number, Exit(code=0), "exit 0"))
    return found


def test_a_drain_waits_for_its_orders(host: Host) -> None:
    host.dies(0, how=Exit(code=0))
    drained(host)
    assert not host.has_stopped()
    host.take(scout_says(Recovered(0, DELETE)))
    assert host.has_stopped()
    assert (host.pool.end and host.pool.end.code) == 0


def test_a_drain_has_a_new_scout_for_its_orders(host: Host) -> None:
    host.dies(0, how=Exit(code=0))
    drained(host)
    assert SpawnHelper(Role.SCOUT) in host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    assert given(host.take(helper_ready(Role.SCOUT))) == [(0, DELETE)]


def test_a_drain_has_a_new_scout_for_the_keys_that_a_job_is_settled_with(host: Host) -> None:
    """They may expire before the job's end."""
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    assert SpawnHelper(Role.SCOUT) in host.take(HelperDied(Role.SCOUT, "SIGKILL"))


def test_a_drain_without_a_message_needs_no_scout() -> None:
    host = Host()
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    assert SpawnHelper(Role.SCOUT) not in host.take(HelperDied(Role.SCOUT, "SIGKILL"))


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize(("how", "code"), [(Exit(code=0), 8), (None, 7)])
def test_the_hard_limit_leaves_them(host: Host, waiting: bool, how: Exit | None, code: int) -> None:
    """A scout that hangs holds up no stop.

    What was finished is not killed with work in hand, only not confirmed.
    """
    if not waiting:
        host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    host.dies(0, lease=1000.0, how=how)
    drained(host)
    assert not host.has_stopped()
    assert host.pool.recoveries[0].is_waiting is waiting
    host.now = host.pool.kill_at
    effects = host.take(Tick())
    assert logged(effects) == ["message.left"]
    assert SpawnHelper(Role.SCOUT) not in effects
    assert host.has_stopped()
    assert (host.pool.end and host.pool.end.code) == code
    assert host.counts.in_hand == 0


@pytest.mark.parametrize(("how", "code"), [(Exit(code=0), 8), (Exit(code=1), 7), (None, 7)])
def test_what_a_kill_takes_out_of_a_hand_is_left(host: Host, how: Exit | None, code: int) -> None:
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    host.now += 2
    host.take(StopAsked(Level.KILL, "SIGTERM"))
    assert logged(host.dies(0, how=how)) == ["message.left"]
    assert host.pool.recoveries == ()
    host.take(Died(1, KILLED, "SIGKILL"))
    assert host.has_stopped()
    assert (host.pool.end and host.pool.end.code) == code


@pytest.mark.parametrize(("settled", "code"), [(DELETE, 0), (RELEASE, 0), (None, 7)])
def test_what_was_settled_before_the_kill_costs_nothing(
    host: Host, settled: Settlement | None, code: int
) -> None:
    host.take(StopAsked(Level.DRAIN, "SIGTERM"))
    host.now += 2
    host.take(StopAsked(Level.KILL, "SIGTERM"))
    host.take(
        Died(0, KILLED, "SIGKILL", (), {0: settled} if settled else {}), Died(1, KILLED, "SIGKILL")
    )
    assert (host.pool.end and host.pool.end.code) == code
