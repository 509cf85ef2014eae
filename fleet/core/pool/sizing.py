"""What the samples make of the pool's size. Part of the machine in `machine.py`.

The rule that decides is `core/sizing/rule.py`.
"""

from collections.abc import Iterator

from fleet.core.polling import QUICK
from fleet.core.pool.effects import OrderScout, Step
from fleet.core.pool.resizing import resize
from fleet.core.pool.state import Pool, PoolPhase, with_queue
from fleet.core.records import replace
from fleet.core.scout_protocol import SampleDepth
from fleet.core.sizing import memory, rule, workload
from fleet.core.sizing.rule import SOON, SOONEST, Scene, Sizing
from fleet.core.slot_state import State


def pass_time(pool: Pool, now: float) -> Pool:
    """Time has passed in which no dispatcher became busy or idle."""
    for place, queue in enumerate(pool.queues):
        busy = busy_with(pool, place)
        work = workload.pass_time(queue.work, busy, now, queue.config.target_wait)
        if work is not queue.work:
            pool = with_queue(pool, place, replace(queue, work=work))
    return pool


def busy_with(pool: Pool, place: int) -> int:
    """Dispatchers with a message of the queue in hand."""
    if not pool.several:
        return pool.busy
    return len([slot for slot in pool.slots if slot.is_busy and slot.queue == place])


def note_poll(pool: Pool, took: float | None) -> Pool:
    """A poll has ended: with a message after `took` seconds, or without one (None)."""
    return replace(pool, sizing=rule.note_poll(pool.sizing, took))


def job_seconds(pool: Pool, place: int) -> tuple[float, float] | None:
    """Seconds that a message of a queue keeps a dispatcher: on average, and lately.

    None before the first message.
    """
    work, busy = pool.queues[place].work, busy_with(pool, place)
    mean, recent = (known(work, busy) for known in (workload.mean_seconds, workload.job_seconds))
    return None if mean is None or recent is None else (mean, recent)


def note_sample(pool: Pool, now: float, jitter: float) -> Step:
    """The size that follows from the newest sample."""
    queue = pool.queues[0]
    if pool.config.bounds is None or queue.depth is None:
        return pool, ()
    if pool.held or pool.phase is not PoolPhase.RUNNING:
        # What is sampled now is no evidence for later.
        return replace(pool, sizing=Sizing()), ()
    sizing, size = rule.decide(
        pool.sizing, queue.work, queue.depth, scene_of(pool, now), queue.config, now, jitter
    )
    return resize(replace(pool, sizing=sizing), size, sizing.why)


def ask_for_sample(pool: Pool, now: float) -> Step:
    """Have the scout sample at once, if that could make the pool grow."""
    if pool.config.bounds is None or not _may_ask(pool):
        return pool, ()
    queue = pool.queues[0]
    if queue.depth is None or not rule.wants_sample(
        pool.sizing, queue.work, queue.depth, scene_of(pool, now), queue.config, now
    ):
        return pool, ()
    return replace(pool, sizing=replace(pool.sizing, asked=True)), (OrderScout(SampleDepth()),)


def moments(pool: Pool) -> Iterator[float]:
    """When time alone may make a sample worth its price.

    The longer the running jobs take, the more dispatchers are needed.
    """
    if pool.config.bounds is not None and _may_ask(pool):
        yield pool.sizing.sampled_at + SOONEST * pool.config.sample_interval
        yield pool.sizing.sampled_at + SOON * pool.config.sample_interval


def _may_ask(pool: Pool) -> bool:
    """Whether a sample may be asked for: once, and only if no poll can make it needless."""
    if pool.held or pool.sizing.asked or pool.phase is not PoolPhase.RUNNING:
        return False
    return not any(slot.state in (State.IDLE, State.POLLING) for slot in pool.slots)


def scene_of(pool: Pool, now: float) -> Scene:
    """The host as the decision sees it."""
    running = pool.busy
    spare = any(
        slot.state is State.IDLE or (slot.state is State.POLLING and now - slot.since >= QUICK)
        for slot in pool.slots
    )
    held = sum(len(slot.places) for slot in pool.slots)
    room = memory.jobs_that_fit(pool.memory, pool.queues[0].jobs_mib, running)
    return Scene(pool.desired, pool.size, running, spare, room, held)
