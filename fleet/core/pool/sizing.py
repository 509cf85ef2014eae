"""What the samples make of the pool's size. Part of the machine in `machine.py`.

The rule that decides is `core/sizing/rule.py`.
"""

from collections import Counter
from collections.abc import Iterator

from fleet.core.polling import QUICK
from fleet.core.pool import job_memory
from fleet.core.pool.effects import OrderScout, Step
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.resizing import resize
from fleet.core.pool.state import Pool, PoolPhase, with_queue
from fleet.core.records import replace
from fleet.core.scout_protocol import SampleDepth
from fleet.core.sizing import rule, workload
from fleet.core.sizing.rule import SOON, SOONEST, Part, Scene, Sizing
from fleet.core.slot_state import State


def pass_time(pool: Pool, now: float) -> Pool:
    """Time has passed in which no dispatcher became busy or idle."""
    if pool.several:
        return _pass_time_of_all(pool, now)
    (queue,) = pool.queues
    work = workload.pass_time(queue.work, pool.busy, now, queue.config.target_wait)
    return pool if work is queue.work else with_queue(pool, 0, replace(queue, work=work))


def _pass_time_of_all(pool: Pool, now: float) -> Pool:
    busy = Counter(slot.queue for slot in pool.slots if slot.is_busy)
    queues = [
        replace(
            queue,
            work=workload.pass_time(queue.work, busy[place], now, queue.config.target_wait),
        )
        for place, queue in enumerate(pool.queues)
    ]
    return replace(pool, queues=tuple(queues))


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


def note_sample(pool: Pool, before: QueueState, now: float, jitter: float) -> Step:
    """The size that follows from the newest sample, of the queue that was as `before`."""
    if pool.config.bounds is None or (pool.several and not _is_round(pool, before)):
        return pool, ()
    if pool.held or pool.phase is not PoolPhase.RUNNING:
        # What is sampled now is no evidence for later.
        return replace(pool, sizing=Sizing()), ()
    scene = scene_of(pool, now)
    sizing, size = rule.decide(pool.sizing, _parts(pool, scene), scene, pool.config, now, jitter)
    return resize(replace(pool, sizing=sizing), size, sizing.why)


def _is_round(pool: Pool, before: QueueState) -> bool:
    """Whether all queues were sampled since the last decision, or will not be in this round.

    One that was sampled already begins the next round.
    """
    decided_at = pool.sizing.sampled_at
    if before.sampled_at is not None and before.sampled_at > decided_at:
        return True
    moments = [queue.sampled_at for queue in pool.queues if queue.usable]
    return all(at is not None and at > decided_at for at in moments)


def _parts(pool: Pool, scene: Scene) -> list[Part]:
    """What each queue has to do with the size."""
    if not pool.several:
        (queue,) = pool.queues
        return [rule.only_part(queue.work, queue.depth, scene, queue.config)]
    busy: Counter[int] = Counter()
    held: Counter[int] = Counter()
    for slot in pool.slots:
        busy[slot.queue] += slot.is_busy
        held[slot.queue] += len(slot.places)
    return [
        Part(
            queue.work,
            queue.depth if queue.may_be_polled else None,
            queue.config.target_wait,
            busy[place],
            held[place],
            max(1, scene.size - scene.busy + busy[place]),  # one may work on it soon
            queue.limit,
            queue.name,
        )
        for place, queue in enumerate(pool.queues)
    ]


def ask_for_sample(pool: Pool, now: float) -> Step:
    """Have the scout sample at once, if that could make the pool grow."""
    if pool.config.bounds is None or not _may_ask(pool):
        return pool, ()
    if all(queue.depth is None for queue in pool.queues):
        return pool, ()
    scene = scene_of(pool, now)
    if not rule.wants_sample(pool.sizing, _parts(pool, scene), scene, pool.config, now):
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
    return Scene(pool.desired, pool.size, running, spare, job_memory.room(pool), held)
