"""What a delivery is worked on with: the seam between a dispatcher of the pool and the library.

Each of the two makes a Context of its own; everything that works on a message is the same.

docs/decisions/0027 has the reasons.
"""

import select
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from fleet.core.delivery import Rules
from fleet.core.outcomes import Exit
from fleet.core.protocol import Report
from fleet.core.queue import Message, MessageQueue
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.system.cgroup import OomKills
from fleet.system.processes import Usage

Act = Callable[[int], NoReturn]
"""What a forked process does for good, given the pid of the process that it dies with."""


class DispatcherInbox(Protocol):
    """What a dispatcher is told while it works on a delivery: flags, and the wait for them.

    `leaving`: it takes nothing more. `stopping`: nor does any other, as far as is known. `orphan`:
    the master is gone. `blind`: nobody knows what the other dispatchers poll, so what is released
    must be hidden until such polls are over. `drain`: seconds that a running job has, as said last
    and not acted on yet. `ends_at`: when the dispatcher is killed, because everything stops
    (seconds on our clock). `freed`: leave to release.
    """

    poll: select.poll
    freed: bool
    drain: float | None

    @property
    def leaving(self) -> bool: ...

    @property
    def stopping(self) -> bool: ...

    @property
    def orphan(self) -> bool: ...

    @property
    def blind(self) -> bool: ...

    @property
    def ends_at(self) -> float: ...

    def say(self, report: Report) -> None:
        """To the process that supervises the dispatcher, if there is one."""

    def wait(self, until: float) -> None:
        """Until something happens, or the moment comes (seconds on our clock)."""


class DeliveryBoard(Protocol):
    """Where a dispatcher notes how far a delivery has come, for the master and for people."""

    @property
    def pid(self) -> int: ...

    def note(self, **changes: object) -> None:
        """Bring the record up to date."""

    def clear(self, settled: str = "") -> None:
        """Nothing is in hand any more."""

    def title(self, what: str) -> None:
        """What `ps` shows of the dispatcher."""


class UserProcess(Protocol):
    """A process of user code and everything that it left. `others` are pids to be left alone.

    `due`: when `gone` is to be asked though nothing has happened (seconds on our clock), or
    infinity. `started`: on the same clock; `seconds`: how long it ran.
    """

    pid: int
    started: float
    seconds: float
    usage: Usage
    due: float

    @property
    def has_ended(self) -> bool:
        """Whether the process itself has ended; what it left may still be there."""

    @property
    def lingering_pid(self) -> int:
        """Of an ended process: the pid of something left that cannot be killed yet; else 0."""

    def terminate(self) -> None:
        """SIGTERM to its group."""

    def freeze(self, others: Iterable[int] = ()) -> None:
        """SIGSTOP to everything of it."""

    def kill(self, others: Iterable[int] = ()) -> None:
        """SIGKILL to everything of it."""

    def poll_exit(
        self, others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        """The exit, told once, when nothing of it exists any more; None before. Never waits."""


@dataclass(frozen=True, slots=True)
class Context:
    """The same for all messages of a queue that a dispatcher works on.

    `queue_name`: as the options say it, for jobs. `renew` makes new connections to the queue.
    `work`: what is to be done with a message, in a process that `start_job` or, if it is no job,
    `start` forks; they raise OSError when there is none. `page` is shared with that process.
    """

    queue_name: str
    rules: Rules
    slot: int
    queue: MessageQueue
    renew: Callable[[], None]
    work: Callable[[Message, SharedPage], process.Work]
    start_job: Callable[[process.Work], UserProcess]
    start: Callable[[Act], UserProcess]
    inbox: DispatcherInbox
    board: DeliveryBoard
    page: SharedPage
    oom: OomKills
