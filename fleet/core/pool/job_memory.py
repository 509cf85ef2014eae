"""What the jobs of each queue need of the host's memory, and whether it is there.

The rule is `core/sizing/memory.py`. Part of the machine in `machine.py`.
"""

from collections.abc import Sequence
from math import inf

from fleet.core.pool.effects import Log, Step
from fleet.core.pool.state import Pool
from fleet.core.protocol import Settled
from fleet.core.records import replace
from fleet.core.sizing import memory
from fleet.core.slot_state import State


def note_job(jobs_mib: tuple[float, ...], report: Settled) -> tuple[float, ...]:
    """What the last jobs have needed, after a message was settled."""
    used = report.max_rss_mib
    return jobs_mib if used is None else memory.note_job(jobs_mib, used)


def jobs_mib(pool: Pool) -> list[float]:
    """What a job of each queue needs, in MiB; 0 where it is not known."""
    return [_job_mib(pool, place) or 0.0 for place in range(len(pool.queues))]


def _job_mib(pool: Pool, place: int) -> float | None:
    """Of the queue's last jobs; before any has ended, of those that run."""
    taken, jobs = pool.memory.taken, pool.queues[place].jobs_mib
    if pool.several and not jobs:
        taken = {number: mib for number, mib in taken.items() if _measured(pool, number) == place}
    return memory.job_mib(taken, jobs)


def _measured(pool: Pool, number: int) -> int | None:
    """The queue of the job that was measured in a slot; None when that one has ended since."""
    slot = pool.slots[number] if number < len(pool.slots) else None
    still_runs = slot is not None and slot.is_busy and slot.since <= pool.memory.at
    return slot.queue if slot and still_runs else None


def free_mib(pool: Pool, jobs: Sequence[float], *, polls: bool = True) -> float:
    """What jobs to come may take, besides those that run and, with `polls`, those that open ones
    may bring.

    `jobs`: what one of each queue needs. Infinity while the memory is not measured. A job that
    began after the measurement counts in full.
    """
    measured = pool.memory
    if measured.available == inf:
        return inf
    to_come = 0.0
    for slot in pool.slots:
        if slot.is_busy:
            taken = measured.taken.get(slot.number, 0.0) if slot.since <= measured.at else 0.0
            to_come += max(0.0, jobs[slot.queue] - taken)
        elif polls and slot.state is State.POLLING:
            to_come += jobs[slot.queue]
    return measured.available - measured.floor - to_come


def jobs_that_fit(pool: Pool) -> int | None:
    """How many messages more a pool of one queue may ask for, if every open poll brings one.

    None is any number. The first message always may.
    """
    running, polls = pool.busy, pool.count(State.POLLING)
    fitting = memory.jobs_that_fit(pool.memory, pool.queues[0].jobs_mib, running, polls)
    return fitting if fitting is None else max(fitting, 0 if running or polls else 1)


def room(pool: Pool) -> int | None:
    """How many more jobs fit beside those that run; None is any number.

    Of several queues those count whose jobs are the smallest, of the ones that have messages.
    """
    if not pool.several:
        return memory.jobs_that_fit(pool.memory, pool.queues[0].jobs_mib, pool.busy)
    jobs = jobs_mib(pool)
    waiting = [
        mib
        for queue, mib in zip(pool.queues, jobs, strict=True)
        if queue.may_be_polled and queue.depth is not None and queue.depth.visible
    ]
    smallest = min(waiting, default=0.0)
    free = free_mib(pool, jobs, polls=False)
    return int(free // smallest) if smallest and free < inf else None


def note_memory(pool: Pool) -> Step:
    """The host's memory was measured: whether the pool may receive, if that has changed."""
    waiting = _waits_for_memory(pool)
    short = waiting is not None
    if short is pool.memory.short:
        return pool, ()
    pool = replace(pool, memory=replace(pool.memory, short=short))
    if waiting is None:
        return pool, (Log("memory.enough", {}),)
    measured = pool.memory
    about = {"queue": pool.queues[waiting].name} if pool.several else {}
    fields = {
        "available_mib": measured.available,
        "job_mib": _job_mib(pool, waiting),
        "floor_mib": measured.floor,
    }
    return pool, (Log("memory.short", about | fields),)


def _waits_for_memory(pool: Pool) -> int | None:
    """The first queue of which no message may be received for want of memory."""
    if not pool.several:
        return 0 if jobs_that_fit(pool) == 0 else None
    if not any(slot.is_busy or slot.state is State.POLLING for slot in pool.slots):
        return None
    jobs = jobs_mib(pool)
    free = free_mib(pool, jobs)
    return next(
        (
            place
            for place, queue in enumerate(pool.queues)
            if queue.may_be_polled and jobs[place] and free < jobs[place]
        ),
        None,
    )
