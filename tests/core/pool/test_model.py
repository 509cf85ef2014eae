"""A model that plays kernel, helpers, dispatchers, operator and clock against the pool (world.py).

After every step what was told is held against the pool's state (account.py), every other field
against what a step may change (steps.py), every effect against what may be asked then, and the
machine against itself: running its rules twice changes nothing, and nothing is due before the
moment that it named. Whatever has happened, a stop ends in STOPPED.
"""

from math import inf

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleet.core.config import Config
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.pool import machine
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    KillDispatcher,
    KillHelper,
    Log,
    OrderScout,
    Send,
    Spawn,
    SpawnHelper,
    TellStack,
    TerminateDispatcher,
)
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Ended,
    Event,
    HelperDied,
    HelperSpawnFailed,
    LimitAsked,
    MemoryMeasured,
    PauseAsked,
    ScaleAsked,
    SpawnFailed,
    StopAsked,
    Tick,
)
from fleet.core.pool.machine import IllegalEvent
from fleet.core.pool.reconcile import reconcile
from fleet.core.pool.recovery_orders import AT_ONCE
from fleet.core.pool.slot import BUSY_STATES, Slot
from fleet.core.pool.state import Level, Pool, PoolPhase, Role, helper_of
from fleet.core.protocol import (
    Denied,
    Drain,
    Empty,
    Free,
    Grant,
    Healed,
    Held,
    LeaseLost,
    PollFailed,
    Ready,
    Received,
    Report,
    Settled,
    Troubled,
)
from fleet.core.queue_config import QueueConfig
from fleet.core.records import replace
from fleet.core.scheduling import LOOK, SETTLE
from fleet.core.scout_protocol import Recover, Recovered, TryDelete, Trying
from fleet.core.slot_state import State
from tests.core.pool import choosing, steps
from tests.core.pool.account import Account, Life, QueueLife
from tests.core.pool.dispatchers import LEASE, Choice, Record, Stage
from tests.core.pool.story import helper_ready, named, scout_says
from tests.core.pool.world import World

JITTERS = st.floats(0, 1, exclude_max=True)
PAUSES = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 1.5, 10.0, 61.0, 1000.0]), st.floats(0, 15))
CHOICES = st.sampled_from([Choice.MESSAGE, Choice.MESSAGE, Choice.MESSAGE, *Choice])
EXITS = (Exit(code=1), Exit(signal=9), Exit(signal=11), Exit(code=71))
RECORDS = st.builds(
    Record,
    home=st.booleans(),
    lease=st.sampled_from([60.0, 20.0, 20.0, 6.0, 5.0, -1.0]),
    intent=st.sampled_from(
        [None, None, None, None, Settlement.DELETE, Settlement.RELEASE, Settlement.DEAD_LETTER]
    ),
    exit=st.sampled_from([None, None, None, Exit(code=0), Exit(code=1), Exit(signal=9)]),
    settled=st.sampled_from([None, None, None, None, Settlement.DELETE, Settlement.DEAD_LETTER]),
)
SOURCES = st.frozensets(
    st.sampled_from([0, 1, 2, 3, Role.TEMPLATE, Role.SCOUT, "deaths", "signals", "sweep"]),
    max_size=4,
)
CONFIGS = st.builds(
    Config,
    workers=st.integers(1, 4),
    wait_time=st.sampled_from([0.0, 5.0, 10.0]),
    drain_timeout=st.sampled_from([0.0, 30.0]),
    exit_timeout=st.sampled_from([0.0, 5.0]),
    job_timeout=st.sampled_from([inf, 10.0, 600.0]),
    on_failure=st.sampled_from([None, "app:told"]),
    boot_timeout=st.sampled_from([5.0, 60.0]),
    until_empty=st.booleans(),
    empty_for=st.just(2.0),
    max_seconds=st.sampled_from([inf, inf, 30.0]),
    max_jobs=st.sampled_from([None, None, 1, 3]),
    min_workers=st.sampled_from([None, 1]),
    max_workers=st.sampled_from([None, 4, 8]),
    shrink_after=st.sampled_from([0.0, 20.0]),
    depth_interval=st.sampled_from([1.0, 15.0]),
    batch_size=st.sampled_from([1, 3]),
    starve_after=st.sampled_from([inf, inf, 5.0]),
)
LIMITS = st.sampled_from([inf, inf, 1.0, 2.0])


@st.composite
def one_queue(draw: st.DrawFn) -> list[QueueConfig]:
    """The only queue of a pool."""
    name = draw(st.sampled_from(["jobs", "jobs.fifo"]))
    return [QueueConfig(name, "app:job", draw(CONFIGS), None, draw(LIMITS))]


@st.composite
def several_queues(draw: st.DrawFn) -> list[QueueConfig]:
    """The queues of a pool, the first of them with the pool's own options."""
    config = draw(CONFIGS)
    names = ["high", "middle", "low"][: draw(st.sampled_from([2, 2, 3]))]
    weighted = draw(st.booleans())
    return [
        QueueConfig(
            name + draw(st.sampled_from(["", ".fifo"])),
            "app:job",
            replace(
                config,
                wait_time=draw(st.sampled_from([0.0, 5.0, 10.0])),
                batch_size=draw(st.sampled_from([1, 3])),
                on_failure=draw(st.sampled_from([None, "app:told"])),
            )
            if place
            else config,
            draw(st.sampled_from([1.0, 3.0])) if weighted else None,
            draw(LIMITS),
        )
        for place, name in enumerate(names)
    ]


DEPTHS = st.sampled_from([(0, 0, 0), (0, 1, 0), (7, 2, 0), (0, 0, 3)])
BUSY = (Stage.WORKING, Stage.HOLDING)

FOLLOWING = {
    PoolPhase.BOOTING: {PoolPhase.RUNNING, PoolPhase.DRAINING, PoolPhase.STOPPED},
    PoolPhase.RUNNING: {PoolPhase.DRAINING, PoolPhase.STOPPED},
    PoolPhase.DRAINING: {PoolPhase.STOPPED},
    PoolPhase.STOPPED: set[PoolPhase](),
}
HEARD_IN: dict[type[Report], set[State]] = {
    Ready: {State.SPAWNING, State.BOOTING},
    Received: {State.POLLING},
    Empty: {State.POLLING},
    PollFailed: {State.POLLING},
    Held: {State.WORKING},
    Denied: {State.WORKING, State.HOLDING},
    Troubled: {State.WORKING, State.HOLDING},
    Healed: {State.WORKING, State.HOLDING},
    LeaseLost: {State.WORKING, State.HOLDING},
    Settled: {State.WORKING, State.HOLDING},
}


def staying(pool: Pool) -> int:
    """Dispatchers that exist or are on their way, and were not told to leave."""
    return sum(slot.state is not State.VACANT and not slot.leaving for slot in pool.slots)


class PoolModel(RuleBasedStateMachine):
    """One pool in a hostile host."""

    world: World
    account: Account

    # The beginning.

    @initialize(
        queues=one_queue(),
        stubborn=st.frozensets(st.integers(0, 3)),
        hung=st.frozensets(st.sampled_from(Role)),
        warm=st.integers(0, 4),
        dying=st.none() | RECORDS,
        jitter=JITTERS,
        crowded=st.booleans(),
        room=st.sampled_from([1, 3, 8]),
    )
    def boots(
        self,
        queues: list[QueueConfig],
        stubborn: frozenset[int],
        hung: frozenset[Role],
        warm: int,
        dying: Record | None,
        jitter: float,
        crowded: bool,
        room: int,
    ) -> None:
        self.begins(queues, stubborn, hung, warm, dying, jitter, crowded, room)

    def begins(
        self,
        queues: list[QueueConfig],
        stubborn: frozenset[int],
        hung: frozenset[Role],
        warm: int,
        dying: Record | None,
        jitter: float,
        crowded: bool,
        room: int,
    ) -> None:
        self.stubborn, self.hung, self.dying = stubborn, hung, dying
        self.terminated: set[int] = set()
        config = queues[0].config
        self.account = Account(
            config,
            [Life() for _ in range(config.workers)],
            [QueueLife(each, each.limit) for each in queues],
        )
        self.world = World(queues, config, self.watch, jitter, room=room)
        for turn in range(warm * (1 + config.workers)):
            if crowded:  # enough for batches
                self.world.scout_counts((40, 0, 0), turn)
            self.everybody_moves(Choice.EMPTY, jitter)

    # Dispatchers and helpers.

    @rule(
        moves=st.lists(st.tuples(st.integers(0, 5), CHOICES), min_size=1, max_size=8),
        took=st.sampled_from([0.0, 0.2, 2.0, 10.0]),
        deaf=SOURCES,
        jitter=JITTERS,
    )
    def some_move(
        self, moves: list[tuple[int, Choice]], took: float, deaf: frozenset[object], jitter: float
    ) -> None:
        self.world.now += took
        for number, choice in moves:
            if eager := self.world.eager():
                self.world.dispatcher_moves(eager[number % len(eager)], choice)
        self.the_master_wakes(deaf, jitter)

    @rule(choice=CHOICES, jitter=JITTERS)
    def everybody_moves(self, choice: Choice, jitter: float) -> None:
        """A stretch of ordinary life."""
        for role in Role:
            self.world.helper_moves(role, good=True)
        for process in self.world.running():
            self.world.dispatcher_moves(process, choice)
        self.the_master_wakes(frozenset(), jitter)

    @rule(jitter=JITTERS)
    def a_burst_comes(self, jitter: float) -> None:
        """Every receive brings at once as many as it may, and no sample tells of it."""
        for _ in range(9):  # three receives, where each job ends at once
            for process in self.world.running():
                self.world.dispatcher_moves(process, Choice.MESSAGE)
            self.the_master_wakes(frozenset(), jitter)

    @rule(number=st.integers(0, 20), what=st.sampled_from([*EXITS, None]), record=RECORDS)
    def a_dispatcher_suffers(self, number: int, what: Exit | None, record: Record) -> None:
        """It dies, or somebody tells it alone to leave; or it is spared."""
        running = self.world.running()
        if number >= len(running):
            return
        if what is None:
            running[number].leaving = True
        else:
            self.world.dies(running[number].pid, what, record)

    @rule(first=st.booleans(), what=st.sampled_from(EXITS), record=RECORDS)
    def one_with_a_message_dies(self, first: bool, what: Exit, record: Record) -> None:
        """In hand, or brought by its poll."""
        holders = [
            p
            for p in self.world.running()
            if p.stage in BUSY or (record.home and p.stage is Stage.POLLING)
        ]
        if holders:
            self.world.dies(holders[0 if first else -1].pid, what, record)

    @rule(
        number=st.integers(0, 3),
        settled=st.sampled_from([None, None, Settlement.DELETE, Settlement.LEAVE]),
        away=st.sampled_from([0.0, 0.0, LEASE + 1, 1000.0]),
        looks=st.booleans(),
        jitter=JITTERS,
    )
    def one_with_a_message_hangs(
        self, number: int, settled: Settlement | None, away: float, looks: bool, jitter: float
    ) -> None:
        """It is killed before its lease has ended, if the master can look in time, and else soon
        after that.
        """
        holders = [
            process
            for process in self.world.running()
            if process.stage in BUSY and process.hung_since is None
        ]
        if not holders:
            return
        hung = holders[number % len(holders)]
        hung.hangs(self.world.now, settled)
        self.world.now += away
        began = self.world.now
        while (
            looks
            and hung in self.world.running()
            and self.world.pool.phase is not PoolPhase.STOPPED
        ):
            self.world.now = max(self.world.now, self.world.wakes_at())
            assert self.world.now < began + LEASE
            self.the_master_wakes(frozenset(), jitter)

    @rule(
        first=st.booleans(),
        then=st.sampled_from([None, None, Choice.LEFT, Choice.MESSAGE]),
        jitter=JITTERS,
    )
    def a_delete_is_denied(self, first: bool, then: Choice | None, jitter: float) -> None:
        """For good, or until it is allowed; or it is asked for still."""
        holders = [process for process in self.world.running() if process.stage is Stage.WORKING]
        if holders:
            process = holders[0 if first else -1]
            self.world.dispatcher_moves(process, Choice.DENIED)
            if then and process.insists:
                self.world.dispatcher_moves(process, then)
        self.the_master_wakes(frozenset(), jitter)

    @rule(good=st.booleans(), jitter=JITTERS)
    def the_scout_settles(self, good: bool, jitter: float) -> None:
        """What it was ordered to, and the master hears of it; or it dies without a word."""
        if good:
            self.world.scout_settles(good=True)
        elif scout := self.world.helper(Role.SCOUT):
            self.world.dies(scout.pid, Exit(signal=9))
        self.the_master_wakes(frozenset(), jitter)

    @rule(
        role=st.sampled_from(Role),
        how=st.sampled_from(
            ["well"] * 5 + ["badly", "cannot", "dies", "tries", "denied", "denied"]
        ),
        depth=DEPTHS,
        queue=st.integers(0, 2),
    )
    def a_helper_moves(self, role: Role, how: str, depth: tuple[int, int, int], queue: int) -> None:
        helper = self.world.helper(role)
        if how == "cannot":
            self.world.helper_fails(role)
        elif how == "tries" and role is Role.SCOUT:
            self.world.scout_tries()
        elif how == "denied" and role is Role.SCOUT:
            self.world.scout_is_denied()
        elif how == "dies" and helper:
            self.world.dies(helper.pid, Exit(signal=9))
        else:
            self.world.helper_moves(role, good=how == "well")
            self.world.scout_counts(depth, queue)
            self.world.scout_settles(good=how == "well")
            self.world.scout_probes(denied=how != "well")

    # The clock and the operator.

    @rule(seconds=PAUSES | st.none(), deaf=SOURCES | st.none(), jitter=JITTERS)
    def time_passes(
        self, seconds: float | None, deaf: frozenset[object] | None, jitter: float
    ) -> None:
        """Until the moment that the master named, or any other; and it looks, or does not."""
        if seconds is not None:
            self.world.now += seconds
        elif (at := self.world.wakes_at()) < inf:
            self.world.now = max(self.world.now, at)
        if deaf is not None:
            self.the_master_wakes(deaf, jitter)

    def the_master_wakes(self, deaf: frozenset[object], jitter: float) -> None:
        """What was due is judged, so it does not wake again at once."""
        due = self.world.wakes_at() <= self.world.now
        self.world.jitter = jitter
        self.world.master_wakes(deaf)
        assert (
            not due
            or self.world.judged == self.world.now
            or self.world.pool.phase is PoolPhase.STOPPED
        )

    @rule(
        by=st.sampled_from([-1, 1]),
        level=st.sampled_from([None] * 12 + [Level.DRAIN, Level.DRAIN, Level.NOW]),
    )
    def the_operator_asks(self, by: int, level: Level | None) -> None:
        """For another size, or for an end; once for an end, he becomes impatient."""
        pool = self.world.pool
        if level or (pool.level and by > 0):
            self.world.stop(level or Level.DRAIN)
        elif pool.desired + by <= 5:
            self.world.resize(by)

    @rule(
        to=st.integers(-1, 5) | st.none(),
        pause=st.booleans() | st.none(),
        level=st.sampled_from([None] * 15 + [*Level]),
        queue=st.integers(0, 2) | st.none(),
        limit=LIMITS | st.none(),
    )
    def the_operator_commands(
        self,
        to: int | None,
        pause: bool | None,
        level: Level | None,
        queue: int | None,
        limit: float | None,
    ) -> None:
        """Over the control socket."""
        place = None if queue is None else queue % len(self.world.queues)
        if level in (Level.DRAIN, Level.NOW):
            self.world.commands(StopAsked(level, "an operator stopped it", by_signal=False))
        elif pause is not None:
            self.world.commands(PauseAsked(pause, place))
        elif limit is not None and place is not None:
            self.world.commands(LimitAsked(place, limit))
        else:
            self.world.commands(ScaleAsked(to))

    @rule(
        available=st.sampled_from([10.0, 164.0, 500.0, 1e6]),
        taken=st.lists(st.sampled_from([10.0, 100.0]), max_size=3),
    )
    def the_memory_is_measured(self, available: float, taken: list[float]) -> None:
        self.world.commands(MemoryMeasured(available, 1000.0, dict(enumerate(taken))))

    @rule()
    def the_operator_wants_to_see_stacks(self) -> None:
        self.world.show_stacks()

    @rule(starving=st.booleans())
    def the_host_runs_out_of_something(self, starving: bool) -> None:
        """The master can start nobody; or it can again."""
        self.world.starving = starving

    # One step.

    def watch(self, before: Pool, event: Event, after: Pool, effects: tuple[Effect, ...]) -> None:
        now = self.world.now if hasattr(self, "world") else 1000.0
        note(f"{now:.3f} {event} → {[effect for effect in effects if not isinstance(effect, Log)]}")
        granted_at = [queue.granted_at for queue in self.account.queues]
        self.account.follow(before, event, after, effects, now)
        choosing.check_limits(before, after)
        steps.check(before, event, after, now)
        assert after.phase is before.phase or after.phase in FOLLOWING[before.phase]
        assert len(after.slots) <= max(after.desired, len(before.slots))
        assert staying(after) <= max(after.desired, staying(before))
        for effect in effects:
            self.may_be_asked(effect, before, after, now)
            if isinstance(effect, Send) and isinstance(effect.order, Grant):
                place = effect.order.queue
                known = self.account.queues
                choosing.check_order(after, place, granted_at[place], known, now)
        choosing.check_rest(after, self.account.queues, now)
        touched = [
            (type(effect), effect.slot)
            for effect in effects
            if isinstance(effect, Spawn | TerminateDispatcher | KillDispatcher)
        ]
        assert len(touched) == len(set(touched))
        again, more = reconcile(after, now, judge=isinstance(event, Tick))
        assert (choosing.without_job_time(again, after), more) == (after, ())

    def may_be_asked(self, effect: Effect, before: Pool, after: Pool, now: float) -> None:
        match effect:
            case Spawn(number):
                assert after.phase is PoolPhase.RUNNING
                assert after.template.ready
                assert now >= after.spawning.not_before
                assert after.slots[number].state is State.SPAWNING
                assert number >= len(before.slots) or now >= before.slots[number].not_before
            case Send(number, order):
                self.may_be_sent(after.slots[number], order, after, now)
            case TerminateDispatcher(number):
                self.may_be_terminated(after.slots[number], after)
            case KillDispatcher(number):
                self.may_be_killed(after.slots[number], after, now)
            case OrderScout(Recover() as order):
                self.may_be_given(order, after, now)
            case OrderScout(TryDelete(message_id) as probe):
                assert after.phase is PoolPhase.RUNNING
                assert after.scout.ready
                queue = after.queues[probe.queue]
                assert queue.denial
                assert queue.probe
                assert queue.probe.is_waiting
                assert queue.probe.order == probe
                assert message_id in self.account.denied
                assert now >= queue.probe.at
            case SpawnHelper(role):
                if after.phase is PoolPhase.DRAINING:
                    assert role is Role.SCOUT
                    assert after.recoveries or after.busy
                else:
                    assert after.phase in (PoolPhase.BOOTING, PoolPhase.RUNNING)
                assert now >= helper_of(before, role).not_before
                assert now >= after.spawning.not_before
            case KillHelper(Role.SCOUT):
                assert now >= after.scout.silent_since + 40
            case KillHelper(Role.TEMPLATE) if not after.template.ready:
                assert now >= after.template.silent_since + 2.0
            case AskStack(int(number)):
                assert (
                    after.slots[number].suspected is not None
                    or after.slots[number].silent_since < inf
                )
            case TellStack(int(number)):
                assert after.slots[number].killed
            case AskStack(Role()):
                assert not after.template.ready
                assert now >= after.template.since + after.config.boot_timeout
            case TellStack(Role()):
                assert after.template.killed

    def may_be_sent(self, slot: Slot, order: Grant | Drain | Free, after: Pool, now: float) -> None:
        assert slot.state is not State.VACANT
        match order:
            case Grant(most, longest, place):
                queue = after.queues[place]
                assert (slot.queue, slot.asked) == (place, most)
                assert longest >= 0
                assert queue.usable
                assert after.phase is PoolPhase.RUNNING
                assert 1 <= most <= queue.config.batch_size
                known = abs(self.account.queues[place].known())
                assert most == 1 or (most - 1) * min(after.size, queue.limit) < known
                assert not after.paused
                assert not any((queue.denial, queue.probe, queue.paused))
                assert slot.state is State.POLLING
                assert not any((slot.leaving, slot.killed, slot.ended))
                assert len(choosing.open_polls(after, place)) <= queue.polling.allowed
                assert now >= queue.polling.not_before
            case Free():
                assert slot.state is State.WORKING
                self.may_be_released(slot.queue, after)
            case Drain(seconds):
                assert after.phase is PoolPhase.DRAINING
                assert slot.leaving
                assert seconds == after.jobs_have

    def may_be_given(self, order: Recover, after: Pool, now: float) -> None:
        """To a scout that can do it; a release once, in time, and when no poll can swallow it."""
        assert after.scout.ready
        assert after.level is not Level.KILL
        (recovery,) = (each for each in after.recoveries if each.order == order)
        assert recovery.is_waiting
        if order.settlement is Settlement.DELETE:
            return
        assert order.settlement is Settlement.RELEASE
        assert recovery.given == 1 or order.receive_id
        assert order.lease_until - now > (0 if order.receive_id else 5)
        self.may_be_released(order.queue, after)

    def may_be_released(self, place: int, after: Pool) -> None:
        """No poll of the queue can swallow what is released to it; those of others do not."""
        assert not after.queues[place].dead_polls
        assert self.world.dead_polls(place) == 0
        if after.phase is PoolPhase.DRAINING:
            assert not any(s.state is State.POLLING and s.queue == place for s in after.slots)
            assert self.world.open_polls(place) == 0

    def may_be_terminated(self, slot: Slot, after: Pool) -> None:
        assert slot.has_process
        pid = self.world.told[slot.number]
        assert pid not in self.terminated
        assert slot.leaving
        self.terminated.add(pid)
        if after.phase is PoolPhase.RUNNING:  # surplus: never one who works, or polls
            assert slot.state is State.IDLE
            process = self.world.processes[self.world.told[slot.number]]
            assert process.stage not in (*BUSY, Stage.POLLING)

    def may_be_killed(self, slot: Slot, after: Pool, now: float) -> None:
        assert slot.killed
        if after.level is Level.KILL:
            return
        config = after.config
        if slot.state is State.BOOTING:
            assert now >= slot.since + config.boot_timeout
        elif slot.state is State.IDLE:
            assert slot.leaving
            assert now >= slot.since + 10
        elif slot.state in BUSY_STATES:
            assert slot.has_process
            process = self.world.processes[self.world.told[slot.number]]
            assert process.hung_since is not None
            if process.untold:
                assert now >= process.hung_since + 5
            else:
                assert now >= process.hung_since + LEASE * 2 / 3
        else:
            assert slot.state is State.POLLING
            wait_time = after.queues[slot.queue].config.wait_time
            assert now >= slot.silent_since + 10 >= slot.since + wait_time + 22

    @rule(data=st.data())
    def what_cannot_happen_raises(self, data: st.DataObject) -> None:
        """... and, the books being frozen, changes nothing."""
        pool = self.world.pool
        wrong: list[Event] = [Ended(len(pool.slots)), Died(-1, Exit(code=0), "exit 0")]
        for slot in pool.slots:
            reports: tuple[Report, ...] = (
                Ready(1),
                Received(1.0),
                Empty(1.0),
                PollFailed(""),
                Held(),
            )
            reports += (Denied(""), Troubled(""), Healed(), LeaseLost())
            settled = Settled(Settlement.DELETE, Outcome.SUCCEEDED, 1.0, False)
            wrong += [
                DispatcherSaid(slot.number, report)
                for report in (*reports, settled)
                if slot.state not in HEARD_IN[type(report)]
            ]
            if slot.state is not State.SPAWNING:
                wrong += [named(slot.number, 1), SpawnFailed(slot.number, "")]
            if slot.state is State.VACANT:
                wrong += [Ended(slot.number), Died(slot.number, Exit(code=0), "exit 0")]
        for role, helper in ((Role.TEMPLATE, pool.template), (Role.SCOUT, pool.scout)):
            if not helper.alive:
                wrong += [helper_ready(role), HelperDied(role, "gone"), HelperSpawnFailed(role, "")]
                wrong += [scout_says(Trying())] if role is Role.SCOUT else []
        with pytest.raises(IllegalEvent):
            machine.step(pool, data.draw(st.sampled_from(wrong)), self.world.now, 0.5)

    # Every field: what is told directly, and what follows from the other fields. What a step may
    # change is in steps.py.

    @invariant()
    def the_books_are_right(self) -> None:
        self.account.check(self.world.pool)
        for slot in self.world.pool.slots:
            self.a_slot_is_consistent(slot)
        self.helpers_are_there()
        self.the_ledger_balances()
        self.orders_are_with_the_scout()
        self.the_size_is_the_wanted_one()
        self.the_phase_is_what_the_helpers_and_the_slots_say()
        self.nothing_is_due_before_the_moment_that_was_named()
        self.no_more_is_taken_than_was_wanted()
        self.nothing_that_ends_by_itself_is_refused_for_ever()

    def a_slot_is_consistent(self, slot: Slot) -> None:
        assert {each.place for each in slot.denied} | {*slot.lost} <= {*slot.places}
        assert bool(slot.asked) == (slot.state is State.POLLING)
        assert bool(slot.places) == slot.is_busy
        if slot.silent_since < inf:
            assert slot.state is State.POLLING
            wait_time = self.world.queues[slot.queue].config.wait_time
            assert slot.silent_since >= slot.since + wait_time + 12
        if slot.state is State.HOLDING:
            self.a_release_waits_for_its_own_queue(slot)
        is_watched = slot.is_busy and not slot.is_ending
        assert slot.look_at < inf if is_watched else slot.look_at == inf or slot.is_busy
        assert slot.suspected is None or slot.look_at < inf
        pid = self.world.told.get(slot.number)
        assert slot.has_process == (pid is not None)
        assert pid is None or self.world.processes[pid].slot == slot.number

    def a_release_waits_for_its_own_queue(self, slot: Slot) -> None:
        """Only a poll of the same queue holds it up."""
        pool = self.world.pool
        polls = [s for s in pool.slots if s.state is State.POLLING and s.queue == slot.queue]
        drains = pool.phase is PoolPhase.DRAINING and polls
        assert drains or pool.queues[slot.queue].dead_polls

    def helpers_are_there(self) -> None:
        for role in Role:
            assert helper_of(self.world.pool, role).alive == (role in self.world.helpers)

    def the_ledger_balances(self) -> None:
        """Every message that came is in hand, or has ended in exactly one way."""
        pool = self.world.pool
        for place, queue in enumerate(pool.queues):
            orders = [each.order for each in pool.recoveries if each.order.queue == place]
            known = sum(not order.receive_id for order in orders)
            held = sum(len(slot.places) for slot in pool.slots if slot.queue == place)
            assert queue.counts.in_hand == held + known
        assert pool.counts.in_hand == sum(queue.counts.in_hand for queue in pool.queues)

    def orders_are_with_the_scout(self) -> None:
        """What waits for an answer has been given, and will have one."""
        pool = self.world.pool
        waiting = [each.order.number for each in pool.recoveries if each.is_waiting]
        assert len(waiting) <= AT_ONCE
        blocked = {
            place
            for place, queue in enumerate(pool.queues)
            if queue.dead_polls or not (queue.usable and queue.answered)
        }
        free = sum(each.order.queue not in blocked for each in pool.recoveries)
        may_give = pool.scout.ready and not pool.scout.full
        if may_give and pool.phase is PoolPhase.RUNNING:
            assert len(waiting) >= min(AT_ONCE, free)
        if scout := self.world.helper(Role.SCOUT):
            answered = [word.number for word in scout.words if isinstance(word, Recovered)]
            assert set(waiting) <= {*(order.number for order in scout.orders), *answered}

    def the_size_is_the_wanted_one(self) -> None:
        pool = self.world.pool
        assert pool.desired >= 1
        assert pool.size == sum(not slot.is_vacant for slot in pool.slots)
        if pool.phase is PoolPhase.RUNNING and pool.template.ready and staying(pool) < pool.desired:
            vacant = [slot for slot in pool.slots if slot.is_vacant]
            waits = self.world.judged < pool.spawning.not_before or pool.count(State.SPAWNING) == 16
            assert waits or all(slot.not_before > self.world.judged for slot in vacant)
        if pool.phase is PoolPhase.RUNNING and staying(pool) > pool.desired:
            assert not any(slot.is_available for slot in pool.slots)

    def the_phase_is_what_the_helpers_and_the_slots_say(self) -> None:
        pool = self.world.pool
        assert pool.phase is not PoolPhase.BOOTING or not (pool.template.ready and pool.scout.ready)
        assert pool.phase is not PoolPhase.RUNNING or (pool.template.proven and pool.scout.proven)
        assert (pool.phase is PoolPhase.STOPPED) == (
            pool.level is not None and pool.size == 0 and not pool.recoveries
        )
        assert (pool.phase in (PoolPhase.BOOTING, PoolPhase.RUNNING)) == (pool.level is None)
        if pool.phase is PoolPhase.DRAINING and pool.level is not Level.KILL:
            assert all(slot.leaving or not slot.has_process for slot in pool.slots)

    def nothing_is_due_before_the_moment_that_was_named(self) -> None:
        world = self.world
        if world.pool.phase is PoolPhase.STOPPED:
            return
        at = world.wakes_at()
        assert at > world.judged
        if choosing.may_wait_for_memory(world.pool):
            return
        for moment in (world.now, (world.now + min(at, world.now + 1e6)) / 2):
            if world.judged <= moment < at:
                later, effects = reconcile(world.pool, moment)
                assert (choosing.without_job_time(later, world.pool), effects) == (world.pool, ())

    def nothing_that_ends_by_itself_is_refused_for_ever(self) -> None:
        """There is a queue that is not."""
        pool = self.world.pool
        assert all(queue.denial or not queue.probe for queue in pool.queues)
        if pool.phase is PoolPhase.RUNNING and pool.config.ends_by_itself:
            refusals = [
                [each.since for each in (queue.denial, queue.refused) if each]
                for queue in pool.queues
            ]
            assert any(all(self.world.judged < at + 60 for at in each) for each in refusals)

    def no_more_is_taken_than_was_wanted(self) -> None:
        pool, most = self.world.pool, self.world.config.max_jobs
        assert pool.phase is not PoolPhase.RUNNING or self.world.judged < pool.ends_at
        if most is not None:
            assert pool.counts.received + sum(slot.asked for slot in pool.slots) <= most
            waits = pool.counts.received < most or pool.counts.in_hand > 0
            waits = waits or any(queue.denial for queue in pool.queues)
            assert pool.phase is not PoolPhase.RUNNING or waits

    # The end.

    def teardown(self) -> None:
        """Everybody but the stubborn does his part, or time passes; one may still die."""
        if not hasattr(self, "world"):
            return
        if self.dying:
            self.one_with_a_message_dies(True, EXITS[1], self.dying)
        if self.world.pool.level is None:
            self.world.stop(Level.DRAIN)
        assert self.world.goes_on_until_stopped(500, self.stubborn, self.hung)
        pool = self.world.pool
        assert pool.end is not None
        assert pool.size == 0
        assert pool.counts.in_hand == 0
        assert not pool.recoveries
        assert (pool.end.code == 8) <= any(queue.unconfirmed for queue in pool.queues)


class QueuesModel(PoolModel):
    """The same with two or three queues, which has more to do before it is in full swing."""

    @initialize(
        queues=several_queues(),
        stubborn=st.frozensets(st.integers(0, 3)),
        hung=st.frozensets(st.sampled_from(Role)),
        warm=st.integers(0, 4),
        dying=st.none() | RECORDS,
        jitter=JITTERS,
        crowded=st.booleans(),
        room=st.sampled_from([1, 8]),
        choices=st.lists(CHOICES, max_size=4),
    )
    def boots(
        self,
        queues: list[QueueConfig],
        stubborn: frozenset[int],
        hung: frozenset[Role],
        warm: int,
        dying: Record | None,
        jitter: float,
        crowded: bool,
        room: int,
        choices: list[Choice],
    ) -> None:
        self.begins(queues, stubborn, hung, warm and warm + 2, dying, jitter, crowded, room)
        for choice in choices:
            self.everybody_moves(choice, jitter)

    @rule(
        choices=st.lists(CHOICES, min_size=3, max_size=5),
        turns=st.integers(3, 12),
        took=st.sampled_from([0.0, 0.1, 0.3, 1.0]) | st.none(),
        jitter=JITTERS,
    )
    def life_goes_on(
        self, choices: list[Choice], turns: int, took: float | None, jitter: float
    ) -> None:
        """Polls come home with this and that, jobs end, and time passes."""
        for turn in range(turns):
            self.world.helper_moves(Role.TEMPLATE, good=True)
            self.world.scout_settles(good=True)
            for number, process in enumerate(self.world.running()):
                self.world.dispatcher_moves(process, choices[(turn + number) % len(choices)])
            if took is not None:
                self.world.now += took
            elif (at := self.world.wakes_at()) < inf:
                self.world.now = max(self.world.now, at)
            self.the_master_wakes(frozenset(), jitter)
            self.the_books_are_right()

    @rule(
        flooded=st.frozensets(st.integers(0, 2), max_size=2),
        turns=st.integers(4, 24),
        took=st.sampled_from([0.0, SETTLE, LOOK]),
        then=st.sampled_from([None, "pause", "deaths", "drain", "drain"]),
        place=st.integers(0, 2),
        record=RECORDS,
        jitter=JITTERS,
    )
    def some_queues_have_messages(
        self,
        flooded: frozenset[int],
        turns: int,
        took: float,
        then: str | None,
        place: int,
        record: Record,
        jitter: float,
    ) -> None:
        """The others have none, and their polls last as long as they may. In the middle of that one
        queue is paused, or its dispatchers die, or the pool is drained; and life goes on.
        """
        place %= len(self.world.queues)
        for turn in range(turns):
            if turn == turns // 2:
                self.happens_to_a_queue(then, place, record)
            self.world.helper_moves(Role.TEMPLATE, good=True)
            for number, process in enumerate(self.world.running()):
                if process.stage is Stage.POLLING and process.queue not in flooded:
                    if self.world.now >= process.poll_until:
                        self.world.dispatcher_moves(process, Choice.EMPTY)
                elif process.stage is not Stage.POLLING or (turn + number) % 3:
                    stops = self.world.pool.level and process.stage in BUSY
                    choice = Choice.EMPTY if stops else Choice.MESSAGE
                    self.world.dispatcher_moves(process, choice)
            self.world.now += took
            self.the_master_wakes(frozenset(), jitter)
            self.the_books_are_right()
        if then == "pause":
            self.world.commands(PauseAsked(False, place))

    def happens_to_a_queue(self, what: str | None, place: int, record: Record) -> None:
        match what:
            case "pause":
                self.world.commands(PauseAsked(True, place))
            case "deaths":
                for process in self.world.running():
                    if process.queue == place and process.stage in (Stage.POLLING, *BUSY):
                        self.world.dies(process.pid, EXITS[1], record)
            case "drain":
                self.world.stop(Level.DRAIN)
            case _:
                pass


TestPool = pytest.mark.slow(PoolModel.TestCase)
TestQueues = pytest.mark.slow(QueuesModel.TestCase)
