"""Which idle dispatchers may poll which queue now, for how long, and for how many messages.

A rule of `reconcile.py`. A pool of one queue is decided by `core/polling.py` alone; with several
`core/scheduling/` has the theory, and chooses the queue for each grant. Both give the same grants
for one queue (tests/core/scheduling/test_one_queue.py), and the first costs less.
"""

from math import inf

from fleet.core import polling, scheduling
from fleet.core.pool import job_memory, receive_size
from fleet.core.pool.completion import messages_left
from fleet.core.pool.effects import Effect, Send, Step
from fleet.core.pool.queue_scenes import pool_scene
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.sizing import pass_time
from fleet.core.pool.slot import Slot, begin_poll
from fleet.core.pool.state import Pool, PoolPhase, with_queue, with_slot, with_slots
from fleet.core.protocol import Grant
from fleet.core.records import replace
from fleet.core.scheduling import Choice, PoolScene
from fleet.core.slot_state import State


def grant_polls(pool: Pool, now: float) -> Step:
    """Grant as many polls as the evidence, the limits, the memory and --max-jobs allow.

    A poll that is silent for too long counts no longer as an open one.
    """
    if pool.phase is not PoolPhase.RUNNING or pool.paused:
        return pool, ()
    if pool.several:
        return _grant_by_choice(pool, now)
    queue = pool.queues[0]
    if not queue.may_be_polled:
        return pool, ()
    idle = [slot for slot in pool.slots if slot.is_available]
    if not idle:
        return pool, ()
    polling_now = [slot for slot in pool.slots if slot.state is State.POLLING]
    open_polls = len([slot for slot in polling_now if slot.silent_since == inf])
    allowed = polling.count_grants(queue.polling, now, len(idle), open_polls)
    if queue.limit < inf:  # every open poll may bring a job
        allowed = min(allowed, max(0, int(queue.limit) - pool.busy - len(polling_now)))
    if not allowed:
        return pool, ()
    candidates = idle[:allowed][: job_memory.jobs_that_fit(pool)]
    left, share = messages_left(pool), receive_size.receive_size(pool, 0)
    after = queue.polling
    polls: list[Slot] = []
    grants: list[Effect] = []
    for slot in candidates:
        if left <= 0:
            break
        most = int(min(share, left))
        longest = polling.longest_poll(after, now)
        polls.append(begin_poll(slot, 0, most, longest, now))
        grants.append(Send(slot.number, Grant(most, longest, 0)))
        after = polling.note_grant(after, now)
        left -= share
    if after is not queue.polling:
        pool = with_queue(pool, 0, replace(queue, polling=after))
    return with_slots(pool, polls), tuple(grants)


# Several queues.


def _grant_by_choice(pool: Pool, now: float) -> Step:
    """Choose the queue for each grant, until nobody is idle or no queue is to be polled."""
    if not any(slot.is_available for slot in pool.slots):
        return pool, ()
    pool, scene = _scene_of_shares(pool, now)
    sizes: dict[int, int] = {}  # what a grant of each queue asks for, before any is given
    left = messages_left(pool)
    grants: list[Effect] = []
    while left > 0 and (choice := scheduling.choose(scene, now)):
        if choice.queue not in sizes:
            sizes[choice.queue] = receive_size.receive_size(pool, choice.queue)
        share = sizes[choice.queue]
        pool, grant = _grant(pool, choice, int(min(share, left)), now)
        grants.append(grant)
        scene = scheduling.after_choice(scene, choice, now)
        left -= share
    return pool, tuple(grants)


def _scene_of_shares(pool: Pool, now: float) -> tuple[Pool, PoolScene]:
    """The scene; with weights, once the queues that begin to claim grants are forgiven."""
    if pool.queues[0].weight is None:
        return pool, pool_scene(pool, now)
    pool = pass_time(pool, now)
    scene = pool_scene(pool, now)
    shares = scheduling.advance(
        pool.shares,
        [queue.job_time for queue in scene.queues],
        [queue.weight for queue in scene.queues],
        scheduling.claims(scene, now),
    )
    return replace(pool, shares=shares), replace(scene, shares=shares)


def _grant(pool: Pool, choice: Choice, most: int, now: float) -> tuple[Pool, Send]:
    """Give a dispatcher the grant."""
    place, queue = choice.queue, pool.queues[choice.queue]
    longest = _longest(queue, choice, now)
    polls = queue.polling if choice.longest < inf else polling.note_grant(queue.polling, now)
    after = replace(queue, polling=polls, evidence=scheduling.note_grant(queue.evidence, now))
    slot = _dispatcher_for(pool, place)
    pool = with_slot(with_queue(pool, place, after), begin_poll(slot, place, most, longest, now))
    return pool, Send(slot.number, Grant(most, longest, place))


def _longest(queue: QueueState, choice: Choice, now: float) -> float:
    """Whether a longer poll than those that are not cut comes home: a look is no such trial."""
    if choice.longest < inf:
        return min(choice.longest, queue.polling.cuts.longest)
    return polling.longest_poll(queue.polling, now)


def _dispatcher_for(pool: Pool, place: int) -> Slot:
    """An idle dispatcher; one that has polled that queue last is connected to it."""
    idle = [slot for slot in pool.slots if slot.is_available]
    return next((slot for slot in idle if slot.queue == place), idle[0])


def wakes_at(pool: Pool, now: float) -> float:
    """When time alone may make another choice of the queue, or infinity."""
    if not pool.several or pool.phase is not PoolPhase.RUNNING or pool.paused:
        return inf
    if not any(slot.is_available for slot in pool.slots):
        return inf
    return scheduling.wakes_at(pool_scene(pool, now), now)
