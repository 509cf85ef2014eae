"""A simulated host: dispatchers are idle, in a poll or busy; core/polling.py grants the polls."""

from fleet.core import polling
from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.polling import QUICK, Polling
from fleet.core.sizing import rule, workload
from fleet.core.sizing.rule import SOONEST, Scene, Sizing
from fleet.core.sizing.workload import Workload


class Poll:
    """An open long poll."""

    __slots__ = ("began", "host", "is_open", "place")

    def __init__(self, host: "Host", began: float, place: int) -> None:
        self.host, self.began, self.place, self.is_open = host, began, place, True


class Host:
    """One pool. With `lone_polls` every worker polls for itself, as those of other systems do."""

    __slots__ = (
        "busy",
        "config",
        "depth",
        "desired",
        "idle",
        "lone_polls",
        "polling",
        "polls",
        "resumes_at",
        "round",
        "size",
        "sizing",
        "work",
    )

    def __init__(self, size: int, config: Config, *, lone_polls: bool) -> None:
        self.config, self.lone_polls = config, lone_polls
        self.size = self.desired = self.idle = size
        self.busy = 0
        self.polls: set[Poll] = set()
        self.polling = Polling()
        self.sizing, self.work = Sizing(), Workload()
        self.resumes_at = -1.0
        self.depth = Depth(0, 0)
        self.round = 0  # which of the samples that were planned is still to come

    def grants(self, now: float) -> int:
        """How many of the idle dispatchers may poll now."""
        if self.lone_polls:
            return self.idle
        return polling.count_grants(self.polling, now, self.idle, len(self.polls))

    def note_message(self, now: float, took: float) -> None:
        """A poll that took that many seconds has brought a message."""
        if not self.lone_polls:
            self.pass_time(now)
            self.polling = polling.note_hit(self.polling, took, self.size)
            self.sizing = rule.note_poll(self.sizing, took)
        self.busy += 1

    def note_empty_poll(self, now: float, took: float) -> None:
        """A poll that took that many seconds has brought nothing."""
        self.idle += 1
        if not self.lone_polls:
            self.polling = polling.note_empty(self.polling, now, took)
            self.sizing = rule.note_poll(self.sizing, None)

    def note_end(self, now: float, hidden_for: float) -> None:
        """A job has ended; its message is deleted, or hidden for that many seconds."""
        if not self.lone_polls:
            self.pass_time(now)
            self.work = workload.note_end(self.work, self.busy, hidden_for)
        self.busy -= 1
        self.idle += 1

    def pass_time(self, now: float) -> None:
        """Bring what is measured over time up to this moment."""
        self.work = workload.pass_time(self.work, self.busy, now, self.config.target_wait)

    def resize(self, desired: int) -> None:
        """Have so many dispatchers; a surplus leaves when it is idle."""
        self.desired = desired
        if desired > self.size:
            self.idle += desired - self.size
            self.size = desired

    def retire(self) -> None:
        """Let idle dispatchers leave that are too many."""
        surplus = min(self.idle, self.size - self.desired)
        if surplus > 0:
            self.idle -= surplus
            self.size -= surplus

    def scene(self, now: float) -> Scene:
        """What the rule decides on."""
        spare = self.idle > 0 or any(now - poll.began >= QUICK for poll in self.polls)
        return Scene(self.desired, self.size, self.busy, spare)

    def wants_sample(self, now: float) -> bool:
        """Whether the scout is to sample now. Most of the time the first test says no already."""
        if (
            self.lone_polls
            or self.idle
            or self.polls
            or now - self.sizing.sampled_at < SOONEST * self.config.sample_interval
        ):
            return False
        self.pass_time(now)
        scene = self.scene(now)
        part = rule.only_part(self.work, self.depth, scene, self.config)
        return rule.wants_sample(self.sizing, [part], scene, self.config, now)
