"""What a dispatcher without a master works with, in the program of a user of the library.

Its inbox, its board, and the context of one delivery.

Such a dispatcher takes signals only while it dispatches, keeps no record, and leaves the program's
title and children alone.
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
from fleet.core.config import SAME_SIGNAL
from fleet.core.delivery import Rules
from fleet.core.failure import Failure
from fleet.core.protocol import Held, Report
from fleet.core.queue import Message, MessageQueue
from fleet.dispatcher.context import Context
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.job.process import Work
from fleet.job.user_code import UserCode
from fleet.library.borrowed_signals import BorrowedSignals
from fleet.library.queue import renew
from fleet.library.shim import Shims
from fleet.system.cgroup import OomKills
from fleet.system.clock import now

EXIT_SIGNALS = (signal.SIGHUP, signal.SIGABRT, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
NOT_MAIN_THREAD = (
    "fleet: not in the main thread, so signals are not handled: they end the program as ever"
)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is called beside each job: before it, after it, and when it has failed."""

    job_init: Callable[[], object] | None = None
    job_exit: Callable[[BaseException | None], object] | None = None
    on_failure: Callable[[Failure], object] | None = None


class StandaloneInbox:
    """Takes the program's signals, between `listen` and `give_back`, instead of a master's orders.

    A first signal gives a running job `drain_timeout` seconds, another one more than a second later
    none at all. The dispatcher does not know what other programs on this queue poll, and there is
    no master to ask before it releases a message: it delays the release instead. `longest_stop`:
    seconds after the first signal at which a request that is still repeated is given up.
    """

    orphan = False

    def __init__(self, drain_timeout: float, longest_stop: float = inf) -> None:
        self._drain_timeout, self._longest_stop = drain_timeout, longest_stop
        self._first_signal_at = inf
        self._has_held = False
        self._borrowed: BorrowedSignals | None = None
        self.leaving = self.freed = False
        self.drain: float | None = None
        self.ends_at = inf
        self.poll = select.poll()

    def listen(self) -> None:
        """Take the signals, if this is the main thread; else warn that they are not handled."""
        if threading.current_thread() is not threading.main_thread():
            warnings.warn(NOT_MAIN_THREAD, RuntimeWarning, stacklevel=2)
            return
        self._borrowed = BorrowedSignals(EXIT_SIGNALS)
        self.poll.register(self._borrowed.fileno(), select.POLLIN)

    def give_back(self) -> None:
        """Give the signals back to the program; those that came are raised there."""
        if self._borrowed:
            borrowed, self._borrowed = self._borrowed, None
            self.poll.unregister(borrowed.fileno())
            borrowed.give_back(self._note_signal)

    @property
    def descriptors(self) -> Iterable[int]:
        """The descriptors that a forked child must not keep."""
        return self._borrowed.descriptors if self._borrowed else ()

    @property
    def stopping(self) -> bool:
        """Whether the whole pool stops: it is nothing but this program."""
        return self.leaving

    @property
    def blind(self) -> bool:
        """Whether a release must be delayed.

        What is released while the program is told to leave, polls of its siblings may swallow.
        """
        return self.leaving

    def say(self, report: Report) -> None:
        """There is no master to tell. A message that is held may be released at the next wait."""
        self._has_held = isinstance(report, Held)

    def wait(self, until: float) -> None:
        """Wait until something happens or the moment comes (seconds on our clock).

        Then note the signals that came. Where a message is held it does not wait: its release is
        allowed at once.
        """
        if self._has_held:
            self._has_held, self.freed = False, True
            milliseconds: int | None = 0
        elif until == inf:
            milliseconds = None
        else:
            milliseconds = ceil(max(0.0, until - now()) * 1000)
        self.poll.poll(milliseconds)
        if self._borrowed and self._borrowed.take():
            self._note_signal()

    def _note_signal(self) -> None:
        if not self.leaving:
            self.leaving, self.drain, self._first_signal_at = True, self._drain_timeout, now()
            self.ends_at = self._first_signal_at + self._longest_stop
        elif now() - self._first_signal_at > SAME_SIGNAL:
            self.drain = 0.0


class StandaloneBoard:
    """In place of a pool's scoreboard: nobody reads it, and the program's title is its own."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def note(self, **_changes: object) -> None:
        """Nobody reads it."""

    def clear(self, _settled: str = "") -> None:
        """Nobody reads it."""

    def title(self, _what: str) -> None:
        """The program's title is not ours to change."""


@contextlib.contextmanager
def open_context(
    queue: MessageQueue, queue_name: str, inbox: StandaloneInbox, rules: Rules
) -> Iterator[Context]:
    """The context of one delivery, without its call (`with_call` adds that).

    Whatever ends the delivery, no process of it is left at the end.
    """
    oom = OomKills()

    def descriptors() -> Iterable[int]:
        return (*inbox.descriptors, *oom.descriptors, *getattr(queue, "descriptors", ()))

    shims = Shims(descriptors, inbox.poll)

    def no_work(message: Message, _page: SharedPage) -> Work:
        raise LookupError(f"nobody has said what to do with message {message.id}")

    try:
        yield Context(
            queue_name=queue_name,
            rules=rules,
            slot=0,
            queue=queue,
            renew=lambda: renew(queue),
            work=no_work,
            start_job=lambda work: shims.start(lambda shim: process.run_job(work, shim)),
            start=shims.start,
            inbox=inbox,
            board=StandaloneBoard(),
            page=SharedPage(),
            oom=oom,
        )
    finally:
        shims.end()
        oom.close()


def with_call(context: Context, call: Call, hooks: Hooks, title: str) -> Context:
    """The same context for a delivery whose job is this call, in a process of this title."""
    loaded = UserCode(
        call.job, job_init=hooks.job_init, job_exit=hooks.job_exit, on_failure=hooks.on_failure
    )

    def work(message: Message, page: SharedPage) -> Work:
        return Work(
            app=title,
            config=context.rules.config,
            loaded=loaded,
            queue=context.queue_name,
            slot=0,
            message=message,
            keep_fds=None,
            page=page,
            call=call,
        )

    return replace(
        context, work=work, rules=replace(context.rules, has_handler=call.exit_handler is not None)
    )
