"""The simulation's events and clock: messages arrive, polls end, jobs end, samples are due.

    arrival ──▶ an open poll, else waiting ──grant──▶ job ──▶ deleted, or hidden for its lease
    sample  ──▶ policy ──▶ the host's desired size ──▶ grants

A discrete-event simulation: nothing happens between two events, and the same seed gives the same
run. All decisions are core/'s (through hosts.py and policies.py); this file only keeps the time.

docs/decisions/0021 has the reasons.
"""

import heapq
import random

from fleet.core.config import Config, extend_interval
from fleet.core.depth import Depth
from fleet.core.sizing.rule import SOON, SOONEST
from fleet.simulate.hosts import Host, Poll
from fleet.simulate.policies import Observation, SizingPolicy
from fleet.simulate.queue import Message, SimulatedQueue
from fleet.simulate.results import POINTS, Curve, Result
from fleet.simulate.scenario import Load, Scenario

LATENCY = 0.02  # seconds of a dispatcher's time for a message beside its job: receive, fork, delete
FINISHED, POLL_OVER, SAMPLE, RESUME, BACK, POINT = range(6)


def hidden_after(job_seconds: float, config: Config) -> float:
    """How long a message whose job failed stays hidden: the rest of its lease.

    That is the first, short lease, or an extended one.
    """
    if job_seconds < extend_interval(config.first_lease):
        return config.first_lease - job_seconds
    return config.visibility_timeout * 5 / 6  # on average, as it is extended every third


def count_extends(job_seconds: float, config: Config) -> int:
    """How often the lease of a message is extended while its job runs."""
    first = extend_interval(config.first_lease)
    if job_seconds <= first:
        return 0
    return 1 + int((job_seconds - first) / extend_interval(config.visibility_timeout))


class World:
    """One run."""

    def __init__(self, scenario: Scenario, load: Load, policy: SizingPolicy) -> None:
        self._scenario, self._load, self._policy = scenario, load, policy
        self._rng = random.Random(f"{scenario.seed} {scenario.trace.name} world")
        self._queue = SimulatedQueue()
        self._open: list[Poll] = []
        self._heap: list[tuple[float, int, int, Host | None, object]] = []
        self._sequence = 0
        self._attempts: dict[Message, int] = {}
        self._size = self._busy = 0
        self._counted_at = 0.0
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
            self._count_workers(0.0, host.size)
            self._schedule(self._rng.random() * self._policy.every, SAMPLE, host, 0)
            self._start_polls(0.0, host)
        self._schedule(0.0, POINT, None, None)
        arrivals, heap, second = iter(self._load.arrivals), self._heap, 0.0
        message, arrives_at = 0, next(arrivals, self._end)
        while True:
            now = min(arrives_at, heap[0][0])
            if now >= self._end:
                break
            while second <= now:
                self._queue.remember_second()
                second += 1.0
            if arrives_at <= heap[0][0]:
                self._deliver_or_queue(now, message)
                message, arrives_at = message + 1, next(arrivals, self._end)
            else:
                self._handle(now, *heapq.heappop(heap)[2:])
        self._count_workers(self._end, 0)
        self.result.unserved = len(self._queue.waiting)
        return self.result

    def _schedule(self, when: float, kind: int, host: Host | None, what: object) -> None:
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, kind, host, what))

    def _handle(self, now: float, kind: int, host: Host | None, what: object) -> None:
        if kind == POINT:
            self._add_point(now)
        elif kind == BACK and isinstance(what, int):
            self._queue.in_flight -= 1
            if self._attempts[what] < self._scenario.receives:
                self._deliver_or_queue(now, what)
        elif host is None:
            return
        elif kind == FINISHED and isinstance(what, int):
            self._finish_job(now, host, what)
        elif kind == POLL_OVER and isinstance(what, Poll):
            self._end_poll(now, host, what)
        elif kind == SAMPLE:
            self._take_sample(now, host, what)
        elif kind == RESUME:
            self._start_polls(now, host)

    # Messages.

    def _deliver_or_queue(self, now: float, message: Message) -> None:
        """The message is visible: an open poll gets it, or it waits."""
        if not self._open:
            self._queue.waiting.append((now, message))
            return
        poll = self._open[int(self._rng.random() * len(self._open))]
        self._close_poll(poll)
        self._start_job(now, poll.host, message, now, now - poll.began)
        self._start_polls(now, poll.host)

    def _start_job(
        self, now: float, host: Host, message: Message, since: float, took: float
    ) -> None:
        self.result.waits.append(now - since)
        self._queue.in_flight += 1
        self._busy += 1
        host.note_message(now, took)
        seconds = self._load.seconds[message]
        self.result.extends += count_extends(seconds, self._scenario.config)
        self._schedule(now + LATENCY + seconds, FINISHED, host, message)

    def _finish_job(self, now: float, host: Host, message: Message) -> None:
        self._busy -= 1
        hidden_for = 0.0
        if message in self._load.failing:
            self._attempts[message] = self._attempts.get(message, 0) + 1
            hidden_for = hidden_after(self._load.seconds[message], self._scenario.config)
            self._schedule(now + hidden_for, BACK, None, message)
        else:
            self._queue.in_flight -= 1
            self.result.deletes += 1
        host.note_end(now, hidden_for)
        self._start_polls(now, host)

    # Polls.

    def _start_polls(self, now: float, host: Host) -> None:
        """Start as many polls as are allowed; each hit may allow more."""
        if host.size > host.desired:
            before = host.size
            host.retire()
            self._count_workers(now, host.size - before)
        waiting = self._queue.waiting
        while count := host.grants(now):
            for _ in range(count):
                self.result.receives += 1
                host.idle -= 1
                if waiting:
                    since, message = waiting.popleft()
                    self._start_job(now, host, message, since, LATENCY)
                else:
                    self._open_poll(now, host)
        if (
            host.idle
            and host.polling.not_before > now
            and host.resumes_at < host.polling.not_before
        ):
            host.resumes_at = host.polling.not_before
            self._schedule(host.resumes_at, RESUME, host, None)
        if host.wants_sample(now):
            self._schedule(now, SAMPLE, host, host.round)

    def _open_poll(self, now: float, host: Host) -> None:
        poll = Poll(host, now, len(self._open))
        self._open.append(poll)
        host.polls.add(poll)
        self._schedule(now + self._scenario.config.wait_time, POLL_OVER, host, poll)

    def _close_poll(self, poll: Poll) -> None:
        last = self._open.pop()
        if last is not poll:
            self._open[poll.place], last.place = last, poll.place
        poll.is_open = False
        poll.host.polls.discard(poll)

    def _end_poll(self, now: float, host: Host, poll: Poll) -> None:
        if poll.is_open:
            self._close_poll(poll)
            host.note_empty_poll(now, now - poll.began)
            self._start_polls(now, host)

    # Sizes.

    def _take_sample(self, now: float, host: Host, planned: object) -> None:
        if planned != host.round:  # another sample was taken before it
            return
        host.round += 1
        self.result.samples += 1
        before = host.desired
        after = self._policy.choose_size(
            Observation(host, Depth(*self._queue.counts(self._rng)), now, self._rng.random())
        )
        if after != before:
            self.result.resizes += 1
            size = host.size
            host.resize(after)
            self._count_workers(now, host.size - size)
        jitter = self._policy.jitter
        self._schedule(
            now + self._policy.every * self._rng.uniform(1 - jitter, 1 + jitter),
            SAMPLE,
            host,
            host.round,
        )
        self._start_polls(now, host)
        if host.busy == host.size and not host.lone_polls:
            # Time alone may make the next sample worth its price.
            for share in (SOONEST, SOON):
                self._schedule(now + share * host.config.sample_interval, RESUME, host, None)

    def _count_workers(self, now: float, change: int) -> None:
        self.result.worker_seconds += self._size * (now - self._counted_at)
        self._counted_at = now
        self._size += change
        self.result.most = max(self.result.most, self._size)

    def _add_point(self, now: float) -> None:
        curve = self.result.curve
        curve.size.append(self._size)
        curve.busy.append(self._busy)
        curve.backlog.append(len(self._queue.waiting))
        self._schedule(now + curve.every, POINT, None, None)
