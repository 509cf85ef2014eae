"""A pool of one queue is given the grants that it was given before there could be several.

The pool's own rule (fleet/core/pool/grants.py) decides beside the choice, over the same states.
"""

from dataclasses import replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from fleet.core import scheduling
from fleet.core.config import Config
from fleet.core.polling import Polling
from fleet.core.pool import job_memory, state
from fleet.core.pool.effects import Send
from fleet.core.pool.grants import grant_polls
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import Pool, PoolPhase
from fleet.core.protocol import Grant
from fleet.core.scheduling import Answer, Choice, Evidence, PoolScene, QueueScene
from fleet.core.sizing.memory import Memory, job_mib
from fleet.core.slot_state import State
from tests.support.queues import one_queue

NOW = 100.0
MOMENTS = st.integers(0, 200).map(lambda halves: halves / 2)
MIB = st.integers(1, 8).map(lambda each: 32.0 * each)
SLOTS = st.builds(
    Slot,
    st.just(0),
    state=st.sampled_from([State.IDLE, State.IDLE, State.POLLING, State.WORKING, State.HOLDING]),
    since=MOMENTS,
    leaving=st.sampled_from([False, False, False, True]),
    silent_since=st.sampled_from([inf, inf, inf, 99.0]),
)
POLLINGS = st.builds(
    Polling,
    allowed=st.integers(1, 12),
    failures=st.integers(0, 2),
    not_before=st.sampled_from([0.0, NOW, NOW + 0.5]),
)
MEMORIES = st.just(Memory()) | st.builds(
    Memory,
    available=st.integers(0, 20).map(lambda each: 32.0 * each),
    total=st.just(1024.0),
    taken=st.lists(MIB, max_size=4).map(lambda each: dict(enumerate(each))),
)
JOBS = st.lists(MIB, max_size=3).map(tuple)
EVIDENCE = st.builds(Evidence, st.sampled_from(Answer), MOMENTS, MOMENTS)


def scene_of(pool: Pool, evidence: Evidence) -> PoolScene:
    """The pool as the choice sees it."""
    polls = [slot for slot in pool.slots if slot.state is State.POLLING]
    told = [slot.since for slot in polls if slot.silent_since == inf]
    (queue,) = pool.queues
    job = job_mib(pool.memory.taken, queue.jobs_mib) or 0.0
    to_come = sum(max(0.0, job - taken) for taken in [*pool.memory.taken.values()][: pool.busy])
    to_come += job * (max(0, pool.busy - len(pool.memory.taken)) + len(polls))
    only = QueueScene(
        allowed=queue.polling.allowed,
        may_poll=not pool.paused and queue.polling.not_before <= NOW,
        running=pool.busy,
        open_polls=len(told),
        silent_polls=len(polls) - len(told),
        oldest_poll=min(told, default=inf),
        has_long_poll=bool(told),
        evidence=evidence,
        job_mib=job,
    )
    idle = sum(slot.is_available for slot in pool.slots)
    is_measured = pool.memory.available < inf
    room = pool.memory.available - pool.memory.floor - to_come if is_measured else inf
    return PoolScene([only], idle, pool.size, room)


@given(
    st.lists(SLOTS, max_size=8),
    POLLINGS,
    MEMORIES,
    JOBS,
    EVIDENCE,
    st.booleans(),
    st.booleans(),
)
def test_one_queue_has_the_grants_that_it_always_had(
    slots: list[Slot],
    polling: Polling,
    memory: Memory,
    jobs: tuple[float, ...],
    evidence: Evidence,
    paused: bool,
    weighted: bool,
) -> None:
    pool = state.new(Config(), one_queue())
    (queue,) = pool.queues
    queue = replace(queue, usable=True, polling=polling, jobs_mib=jobs)
    pool = replace(
        pool,
        queues=(queue,),
        slots=tuple(replace(slot, number=number) for number, slot in enumerate(slots)),
        phase=PoolPhase.RUNNING,
        memory=memory,
        paused=paused,
    )
    _, effects = grant_polls(pool, NOW)
    scene = replace(scene_of(pool, evidence), weighted=weighted)
    fits = job_memory.jobs_that_fit(pool)
    made = []
    while choice := scheduling.choose(scene, NOW):
        made.append(choice)
        scene = scheduling.after_choice(scene, choice, NOW)
    assert all(isinstance(each, Send) and each.order == Grant(1, inf) for each in effects)
    assert made == [Choice(0, inf)] * len(effects)
    assert fits is None or len(made) <= fits
    assert scheduling.wakes_at(scene, NOW) == inf
