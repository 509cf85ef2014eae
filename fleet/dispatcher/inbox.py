"""What a dispatcher hears: the master's words, signals, the master's death; all it ever waits for,
at once.
"""

import select
import signal
from math import ceil, inf

from fleet.core.protocol import Drain, Free, Grant, Plan, Report, Tell
from fleet.ipc.channel import Channel
from fleet.system import log, processes, signals, stacks
from fleet.system.clock import now
from fleet.system.log_events import Fields
from fleet.system.signals import Wakeup


class Inbox:
    """Flags that the outside world sets, and the wait for it to do so.

    `leaving`: take nothing more. `stopping`: nor does anybody else. `orphan`: the master is gone.
    `drain`: seconds that a running job has, as said last and not acted on yet. `ends_at`: when
    whoever is still there is killed, because the pool stops (on our clock). `granted`: the master's
    leave to receive that many messages, in a poll of `longest` seconds at the most; `freed`: to
    release.
    """

    def __init__(self, plan: Plan, channel: Channel) -> None:
        self._plan, self._channel = plan, channel
        self.leaving = self.stopping = self.orphan = self.freed = False
        self.granted, self.longest = 0, inf
        self.drain: float | None = None
        self.ends_at = inf
        self._wakeup = Wakeup([signal.SIGTERM])
        passing = (number for number in signals.HARMLESS if number is not stacks.SHOW)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, *passing):
            signal.signal(number, signal.SIG_IGN)
        self.poll = select.poll()
        self.poll.register(self._wakeup.fileno(), select.POLLIN)
        self.poll.register(channel.fileno(), select.POLLIN)
        self._master = -1
        try:
            self._master = processes.open_pidfd(plan.master)
            self.poll.register(self._master, select.POLLIN)
        except ProcessLookupError:  # it has died since we have asked the kernel to tell us
            self._alone()
        signals.unblock_all()
        log.relay(self.tell)

    @property
    def blind(self) -> bool:
        """Whether nobody knows what our siblings poll."""
        return self.orphan

    def say(self, report: Report) -> None:
        """To the master."""
        self._channel.send(report)

    def tell(self, event: str, fields: Fields) -> bool:
        """A line of the log, to be told by the master; whether it will be."""
        return not self.orphan and self._channel.send(Tell(event, dict(fields)))

    def wait(self, until: float) -> None:
        """Until something happens or the moment comes (seconds on our clock); then take in what has
        been said.
        """
        timeout = None if until == inf else max(0, ceil((until - now()) * 1000))
        ready = {fd for fd, _ in self.poll.poll(timeout)}
        if self._wakeup.fileno() in ready and signal.SIGTERM in self._wakeup.signals():
            self.leaving = True
        if not self._channel.closed and self._channel.fileno() in ready:
            self._hear()
        if self._master in ready:
            self._alone()

    def _hear(self) -> None:
        for word in self._channel.receive():
            match word:
                case Grant(most, longest):
                    self.granted, self.longest = most, longest
                case Drain(seconds, left):
                    self.leaving, self.stopping, self.drain = True, True, seconds
                    self.ends_at = now() + left
                case Free():
                    self.freed = True
                case _:
                    raise ValueError(f"the master said {type(word).__name__}")
        if self._channel.closed:
            self._alone()

    def _alone(self) -> None:
        """The master is gone: finish what is in hand within the drain time-out, and leave."""
        if not self.orphan:
            self.orphan = self.leaving = self.stopping = True
            self.drain = self._plan.config.drain_timeout
            self.ends_at = min(self.ends_at, now() + self._plan.config.longest_stop)
            self.poll.unregister(self._channel.fileno())
            if self._master >= 0:
                self.poll.unregister(self._master)
