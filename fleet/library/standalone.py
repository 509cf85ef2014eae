"""What surrounds a dispatcher without a master, in somebody's own program.

It hears signals, and only while it dispatches; it keeps no record, and leaves the program's title
and children alone.
"""

import contextlib
import os
import select
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil, inf

from fleet.core.arguments import Call
from fleet.core.delivery.machine import Rules
from fleet.core.failure import Failure
from fleet.core.protocol import Held, Plan, Report
from fleet.core.queue import Message, Queue
from fleet.dispatcher.context import Bench
from fleet.ipc.shared_page import SharedPage
from fleet.job.call import Code, Loaded
from fleet.job.process import Work
from fleet.library.borrowed_signals import BorrowedSignals
from fleet.library.shim import Keepers
from fleet.system.clock import now
from fleet.system.memory import OomKills

EXIT_SIGNALS = (signal.SIGHUP, signal.SIGABRT, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
# Seconds: a second signal within them is the same Ctrl-C, from the terminal and from a supervisor.
SAME = 1.0


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is called beside each job: before it, after it, and when it has failed."""

    job_init: Callable[[], object] | None = None
    job_exit: Callable[[BaseException | None], object] | None = None
    on_failure: Callable[[Failure], object] | None = None


class StandaloneInbox:
    """As ears.py's. The signals are borrowed from the program between `listen` and `give_back`.

    A first signal gives a running job `drain_timeout` seconds, one more than a second later none at
    all. Nobody knows what other programs on this queue poll, so nobody need be asked before a
    release: it is delayed instead.
    """

    orphan = False

    def __init__(self, drain_timeout: float, longest_stop: float = inf) -> None:
        self._drain_timeout, self._longest_stop = drain_timeout, longest_stop
        self._heard_at = inf
        self._free = False
        self._borrowed: BorrowedSignals | None = None
        self.leaving = self.freed = False
        self.drain: float | None = None
        self.ends_at = inf
        self.poll = select.poll()

    def listen(self) -> None:
        """From now on signals are ours, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            text = "fleet: not in the main thread, so signals are not handled: they end the program as ever"
            warnings.warn(text, RuntimeWarning, stacklevel=2)
            return
        self._borrowed = BorrowedSignals(EXIT_SIGNALS)
        self.poll.register(self._borrowed.fileno(), select.POLLIN)

    def give_back(self) -> None:
        """The signals are the program's again, and those that came are raised."""
        if self._borrowed:
            borrowed, self._borrowed = self._borrowed, None
            self.poll.unregister(borrowed.fileno())
            borrowed.give_back(self._hear)

    @property
    def descriptors(self) -> Iterable[int]:
        """What a forked child must not keep."""
        return self._borrowed.descriptors if self._borrowed else ()

    @property
    def stopping(self) -> bool:
        """There is nothing but this program to stop."""
        return self.leaving

    @property
    def blind(self) -> bool:
        """What is released while the program is told to leave may be swallowed by its siblings'
        polls.
        """
        return self.leaving

    def say(self, report: Report) -> None:
        """Nobody listens; but a release is free at once."""
        self._free = isinstance(report, Held)

    def wait(self, until: float) -> None:
        """Until something happens or the moment comes (seconds on our clock); then take in what has
        happened.
        """
        if self._free:
            self._free, self.freed, until = False, True, -inf
        timeout = (
            None if until == inf else max(0, ceil((until - now()) * 1000)) if until > -inf else 0
        )
        self.poll.poll(timeout)
        if self._borrowed and self._borrowed.signals():
            self._hear()

    def _hear(self) -> None:
        if not self.leaving:
            self.leaving, self.drain, self._heard_at = True, self._drain_timeout, now()
            self.ends_at = self._heard_at + self._longest_stop
        elif now() - self._heard_at > SAME:
            self.drain = 0.0


class LoneBoard:
    """As scoreboard.py's, but nobody inherits and the program's title is its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def note(self, **_changes: object) -> None:
        """Nobody reads it."""

    def clear(self, _settled: str = "") -> None:
        """Nobody reads it."""

    def title(self, _what: str) -> None:
        """Nothing."""


@contextlib.contextmanager
def workbench(
    queue: Queue, name: str, inbox: StandaloneInbox, wait_time: float, rules: Rules
) -> Iterator[Bench]:
    """For one message of the queue of that name. Whatever ends the delivery, no process of it is
    left.
    """
    oom = OomKills()
    keepers = Keepers(
        lambda: (*inbox.descriptors, *oom.descriptors, *getattr(queue, "descriptors", ())),
        inbox.poll,
    )
    plan = Plan(
        app="", name="", queue=name, master=0, wait_time=wait_time, exit_timeout=rules.exit_timeout
    )

    def untold(message: Message, _page: SharedPage) -> Work:
        raise LookupError(f"nobody has said what to do with message {message.id}")

    try:
        yield Bench(
            plan,
            rules,
            0,
            queue,
            lambda: renew(queue),
            untold,
            keepers.start,
            inbox,
            LoneBoard(),
            SharedPage(),
            oom,
        )
    finally:
        keepers.end()
        oom.close()


def working_on(bench: Bench, call: Call, hooks: Hooks, title: str) -> Bench:
    """The workbench for this call."""
    loaded = Loaded(
        call.job, job_init=hooks.job_init, job_exit=hooks.job_exit, on_failure=hooks.on_failure
    )

    def work(message: Message, page: SharedPage) -> Work:
        return Work(Code(title), loaded, bench.plan.queue, 0, message, None, page, call)

    return replace(
        bench, work=work, rules=replace(bench.rules, handler=call.exit_handler is not None)
    )


def renew(queue: Queue) -> None:
    """New connections, if the queue knows how to make them."""
    getattr(queue, "renew", lambda: None)()
