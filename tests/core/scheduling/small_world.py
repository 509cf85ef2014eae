"""A pool of several queues on paper (fleet/simulate/shared.py), whose grants are judged.

The world keeps books of its own: what it asserts is said in the words of the theory
(fleet/core/scheduling/__init__.py), not by the functions that decide.
"""

from dataclasses import dataclass
from math import inf

from fleet.core.scheduling import LOOK, SETTLE, Choice
from fleet.simulate.shared import ANSWER, Arrival, Plan, Poll, QueueRun, SharedPool

__all__ = ["ANSWER", "Arrival", "Plan", "World"]
EPSILON = 1e-6


@dataclass
class Grant:
    """What was granted, and when (seconds)."""

    at: float
    queue: int
    length: float


class World(SharedPool):
    """Runs a plan to `end` seconds.

    `newest` and `home_at`: what each queue's newest poll has brought, and when. `first_waits`: how
    long messages waited, by queue, that no other was before.
    """

    def __init__(self, plan: Plan, end: float) -> None:
        self.grants: list[Grant] = []
        self.newest = ["none"] * plan.queues
        self.home_at = [-inf] * plan.queues
        self.first_waits: list[list[float]] = [[] for _ in range(plan.queues)]
        self._firsts: set[int] = set()
        super().__init__(plan, end)

    def _arrive(self, arrival: Arrival) -> None:
        if arrival.at > 0 and not self.queues[arrival.queue].visible:
            self._firsts.add(id(arrival))
        super()._arrive(arrival)

    def _come_home(self, poll: Poll, arrival: Arrival | None) -> None:
        self.newest[poll.queue] = "message" if arrival else "empty"
        self.home_at[poll.queue] = self.now
        super()._come_home(poll, arrival)

    def _begin_job(self, arrival: Arrival) -> None:
        super()._begin_job(arrival)
        if id(arrival) in self._firsts:
            self.first_waits[arrival.queue].append(self.now - arrival.at)
        queue = self.queues[arrival.queue]
        assert len(queue.running) <= queue.limit

    def _give_grants(self) -> None:
        super()._give_grants()
        self._judge_rest()

    def _grant(self, choice: Choice) -> None:
        assert self.idle > 0
        self._judge(choice.queue, choice.longest)
        super()._grant(choice)
        self.grants.append(
            Grant(self.now, choice.queue, self.queues[choice.queue].polls[-1].length)
        )

    # What must hold.

    def is_open(self, book: QueueRun) -> bool:
        """Whether the queue may be polled."""
        is_full = len(book.running) + len(book.polls) >= book.limit
        return not is_full and self.now >= book.polling.not_before

    def is_empty(self, place: int) -> bool:
        """Whether the newest poll came home empty, or one waits."""
        waits = any(self.now >= each.began + SETTLE for each in self.queues[place].polls)
        return self.newest[place] == "empty" or waits

    @property
    def longest_pause(self) -> float:
        """Seconds without a look, at the most: a quarter of the dispatchers looks."""
        return max(0.0, 4 * self.plan.queues / self.plan.dispatchers - 1)

    def _judge(self, queue: int, longest: float) -> None:
        """A grant that is about to be given."""
        book = self.queues[queue]
        assert self.is_open(book)
        assert len(book.running) + len(book.polls) < book.limit
        assert len(book.polls) < max(1, book.polling.allowed)
        if self.plan.queues == 1:
            assert longest == inf
            return
        if longest > LOOK:
            assert not any(each.length > LOOK for each in book.polls)
            left = self.idle - 1
            for place, other in enumerate(self.queues):
                if other is not book and self.is_open(other):
                    missing = 0 if other.polls else 1
                    if not self.is_empty(place):
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
        for place, higher in enumerate(self.queues[:queue]):
            if self.is_open(higher):
                assert self.is_empty(place), "the higher queue may have messages"
                overdue = self.now > self.home_at[place] + self.longest_pause + EPSILON
                assert higher.polls or not overdue, "the higher queue was not looked at in time"

    def _judge_rest(self) -> None:
        """When no grant is given any more, and dispatchers are left."""
        if not self.idle:
            return
        for number, book in enumerate(self.queues):
            if not self.is_open(book):
                continue
            if not self.is_empty(number):
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
