"""Several queues share a pool of a fixed size: messages arrive, polls end, jobs end.

    arrival ──▶ waiting ──a poll reaches it, or is open──▶ job ──▶ deleted

The choice is core/scheduling's and the polls are core/polling.py's; this file only keeps the time.
Nothing fails, the memory is enough, and no depth is sampled.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf
from typing import Self

from fleet.core import polling, scheduling
from fleet.core.config import Config
from fleet.core.polling import Polling
from fleet.core.scheduling import LOOK, Choice, Evidence, PoolScene, QueueScene
from fleet.simulate.world import count_extends

ANSWER = 0.02  # seconds from the beginning of a poll until the server looks for a message


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message, and how long its job takes (seconds)."""

    at: float
    queue: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A pool and what comes. `limits` and `weights` by queue; without weights it is strict.

    Times are seconds.
    """

    dispatchers: int
    queues: int
    arrivals: Sequence[Arrival]
    wait_time: float = 10.0
    visibility_timeout: float = 60.0
    limits: Sequence[float] = ()
    weights: Sequence[float] = ()
    starve_after: float = inf
    seed: int = 0


@dataclass(eq=False, slots=True)
class Poll:
    """An open poll. It ends when the server has a message for it, or at `until`."""

    queue: int
    began: float
    until: float
    length: float


@dataclass(slots=True)
class QueueRun:
    """One queue: what waits, what is open, what runs (job → since when), what was."""

    limit: float
    weight: float
    visible: deque[Arrival] = field(default_factory=deque)
    polls: list[Poll] = field(default_factory=list)
    running: dict[int, float] = field(default_factory=dict)
    polling: Polling = field(default_factory=Polling)
    evidence: Evidence = field(default_factory=Evidence)
    worked: float = 0.0  # seconds of jobs
    ended: int = 0
    grants: int = 0
    extends: int = 0
    waits: list[float] = field(default_factory=list)  # seconds, by message


class SharedPool:
    """Runs a plan to `end` seconds."""

    def __init__(self, plan: Plan, end: float) -> None:
        self.plan, self.end = plan, end
        self.now = 0.0
        self.idle = plan.dispatchers
        self._config = Config(wait_time=plan.wait_time, visibility_timeout=plan.visibility_timeout)
        self.shares = scheduling.new_shares(plan.queues)
        self._random = random.Random(plan.seed)
        self._numbers = count()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._wakes_at = inf
        limits = plan.limits or [inf] * plan.queues
        weights = plan.weights or [1.0] * plan.queues
        self.queues = [QueueRun(*each) for each in zip(limits, weights, strict=True)]
        self._arrivals = deque(sorted(plan.arrivals, key=lambda each: each.at))
        while self._arrivals and self._arrivals[0].at <= 0:
            self._arrive(self._arrivals.popleft())
        self._wake_at(0.0)

    # The clock.

    def run(self, *, until_done: bool = False) -> Self:
        """Every event up to the end, or until all is done; the choice is asked after each."""
        while (at := self._next_at()) <= self.end:
            if until_done and sum(each.ended for each in self.queues) == len(self.plan.arrivals):
                return self
            self._pass_time(at)
            if self._heap and self._heap[0][0] <= at:
                heapq.heappop(self._heap)[2]()
            else:
                self._arrive(self._arrivals.popleft())
            if self.idle:
                self._give_grants()
        self._pass_time(self.end)
        return self

    def _next_at(self) -> float:
        happens = self._heap[0][0] if self._heap else inf
        return min(happens, self._arrivals[0].at if self._arrivals else inf)

    def _plan(self, at: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (at, next(self._numbers), happens))

    def _pass_time(self, at: float) -> None:
        for queue in self.queues:
            queue.worked += len(queue.running) * (at - self.now)
        self.now = at

    def _wake_at(self, at: float) -> None:
        """Ask for the choice at that moment, whatever happens."""
        if at < self._wakes_at:
            self._wakes_at = at
            self._plan(at, self._wake)

    def _wake(self) -> None:
        if self.now >= self._wakes_at:
            self._wakes_at = inf

    # Messages, polls, jobs.

    def _arrive(self, arrival: Arrival) -> None:
        queue = self.queues[arrival.queue]
        queue.visible.append(arrival)
        waiting = [each for each in queue.polls if each.began + ANSWER <= self.now]
        if waiting:
            self._come_home(self._random.choice(waiting), queue.visible.popleft())

    def _reach(self, poll: Poll) -> None:
        """The server looks for a message; without one the poll waits."""
        queue = self.queues[poll.queue]
        if poll in queue.polls and queue.visible:
            self._come_home(poll, queue.visible.popleft())

    def _end_poll(self, poll: Poll) -> None:
        if poll in self.queues[poll.queue].polls:
            self._come_home(poll, None)

    def _come_home(self, poll: Poll, arrival: Arrival | None) -> None:
        """The poll has brought a message, or nothing."""
        queue, took = self.queues[poll.queue], self.now - poll.began
        queue.polls.remove(poll)
        queue.evidence = scheduling.note_answer(queue.evidence, self.now, arrival is not None)
        if arrival is None:
            queue.polling = polling.note_empty(queue.polling, self.now, took)
            self.idle += 1
        else:
            queue.polling = polling.note_hit(queue.polling, took, self.plan.dispatchers)
            self._begin_job(arrival)

    def _begin_job(self, arrival: Arrival) -> None:
        queue, job = self.queues[arrival.queue], next(self._numbers)
        queue.waits.append(self.now - arrival.at)
        queue.running[job] = self.now
        queue.extends += count_extends(arrival.seconds, self._config)
        self._plan(self.now + arrival.seconds, lambda: self._end_job(queue, job))

    def _end_job(self, queue: QueueRun, job: int) -> None:
        del queue.running[job]
        queue.ended += 1
        self.idle += 1

    # Grants.

    def _give_grants(self) -> None:
        scene = self._scene()
        if scene.weighted:
            self.shares = scheduling.advance(
                self.shares,
                [each.job_time for each in scene.queues],
                [each.weight for each in scene.queues],
                scheduling.claims(scene, self.now),
            )
            scene = replace(scene, shares=self.shares)
        while choice := scheduling.choose(scene, self.now):
            self._grant(choice)
            scene = scheduling.after_choice(scene, choice, self.now)
        backoffs = (each.polling.not_before for each in self.queues)
        later = (at for at in backoffs if at > self.now)
        self._wake_at(min(scheduling.wakes_at(scene, self.now), min(later, default=inf)))

    def _grant(self, choice: Choice) -> None:
        queue = self.queues[choice.queue]
        length = min(choice.longest, self.plan.wait_time)
        poll = Poll(choice.queue, self.now, self.now + ANSWER + length, length)
        queue.polls.append(poll)
        queue.grants += 1
        queue.evidence = scheduling.note_grant(queue.evidence, self.now)
        self.idle -= 1
        self._plan(self.now + ANSWER, lambda: self._reach(poll))
        self._plan(poll.until, lambda: self._end_poll(poll))

    def _scene(self) -> PoolScene:
        return PoolScene(
            tuple(map(self._queue_scene, self.queues)),
            self.idle,
            self.plan.dispatchers,
            weighted=bool(self.plan.weights),
            starve_after=self.plan.starve_after,
            shares=self.shares,
        )

    def _queue_scene(self, queue: QueueRun) -> QueueScene:
        usual = queue.worked / max(1, queue.ended + len(queue.running)) or 1.0
        ahead = sum(max(0.0, usual - (self.now - since)) for since in queue.running.values())
        return QueueScene(
            allowed=queue.polling.allowed,
            may_poll=self.now >= queue.polling.not_before,
            running=len(queue.running),
            open_polls=len(queue.polls),
            oldest_poll=min((each.began for each in queue.polls), default=inf),
            has_long_poll=any(each.length > LOOK for each in queue.polls),
            evidence=queue.evidence,
            limit=queue.limit,
            weight=queue.weight,
            job_time=queue.worked + ahead + usual * len(queue.polls),
            job_seconds=usual,
        )
