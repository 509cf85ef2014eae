"""What one step of the pool may change: an invariant for every field that nobody tells directly.

`before` and `after` are the pool around the step, `now` is its time. No rule is repeated here: only
what may change a field, in which direction, and between what bounds.
"""

from math import inf

from fleet.core.pool import restarts, scarcity
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Event,
    HelperDied,
    HelperSaid,
    HelperSpawnFailed,
    LimitAsked,
    MemoryMeasured,
    OrderNotTaken,
    PauseAsked,
    ResizeAsked,
    ScaleAsked,
    SpawnFailed,
    StacksAsked,
    StopAsked,
    Tick,
)
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, Level, Pool, PoolPhase, Role
from fleet.core.protocol import Empty, Failed, PollFailed, Received, Settled
from fleet.core.scout_protocol import Sampled, Unusable, Usable

MOST = 1024  # dispatchers that an operator may ask for
STACKS = 0.5  # seconds


def check(before: Pool, event: Event, after: Pool, now: float) -> None:
    """The whole of it."""
    assert after.config == before.config
    assert after.several == (len(after.queues) > 1)
    word = event.word if isinstance(event, HelperSaid) else None
    for old, new in zip(before.slots, after.slots, strict=False):
        check_slot(old, new, event, now)
    check_helper(before.template, after.template, Role.TEMPLATE, event, now)
    check_helper(before.scout, after.scout, Role.SCOUT, event, now)
    check_size(before, event, after)
    for place, (old_queue, new_queue) in enumerate(zip(before.queues, after.queues, strict=True)):
        its = event if is_about(before, event, place) else Tick()
        check_learned(old_queue, its, new_queue, now)
        check_trouble(old_queue, its, new_queue, now)
        check_run(old_queue, its, new_queue)
    check_denial(after)
    check_recoveries(before, event, after)
    check_stop(before, event, after, now)
    check_spawning(before, event, after, now)
    assert after.memory == before.memory or isinstance(event, MemoryMeasured)
    assert after.sizing.sampled_at <= now
    assert after.sizing.needs == before.sizing.needs or isinstance(word, Sampled)
    assert after.stacks_at in (inf, before.stacks_at) or isinstance(event, StacksAsked)
    assert after.stacks_at == inf or now < after.stacks_at <= now + STACKS


def is_about(pool: Pool, event: Event, place: int) -> bool:
    """Whether the event may be about that queue."""
    match event:
        case DispatcherSaid(slot) | Died(slot):
            return pool.slots[slot].queue == place
        case HelperSaid(_, word):
            return getattr(word, "queue", place) == place
        case PauseAsked(_, int(queue)) | LimitAsked(queue):
            return queue == place
        case _:
            return True


def check_learned(before: QueueState, event: Event, after: QueueState, now: float) -> None:
    """What the polls of a queue have said, and its jobs, and the samples of its depth."""
    report = event.report if isinstance(event, DispatcherSaid) else None
    word = event.word if isinstance(event, HelperSaid) else None
    assert (after.name, after.config) == (before.name, before.config)
    assert after.weight == before.weight
    assert after.limit == before.limit or isinstance(event, LimitAsked)
    assert after.paused == before.paused or isinstance(event, PauseAsked)
    assert after.usable == before.usable or isinstance(word, Usable | Unusable)
    # Counts never fall.
    for name in ("received", "deleted", "released", "dead_lettered", "left", "pauses", "polls"):
        assert getattr(after.counts, name) >= getattr(before.counts, name), name
    assert after.jobs_mib == before.jobs_mib or isinstance(report, Settled)
    assert before.work.at <= after.work.at <= now
    assert after.polling.allowed >= 1
    assert 0 <= after.polling.not_before <= now + 60 or after.polling == before.polling
    if isinstance(report, Received):
        assert after.emptiness.zero_since is None
    if after.emptiness.zero_since is not None and after.sampled_at is not None:
        assert after.emptiness.zero_until is not None
        assert after.emptiness.zero_since <= after.emptiness.zero_until <= after.sampled_at


def check_run(before: QueueState, event: Event, after: QueueState) -> None:
    """What receives say beyond the last sample: no more than they have brought since."""
    report = event.report if isinstance(event, DispatcherSaid) else None
    visible = after.depth.visible if after.depth else 0
    beyond = after.counts.received - after.sampled_received - visible
    assert 0 <= after.uncounted <= max(0, beyond)
    if isinstance(report, Received):
        assert after.uncounted <= before.uncounted + report.count
    elif isinstance(report, Empty | PollFailed):
        assert after.uncounted == 0
    elif not (isinstance(event, HelperSaid) and isinstance(event.word, Sampled)):
        assert after.uncounted == before.uncounted


def check_slot(old: Slot, new: Slot, event: Event, now: float) -> None:
    """Crashes are counted at deaths, and forgiven when a job ran or a dispatcher left in order."""
    its_death = isinstance(event, Died) and event.slot == old.number
    its_word = isinstance(event, DispatcherSaid) and event.slot == old.number
    assert new.deaths - old.deaths in ((0, 1) if its_death else (0,))
    assert new.crashes == old.crashes or its_death or (its_word and new.crashes == 0)
    assert 0 <= new.crashes <= new.deaths
    assert new.not_before == old.not_before or its_death
    assert new.not_before <= now + restarts.DELAY_MOST or new.not_before == old.not_before
    assert (new.born < inf) == new.has_process
    assert new.born <= now or not new.has_process
    if old.has_process and new.has_process:
        assert new.born == old.born


def check_helper(old: HelperState, new: HelperState, role: Role, event: Event, now: float) -> None:
    """A helper's crashes are counted at its deaths, and forgiven when it is ready."""
    word = event.word if isinstance(event, HelperSaid) and event.role is role else None
    its_death = isinstance(event, HelperDied) and event.role is role
    assert new.proven >= old.proven
    assert new.crashes == old.crashes + its_death or (word is not None and new.crashes == 0)
    assert new.not_before <= now + restarts.DELAY_MOST or new.not_before == old.not_before
    assert new.heard <= now
    assert new.heard >= old.heard or not old.alive or its_death or not new.alive
    assert new.silent_since == inf or new.silent_since <= now
    assert new.full <= (old.full or isinstance(event, OrderNotTaken))
    assert new.refused <= (old.refused or isinstance(word, Failed | Unusable))
    if word is not None and role is Role.SCOUT and not isinstance(word, Failed):
        assert (new.heard, new.silent_since, new.full) == (now, inf, False)
    assert new.alive or not (new.ready or new.killed)


def check_size(before: Pool, event: Event, after: Pool) -> None:
    """The size is wanted by an operator or by a sample, within the bounds, and a reason is told."""
    least, most = after.config.bounds or (1, MOST)
    by_operator = isinstance(event, ResizeAsked | ScaleAsked)
    by_sample = isinstance(event, HelperSaid) and isinstance(event.word, Sampled)
    if after.desired != before.desired:
        assert by_operator or (by_sample and not after.held and after.config.bounds)
        assert least <= after.desired <= most
        resize = after.last_resize
        assert resize is not None
        assert (resize.was, resize.to) == (before.desired, after.desired)
        assert resize.reason
    else:
        assert after.last_resize == before.last_resize
    assert after.held == before.held or by_operator
    if isinstance(event, ScaleAsked) and event.to is not None and least <= event.to <= most:
        assert (after.desired, after.held) == (event.to, True)
    if isinstance(event, ResizeAsked):
        assert (after.desired - before.desired) * event.by >= 0


def check_trouble(before: QueueState, event: Event, after: QueueState, now: float) -> None:
    """What is wrong with a queue, until it heals; and the polls of its dead dispatchers."""
    report = event.report if isinstance(event, DispatcherSaid) else None
    is_answered = isinstance(report, Received | Empty)
    assert not (is_answered and (after.refused or after.gone))
    word = event.word if isinstance(event, HelperSaid) else None
    is_refused = (isinstance(report, PollFailed) and report.refused) or isinstance(word, Unusable)
    if after.refused and after.refused != before.refused:
        assert is_refused
        assert after.refused.since == (before.refused.since if before.refused else now)
    if before.refused and not after.refused:
        assert is_answered or isinstance(event, PauseAsked) or isinstance(word, Usable)
    assert after.gone in ("", before.gone) or isinstance(report, Settled)
    if after.denial:
        assert after.denial.since == (before.denial.since if before.denial else now)
    if after.probe and before.probe:
        assert after.probe.order == before.probe.order
        assert after.probe.at <= now + 30 or after.probe == before.probe
    assert 0 <= after.unconfirmed <= after.counts.left
    # One more at a time, and for as long as the server may serve them.
    fresh = [each for each in after.dead_polls if each not in before.dead_polls]
    assert len(fresh) <= 1
    assert not fresh or isinstance(event, Died) or isinstance(report, PollFailed)
    assert all(now < until for until in after.dead_polls)


def check_denial(after: Pool) -> None:
    """A queue's deletes are denied while there is one that could be denied again."""
    for place, queue in enumerate(after.queues):
        is_pending = any(slot.denied and slot.queue == place for slot in after.slots)
        orders = (each for each in after.recoveries if each.order.queue == place)
        is_pending = is_pending or any(each.denied for each in orders)
        assert bool(queue.denial) == bool(is_pending or queue.probe)


def check_recoveries(before: Pool, event: Event, after: Pool) -> None:
    """They are numbered in their order, never twice."""
    numbers = [each.order.number for each in after.recoveries]
    assert numbers == sorted(set(numbers))
    assert before.next_recovery <= after.next_recovery
    assert all(number < after.next_recovery for number in numbers)
    assert after.next_recovery == before.next_recovery or isinstance(event, Died)
    for each in after.recoveries:
        assert each.given >= each.is_waiting
        assert not each.is_waiting or after.scout.alive


def check_stop(before: Pool, event: Event, after: Pool, now: float) -> None:
    """A stop becomes harder and sooner, never softer or later; its first reason stays."""
    assert (after.level or 0) >= (before.level or 0)
    assert (after.level is None) == (after.end is None)
    is_asked = isinstance(event, StopAsked)
    assert after.signalled_at == before.signalled_at or (
        isinstance(event, StopAsked) and event.by_signal and after.signalled_at == now
    )
    assert after.ends_at == before.ends_at or (
        before.phase is PoolPhase.BOOTING and after.ends_at == now + after.config.max_seconds
    )
    if after.level is None:
        assert (after.kill_at, after.jobs_until) == (inf, inf)
        return
    assert after.jobs_have >= 0
    assert after.jobs_until <= max(before.jobs_until, now)
    if after.phase is PoolPhase.STOPPED:
        assert after.kill_at == inf
    else:
        assert after.kill_at <= before.kill_at
        assert after.kill_at < inf
        assert after.jobs_until < after.kill_at or before.kill_at <= now
    if is_asked and after.level is not Level.KILL and after.phase is not PoolPhase.STOPPED:
        longest = max(queue.config.longest_stop for queue in after.queues)
        assert after.kill_at <= now + longest
        has = after.config.drain_timeout if after.level is Level.DRAIN else 0.0
        assert after.jobs_until <= now + has
    check_end(before, event, after)


def check_end(before: Pool, event: Event, after: Pool) -> None:
    """An exit status has what it is for."""
    assert after.end is not None
    code, config = after.end.code, after.config
    unconfirmed = sum(queue.unconfirmed for queue in after.queues)
    if before.end and before.end.code != code:
        assert code == 7 or after.phase is PoolPhase.STOPPED
    if before.end is None and isinstance(event, StopAsked):
        # What is only just booting may be killed at once, and what has nobody has ended.
        assert code in (0, 7) or after.phase is PoolPhase.STOPPED
    match code:
        case 0:
            assert after.phase is not PoolPhase.STOPPED or not unconfirmed
        case 1 | 4:
            assert not (after.template.proven and after.scout.proven)
        case 3:
            assert len(after.restarts.crashes) > restarts.LIMIT_LEAST
        case 69:
            assert not after.scout.proven
        case 5:
            assert config.ends_by_itself or not after.scout.proven
        case 6:
            assert config.until_empty
            assert after.counts.ended_badly
        case 7:
            assert after.level is Level.KILL
            assert after.counts.left
        case 8:
            assert unconfirmed
            assert after.phase is PoolPhase.STOPPED
        case _:
            raise AssertionError(code)


def check_spawning(before: Pool, event: Event, after: Pool, now: float) -> None:
    """A host with too little delays every spawn until one succeeds; crashes are of one minute."""
    is_scarce = isinstance(event, SpawnFailed | HelperSpawnFailed | HelperSaid | Died)
    assert after.spawning == before.spawning or is_scarce or isinstance(event, DispatcherSaid)
    assert after.spawning.not_before <= now + scarcity.BACKOFF_MOST or (
        after.spawning == before.spawning
    )
    crashes = after.restarts.crashes
    assert crashes == before.restarts.crashes or isinstance(event, Died) or not crashes
    assert all(crashes[-1].at - each.at < restarts.WINDOW for each in crashes)
