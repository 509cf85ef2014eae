"""What a dispatcher is told: by its master, by signals, and by the master's death.

It waits for all of that at once, and for nothing else.
"""

import select
import signal
from collections.abc import Callable
from math import ceil, inf

from fleet.core.protocol import Drain, Free, Grant, Plan, Report, Tell
from fleet.core.queue_place import Keys, KeysRefused
from fleet.ipc.channel import Channel
from fleet.system import log, processes, signals, stacks
from fleet.system.clock import now
from fleet.system.log_events import Fields
from fleet.system.signals import Wakeup


class Inbox:
    """Flags that the outside world sets, and the wait for it to do so.

    Beside those of `DispatcherInbox` (context.py) `granted`: the master's leave to receive that
    many messages of `queue`, in a poll of `longest` seconds at the most. Keys that the master hands
    out are given to `take_keys`.
    """

    def __init__(self, plan: Plan, channel: Channel, take_keys: Callable[[Keys], None]) -> None:
        self._plan, self._channel, self._take_keys = plan, channel, take_keys
        self.leaving = self.stopping = self.orphan = self.freed = False
        self.granted, self.longest, self.queue = 0, inf, 0
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
        except ProcessLookupError:  # it died after we asked to be told
            self._go_on_alone()
        signals.unblock_all()
        log.relay(self.tell)

    @property
    def blind(self) -> bool:
        """Whether nobody knows what the other dispatchers poll."""
        return self.orphan

    def say(self, report: Report) -> None:
        """To the master."""
        self._channel.send(report)

    def tell(self, event: str, fields: Fields) -> bool:
        """A line of the log, to be told by the master; whether it will be."""
        return not self.orphan and self._channel.send(Tell(event, dict(fields)))

    def tell_refused(self, keys: Keys) -> bool:
        """SQS does not take the keys; whether there is a master to hand out others."""
        if self.orphan:
            return False
        self._channel.send(KeysRefused(keys.access_key))
        return True

    def wait(self, until: float) -> None:
        """Wait until something happens or the moment comes (seconds on our clock); then note it."""
        timeout = None if until == inf else max(0, ceil((until - now()) * 1000))
        ready = {fd for fd, _ in self.poll.poll(timeout)}
        if self._wakeup.fileno() in ready and signal.SIGTERM in self._wakeup.signals():
            self.leaving = True
        if not self._channel.closed and self._channel.fileno() in ready:
            self._receive()
        if self._master in ready:
            self._go_on_alone()

    def _receive(self) -> None:
        for message in self._channel.receive():
            match message:
                case Grant(most, longest, queue):
                    self.granted, self.longest, self.queue = most, longest, queue
                case Drain(seconds, left):
                    self.leaving, self.stopping, self.drain = True, True, seconds
                    self.ends_at = now() + left
                case Free():
                    self.freed = True
                case Keys():
                    self._take_keys(message)
                case _:
                    raise ValueError(f"the master said {type(message).__name__}")
        if self._channel.closed:
            self._go_on_alone()

    def _go_on_alone(self) -> None:
        """The master is gone: finish what is in hand within the drain time-out, and leave."""
        if not self.orphan:
            self.orphan = self.leaving = self.stopping = True
            self.drain = self._plan.config.drain_timeout
            longest_stop = max(queue.config.longest_stop for queue in self._plan.queues)
            self.ends_at = min(self.ends_at, now() + longest_stop)
            self.poll.unregister(self._channel.fileno())
            if self._master >= 0:
                self.poll.unregister(self._master)
