"""The pool as `fleet.core.scheduling` sees it, where there are several queues to choose from."""

from dataclasses import dataclass, field
from math import inf

from fleet.core.pool import job_memory
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool
from fleet.core.records import replace
from fleet.core.scheduling import LOOK, PoolScene, QueueScene
from fleet.core.sizing import workload
from fleet.core.slot_state import State


@dataclass
class _Seen:
    """What dispatchers do for one queue. A killed one counts until it is gone: its job may run."""

    busy: list[Slot] = field(default_factory=list)
    polls: list[Slot] = field(default_factory=list)
    silent: int = 0


def pool_scene(pool: Pool, now: float) -> PoolScene:
    """The pool, which is not paused, at the moment."""
    seen = [_Seen() for _ in pool.queues]
    for slot in pool.slots:
        its = seen[slot.queue]
        if slot.is_busy:
            its.busy.append(slot)
        elif slot.state is not State.POLLING:
            continue
        elif slot.silent_since == inf:
            its.polls.append(slot)
        else:
            its.silent += 1
    jobs = job_memory.jobs_mib(pool)
    weighted = pool.queues[0].weight is not None
    scenes = [
        _queue_scene(queue, its, mib, now, weighted=weighted)
        for queue, its, mib in zip(pool.queues, seen, jobs, strict=True)
    ]
    return PoolScene(
        scenes,
        len([slot for slot in pool.slots if slot.is_available]),
        pool.size,
        job_memory.free_mib(pool, jobs),
        weighted,
        pool.config.starve_after,
        pool.shares,
    )


def _queue_scene(
    queue: QueueState, seen: _Seen, job_mib: float, now: float, *, weighted: bool
) -> QueueScene:
    scene = QueueScene(
        allowed=queue.polling.allowed,
        may_poll=queue.may_be_polled and now >= queue.polling.not_before,
        running=len(seen.busy),
        open_polls=len(seen.polls),
        silent_polls=seen.silent,
        oldest_poll=min((slot.since for slot in seen.polls), default=inf),
        has_long_poll=any(slot.longest > LOOK for slot in seen.polls),
        evidence=queue.evidence,
        limit=queue.limit,
        job_mib=job_mib,
    )
    return _with_job_time(scene, queue, seen, now) if weighted else scene


def _with_job_time(scene: QueueScene, queue: QueueState, seen: _Seen, now: float) -> QueueScene:
    """With the queue's job time: what its jobs have taken, and what is still to be expected.

    That is of what is in hand, and a job of each open poll.
    """
    usual = workload.job_seconds(queue.work, len(seen.busy)) or scene.job_seconds
    ahead = sum(
        usual * len(slot.places) - min(usual, max(0.0, now - slot.since)) for slot in seen.busy
    )
    polls = len(seen.polls) + seen.silent
    return replace(
        scene,
        weight=queue.weight or scene.weight,
        job_time=queue.work.worked_total + ahead + usual * polls,
        job_seconds=usual,
    )
