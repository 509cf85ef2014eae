"""What the template and the scout say, and what it changes in the pool.

Part of the machine in `machine.py`; `reports.py` has what dispatchers say.

Whatever the scout says is a sign of life (`liveness.py`).
"""

from math import inf
from typing import assert_never

from fleet.core import polling, scheduling
from fleet.core.exit_codes import QUEUE_UNUSABLE
from fleet.core.pool import denials, emptiness, liveness, recovery, sizing
from fleet.core.pool.effects import Effect, Log, Step
from fleet.core.pool.lifecycle import fail_spawn, note_spawn
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.shutdown import stop
from fleet.core.pool.state import (
    Level,
    Pool,
    PoolEnd,
    PoolPhase,
    Role,
    helper_of,
    living_helper,
    size_for,
    slot_of,
    with_helper,
    with_queue,
)
from fleet.core.protocol import Failed, Forked, FromHelper, Imported, NotForked
from fleet.core.queue_place import Keys
from fleet.core.records import replace
from fleet.core.scout_protocol import (
    DeleteTried,
    Late,
    Recovered,
    RecoveryDenied,
    Sampled,
    SampleFailed,
    Served,
    Trying,
    Unusable,
    Usable,
)
from fleet.core.slot_state import State


def note_helper_word(pool: Pool, role: Role, word: FromHelper, now: float, jitter: float) -> Step:
    """Raises IllegalEvent when there is no such helper, or its word does not fit the state."""
    if isinstance(word, Failed):
        return _note_failure(pool, role, word, now)
    living_helper(pool, role)
    match word:
        case Imported():
            step: Step = _note_ready(pool, role), ()
        case Usable():
            step = _note_usable(pool, word), ()
        case Unusable():
            step = _note_unusable(pool, word, now)
        case Forked(number, pid):
            step = note_spawn(pool, slot_of(pool, number, State.SPAWNING), pid, now)
        case NotForked(number, why):
            slot = slot_of(pool, number, State.SPAWNING)
            step = fail_spawn(pool, slot, why, now, jitter)
        case Sampled():
            step = _note_sample(pool, word, now, jitter)
        case Recovered():
            step = recovery.note_recovered(pool, word)
        case RecoveryDenied():
            step = recovery.note_recovery_denied(pool, word, now)
        case DeleteTried():
            step = denials.note_probe_answer(pool, word, now, jitter), ()
        case Late() | SampleFailed() | Served() | Trying() | Keys():
            step = pool, ()
        case _:
            assert_never(word)
    pool, effects = step
    return (liveness.note_scout(pool, now) if role is Role.SCOUT else pool), effects


def _note_ready(pool: Pool, role: Role) -> Pool:
    """The template has imported the apps; or the scout has found the queues usable."""
    helper = replace(living_helper(pool, role), ready=True, proven=True, crashes=0)
    return with_helper(replace(pool, spawning=Spawning()), role, helper)


def _note_usable(pool: Pool, word: Usable) -> Pool:
    queue = pool.queues[word.queue]
    after = replace(queue, usable=True, answered=True)
    if not queue.usable:
        after = replace(after, trouble="", refused=None, gone="")
    return _note_scout_ready(with_queue(pool, word.queue, after))


def _note_unusable(pool: Pool, word: Unusable, now: float) -> Step:
    """It degrades itself, not the pool. What is in hand of it goes on. At the start it ends all."""
    if not living_helper(pool, Role.SCOUT).proven:
        failed = Failed(word.code, word.why)
        return _note_failure(pool, Role.SCOUT, failed, now) if pool.end is None else (pool, ())
    queue = pool.queues[word.queue]
    after = replace(queue, usable=False, answered=True, trouble=word.why)
    if word.code == QUEUE_UNUSABLE:
        after = denials.note_refused_poll(after, word.why, now)
    told = Log("queue.unusable", {"queue": queue.name, "why": word.why})
    return _note_scout_ready(with_queue(pool, word.queue, after)), (told,)


def _note_scout_ready(pool: Pool) -> Pool:
    """A pool begins when all queues have answered once. A scout's successor can begin with one."""
    is_ready = pool.scout.proven or all(queue.answered for queue in pool.queues)
    return _note_ready(pool, Role.SCOUT) if is_ready else pool


def _note_failure(pool: Pool, role: Role, word: Failed, now: float) -> Step:
    """A helper cannot do its part. That ends a pool only if the helper has never done it before."""
    helper = helper_of(pool, role)
    if helper.proven or pool.end is not None:
        pool = with_helper(pool, role, replace(helper, refused=helper.alive))
        return pool, (Log("helper.failed", {"role": role.value, "why": word.why}),)
    return stop(pool, Level.DRAIN, PoolEnd(word.code, word.why), now)


def _note_sample(pool: Pool, sample: Sampled, now: float, jitter: float) -> Step:
    """The scout has read a queue's counts."""
    pool = as_it_was = sizing.pass_time(pool, now)
    before, depth = pool.queues[sample.queue], sample.depth
    answered = polling.note_answer(before.polling)
    after = replace(
        before,
        depth=depth,
        sampled_at=now,
        sampled_received=before.counts.received,
        uncounted=0,
        polling=polling.note_sample(answered, depth.visible, size_for(pool, before)),
        emptiness=emptiness.note_sample(before.emptiness, now, depth.total),
    )
    if pool.several:
        polls = _open_polls(pool, sample.queue)
        evidence = scheduling.note_sample(before.evidence, depth.visible, polls)
        after = replace(after, evidence=evidence)
    pool = with_queue(pool, sample.queue, after)
    told = _log_emptiness(as_it_was, pool)
    pool, effects = sizing.note_sample(pool, before, now, jitter)
    return pool, (*told, *effects)


def _open_polls(pool: Pool, place: int) -> int:
    """Polls of the queue that would bring what there is; not those that fell silent."""
    polls = (slot for slot in pool.slots if slot.state is State.POLLING and slot.queue == place)
    return len([slot for slot in polls if slot.silent_since == inf])


def _log_emptiness(before: Pool, after: Pool) -> tuple[Effect, ...]:
    """--until-empty: what it waits for from now on, though nothing happens any more."""
    begins = _looks_empty(after) and not _looks_empty(before)
    if not begins or not after.config.until_empty or after.phase is not PoolPhase.RUNNING:
        return ()
    names = [queue.name for queue in after.queues]
    about = {"queues": ", ".join(names)} if after.several else {"queue": names[0]}
    return (Log("queue.empty", {**about, "seconds": after.config.empty_for}),)


def _looks_empty(pool: Pool) -> bool:
    """Whether the newest sample of each queue was zero, and nothing has come from it since."""
    return all(queue.emptiness.zero_since is not None for queue in pool.queues)
