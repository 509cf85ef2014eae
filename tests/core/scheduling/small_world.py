"""A pool of several queues on paper: arrivals, polls, jobs, and the choice that is tested.

The world keeps books of its own, and judges each grant by them: what it asserts is said in the
words of the theory (fleet/core/scheduling/__init__.py), not by the functions that decide.
"""

import heapq
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from math import inf

from fleet.core import polling, scheduling
from fleet.core.polling import Polling
from fleet.core.scheduling import LOOK, SETTLE, Evidence, PoolScene, QueueScene

ANSWER = 0.02  # seconds of a receive call
EPSILON = 1e-6


@dataclass(frozen=True)
class Arrival:
    """A message, and how long its job takes (seconds)."""

    at: float
    queue: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A pool and what comes. `limits` and `weights` by queue; without weights it is strict."""

    dispatchers: int
    queues: int
    arrivals: Sequence[Arrival]
    wait_time: float = 10.0
    limits: Sequence[float] = ()
    weights: Sequence[float] = ()
    starve_after: float = inf
    seed: int = 0


@dataclass
class Poll:
    """An open poll. It ends when the server has a message for it, or at `until`."""

    queue: int
    began: float
    until: float
    length: float


@dataclass
class Grant:
    """What was granted, and when (seconds)."""

    at: float
    queue: int
    length: float


@dataclass
class QueueBook:
    """What the world knows of one queue."""

    limit: float
    weight: float
    visible: deque[Arrival] = field(default_factory=deque)
    polls: list[Poll] = field(default_factory=list)
    running: dict[int, float] = field(default_factory=dict)  # job → since
    polling: Polling = field(default_factory=Polling)
    evidence: Evidence = field(default_factory=Evidence)
    newest: str = "none"
    home_at: float = -inf
    worked: float = 0.0
    ended: int = 0
    firsts: set[int] = field(default_factory=set)  # messages that no other was before, by identity
    waits: list[float] = field(default_factory=list)  # seconds, of those


class World:
    """Runs a plan to `end` seconds."""

    def __init__(self, plan: Plan, end: float) -> None:
        self.plan, self.end = plan, end
        self.now = 0.0
        self.idle = plan.dispatchers
        self.shares = scheduling.new_shares(plan.queues)
        self.grants: list[Grant] = []
        self._random = random.Random(plan.seed)
        self._numbers = count()
        self._heap: list[tuple[float, int, str, object]] = []
        limits = plan.limits or [inf] * plan.queues
        weights = plan.weights or [1.0] * plan.queues
        self.books = [QueueBook(*each) for each in zip(limits, weights, strict=True)]
        for arrival in plan.arrivals:
            if arrival.at > 0:
                self._plan(arrival.at, "arrival", arrival)
            else:
                self.books[arrival.queue].visible.append(arrival)
        self._plan(0.0, "wake", None)

    # The clock.

    def _plan(self, at: float, kind: str, what: object) -> None:
        heapq.heappush(self._heap, (at, next(self._numbers), kind, what))

    def run(self, *, until_done: bool = False) -> "World":
        """Every event up to the end, or until all is done; the choice is asked after each."""
        while self._heap and self._heap[0][0] <= self.end:
            if until_done and sum(book.ended for book in self.books) == len(self.plan.arrivals):
                return self
            at, _, kind, what = heapq.heappop(self._heap)
            self._pass_time(at)
            getattr(self, f"_{kind}")(what)
            self._give_grants()
        self._pass_time(self.end)
        return self

    def _pass_time(self, at: float) -> None:
        for book in self.books:
            book.worked += len(book.running) * (at - self.now)
        self.now = at

    def _wake(self, _: object) -> None:
        """Time has passed."""

    # Messages, polls, jobs.

    def _arrival(self, arrival: Arrival) -> None:
        book = self.books[arrival.queue]
        book.visible.append(arrival)
        if len(book.visible) == 1:
            book.firsts.add(id(arrival))
        waiting = [each for each in book.polls if each.began + ANSWER <= self.now]
        if waiting:
            self._hit(self._random.choice(waiting))

    def _reaches(self, poll: Poll) -> None:
        """The server looks for a message; without one the poll waits."""
        if poll in self.books[poll.queue].polls and self.books[poll.queue].visible:
            self._hit(poll)

    def _over(self, poll: Poll) -> None:
        book = self.books[poll.queue]
        if poll not in book.polls:
            return
        book.polls.remove(poll)
        book.newest, book.home_at = "empty", self.now
        took = self.now - poll.began
        book.polling = polling.note_empty(book.polling, self.now, took)
        book.evidence = scheduling.note_answer(book.evidence, self.now, 0)
        self.idle += 1

    def _hit(self, poll: Poll) -> None:
        book = self.books[poll.queue]
        book.polls.remove(poll)
        book.newest, book.home_at = "message", self.now
        took = self.now - poll.began
        book.polling = polling.note_hit(book.polling, took, self.plan.dispatchers)
        book.evidence = scheduling.note_answer(book.evidence, self.now, 1)
        arrival = book.visible.popleft()
        if id(arrival) in book.firsts:
            book.waits.append(self.now - arrival.at)
        job = next(self._numbers)
        book.running[job] = self.now
        assert len(book.running) <= book.limit
        self._plan(self.now + arrival.seconds, "ended", (poll.queue, job))

    def _ended(self, what: object) -> None:
        assert isinstance(what, tuple)
        queue, job = what
        del self.books[queue].running[job]
        self.books[queue].ended += 1
        self.idle += 1

    # Grants.

    def _scene(self) -> PoolScene:
        queues = tuple(map(self._queue_scene, self.books))
        return PoolScene(
            queues,
            self.idle,
            self.plan.dispatchers,
            weighted=bool(self.plan.weights),
            starve_after=self.plan.starve_after,
            shares=self.shares,
        )

    def _queue_scene(self, book: QueueBook) -> QueueScene:
        usual = book.worked / max(1, book.ended + len(book.running)) or 1.0
        ahead = sum(max(0.0, usual - (self.now - since)) for since in book.running.values())
        return QueueScene(
            allowed=book.polling.allowed,
            may_poll=self.now >= book.polling.not_before,
            running=len(book.running),
            open_polls=len(book.polls),
            oldest_poll=min((each.began for each in book.polls), default=inf),
            has_long_poll=any(each.length > LOOK for each in book.polls),
            evidence=book.evidence,
            limit=book.limit,
            weight=book.weight,
            job_time=book.worked + ahead + usual * len(book.polls),
            job_seconds=usual,
        )

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
            self._grant(choice.queue, choice.longest)
            scene = scheduling.after_choice(scene, choice, self.now)
        self._judge_rest()
        paused = [book.polling.not_before for book in self.books]
        wake = min(
            scheduling.wakes_at(scene, self.now), *(at if at > self.now else inf for at in paused)
        )
        if wake < inf:
            self._plan(wake, "wake", None)

    def _grant(self, queue: int, longest: float) -> None:
        assert self.idle > 0
        self._judge(queue, longest)
        book = self.books[queue]
        length = min(longest, self.plan.wait_time)
        poll = Poll(queue, self.now, self.now + ANSWER + length, length)
        self.grants.append(Grant(self.now, queue, length))
        book.polls.append(poll)
        book.evidence = scheduling.note_grant(book.evidence, self.now)
        self.idle -= 1
        self._plan(self.now + ANSWER, "reaches", poll)
        self._plan(poll.until, "over", poll)

    # What must hold.

    def is_open(self, book: QueueBook) -> bool:
        """Whether the queue may be polled."""
        is_full = len(book.running) + len(book.polls) >= book.limit
        return not is_full and self.now >= book.polling.not_before

    def is_empty(self, book: QueueBook) -> bool:
        """Whether the newest poll came home empty, or one waits."""
        waits = any(self.now >= each.began + SETTLE for each in book.polls)
        return book.newest == "empty" or waits

    @property
    def longest_pause(self) -> float:
        """Seconds without a look, at the most: a quarter of the dispatchers looks."""
        return max(0.0, 4 * self.plan.queues / self.plan.dispatchers - 1)

    def _judge(self, queue: int, longest: float) -> None:
        """A grant that is about to be given."""
        book = self.books[queue]
        assert self.is_open(book)
        assert len(book.running) + len(book.polls) < book.limit
        assert len(book.polls) < max(1, book.polling.allowed)
        if self.plan.queues == 1:
            assert longest == inf
            return
        if longest > LOOK:
            assert not any(each.length > LOOK for each in book.polls)
            left = self.idle - 1
            for other in self.books:
                if other is not book and self.is_open(other):
                    missing = 0 if other.polls else 1
                    if not self.is_empty(other):
                        missing = max(1, other.polling.allowed - len(other.polls))
                    left -= missing
            assert left >= 0, "a long poll takes the last dispatcher from another queue"
        if not self.plan.weights:
            self._judge_order(queue)

    def _judge_order(self, queue: int) -> None:
        """Strict: what a higher queue must have said before a lower one gets a grant."""
        last = self.last_grants()
        if queue and self.now >= last[queue] + self.plan.starve_after:
            above, rest = max(last[:queue]), max(last[queue:])
            if above > rest:  # let through, once between two of those above
                return
        for higher in self.books[:queue]:
            if self.is_open(higher):
                assert self.is_empty(higher), "the higher queue may have messages"
                overdue = self.now > higher.home_at + self.longest_pause + EPSILON
                assert higher.polls or not overdue, "the higher queue was not looked at in time"

    def _judge_rest(self) -> None:
        """When no grant is given any more, and dispatchers are left."""
        if not self.idle:
            return
        for number, book in enumerate(self.books):
            if not self.is_open(book):
                continue
            if not self.is_empty(book):
                assert book.polls, "a queue that may have messages has no poll"
                if not self.plan.weights:
                    return  # those below wait for it
            assert book.polls, f"queue {number} has no poll, and a dispatcher has nothing to do"

    def last_grants(self) -> list[float]:
        """When each queue had its newest grant."""
        last = [0.0] * self.plan.queues
        for grant in self.grants[-200:]:
            last[grant.queue] = grant.at
        return last
