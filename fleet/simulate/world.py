"""The simulation's events and clock: messages arrive, polls end, jobs end, samples are due.

    arrival ──▶ an open poll, else waiting ──grant──▶ job ──▶ deleted, or hidden and back after its lease
    sample  ──▶ policy ──▶ the host's desired size ──▶ grants

A discrete-event simulation: nothing happens between two events, and the same seed gives the same
run. All decisions are core/'s (through hosts.py and policies.py); this file only keeps the time.
"""

import heapq
import random

from fleet.core.depth import Depth
from fleet.core.sizing.rule import SOON, SOONEST
from fleet.simulate.hosts import Host, Poll
from fleet.simulate.policies import Glance, Policy
from fleet.simulate.queue import Message, Queue
from fleet.simulate.results import POINTS, Curve, Result
from fleet.simulate.scenario import Load, Scenario

LATENCY = 0.02  # seconds of a dispatcher's time for a message beside its job: receive, fork, delete
FIRST_LEASE = 20.0
FINISHED, POLL_OVER, SAMPLE, RESUME, BACK, POINT = range(6)


def hidden_after(job_seconds: float, visibility: float) -> float:
    """How long a message that failed stays hidden: the rest of its first, short lease, or of an
    extended one.
    """
    if job_seconds < FIRST_LEASE / 3:
        return FIRST_LEASE - job_seconds
    return visibility * 5 / 6  # on average, as it is extended every third


class World:
    """One run."""

    def __init__(self, scenario: Scenario, load: Load, policy: Policy) -> None:
        self._scenario, self._load, self._policy = scenario, load, policy
        self._luck = random.Random(f"{scenario.seed} {scenario.trace.name} world")
        self._queue = Queue()
        self._open: list[Poll] = []
        self._heap: list[tuple[float, int, int, Host | None, object]] = []
        self._sequence = 0
        self._attempts: dict[Message, int] = {}
        self._size = self._busy = 0
        self._sized_at = 0.0
        self._end = float(scenario.trace.seconds)
        self.result = Result(
            policy.name, scenario.trace.name, Curve(self._end / POINTS), hosts=scenario.hosts
        )

    def run(self) -> Result:
        """From the first second to the trace's last."""
        for _ in range(self._scenario.hosts):
            host = Host(
                self._policy.start, self._scenario.config, lone_polls=self._policy.lone_polls
            )
            self._account(0.0, host.size)
            self._plan(self._luck.random() * self._policy.every, SAMPLE, host, 0)
            self._grant(0.0, host)
        self._plan(0.0, POINT, None, None)
        arrivals, heap, second = iter(self._load.arrivals), self._heap, 0.0
        message, arrives_at = 0, next(arrivals, self._end)
        while True:
            now = min(arrives_at, heap[0][0])
            if now >= self._end:
                break
            while second <= now:
                self._queue.second()
                second += 1.0
            if arrives_at <= heap[0][0]:
                self._visible(now, message)
                message, arrives_at = message + 1, next(arrivals, self._end)
            else:
                self._happens(now, *heapq.heappop(heap)[2:])
        self._account(self._end, 0)
        self.result.unserved = len(self._queue.waiting)
        return self.result

    def _plan(self, when: float, kind: int, host: Host | None, what: object) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, kind, host, what))

    def _happens(self, now: float, kind: int, host: Host | None, what: object) -> None:
        if kind == POINT:
            self._point(now)
        elif kind == BACK and isinstance(what, int):
            self._queue.in_flight -= 1
            if self._attempts[what] < self._scenario.receives:
                self._visible(now, what)
        elif host is None:
            return
        elif kind == FINISHED and isinstance(what, int):
            self._finished(now, host, what)
        elif kind == POLL_OVER and isinstance(what, Poll):
            self._poll_over(now, host, what)
        elif kind == SAMPLE:
            self._sample(now, host, what)
        elif kind == RESUME:
            self._grant(now, host)

    # Messages.

    def _visible(self, now: float, message: Message) -> None:
        """Somebody's open poll gets it, or it waits."""
        if not self._open:
            self._queue.waiting.append((now, message))
            return
        poll = self._open[int(self._luck.random() * len(self._open))]
        self._close(poll)
        self._received(now, poll.host, message, now, now - poll.began)
        self._grant(now, poll.host)

    def _received(
        self, now: float, host: Host, message: Message, since: float, took: float
    ) -> None:
        self.result.waits.append(now - since)
        self._queue.in_flight += 1
        self._busy += 1
        host.received(now, took)
        seconds = self._load.seconds[message]
        if seconds > FIRST_LEASE / 3:
            self.result.extends += 1 + int(
                (seconds - FIRST_LEASE / 3) / (self._scenario.config.visibility_timeout / 3)
            )
        self._plan(now + LATENCY + seconds, FINISHED, host, message)

    def _finished(self, now: float, host: Host, message: Message) -> None:
        self._busy -= 1
        hidden_for = 0.0
        if message in self._load.failing:
            self._attempts[message] = self._attempts.get(message, 0) + 1
            hidden_for = hidden_after(
                self._load.seconds[message], self._scenario.config.visibility_timeout
            )
            self._plan(now + hidden_for, BACK, None, message)
        else:
            self._queue.in_flight -= 1
            self.result.deletes += 1
        host.settled(now, hidden_for)
        self._grant(now, host)

    # Polls.

    def _grant(self, now: float, host: Host) -> None:
        """Polls as far as they are allowed; each hit may allow more."""
        if host.size > host.desired:
            before = host.size
            host.retire()
            self._account(now, host.size - before)
        waiting = self._queue.waiting
        while count := host.grants(now):
            for _ in range(count):
                self.result.receives += 1
                host.idle -= 1
                if waiting:
                    since, message = waiting.popleft()
                    self._received(now, host, message, since, LATENCY)
                else:
                    self._ask(now, host)
        if (
            host.idle
            and host.polling.not_before > now
            and host.resumes_at < host.polling.not_before
        ):
            host.resumes_at = host.polling.not_before
            self._plan(host.resumes_at, RESUME, host, None)
        if host.wants_sample(now):
            self._plan(now, SAMPLE, host, host.round)

    def _ask(self, now: float, host: Host) -> None:
        poll = Poll(host, now, len(self._open))
        self._open.append(poll)
        host.polls.add(poll)
        self._plan(now + self._scenario.config.wait_time, POLL_OVER, host, poll)

    def _close(self, poll: Poll) -> None:
        last = self._open.pop()
        if last is not poll:
            self._open[poll.place], last.place = last, poll.place
        poll.is_open = False
        poll.host.polls.discard(poll)

    def _poll_over(self, now: float, host: Host, poll: Poll) -> None:
        if poll.is_open:
            self._close(poll)
            host.came_home(now, now - poll.began)
            self._grant(now, host)

    # Sizes.

    def _sample(self, now: float, host: Host, planned: object) -> None:
        if planned != host.round:  # another one came before it
            return
        host.round += 1
        self.result.samples += 1
        before = host.desired
        after = self._policy.size(
            Glance(host, Depth(*self._queue.counts(self._luck)), now, self._luck.random())
        )
        if after != before:
            self.result.resizes += 1
            size = host.size
            host.resize(after)
            self._account(now, host.size - size)
        jitter = self._policy.jitter
        self._plan(
            now + self._policy.every * self._luck.uniform(1 - jitter, 1 + jitter),
            SAMPLE,
            host,
            host.round,
        )
        self._grant(now, host)
        if (
            host.busy == host.size and not host.lone_polls
        ):  # time alone may make the next one worth its price
            for share in (SOONEST, SOON):
                self._plan(now + share * host.config.sample_interval, RESUME, host, None)

    def _account(self, now: float, change: int) -> None:
        self.result.worker_seconds += self._size * (now - self._sized_at)
        self._sized_at = now
        self._size += change
        self.result.most = max(self.result.most, self._size)

    def _point(self, now: float) -> None:
        curve = self.result.curve
        curve.size.append(self._size)
        curve.busy.append(self._busy)
        curve.backlog.append(len(self._queue.waiting))
        self._plan(now + curve.every, POINT, None, None)
