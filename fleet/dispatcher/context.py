"""What a delivery is worked on with. A dispatcher of the pool makes one workbench, the library
another one.
"""

import select
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from fleet.core.delivery.machine import Rules
from fleet.core.outcomes import Exit
from fleet.core.protocol import Plan, Report
from fleet.core.queue import Message, MessageQueue
from fleet.ipc.shared_page import SharedPage
from fleet.job import process
from fleet.system.cgroup import OomKills
from fleet.system.processes import Usage

Act = Callable[[int], NoReturn]
"""What a forked process is to be, given the pid of the process that it dies with."""


class Inbox(Protocol):
    """What is heard while a delivery is worked on: flags, and the wait for the world to set them.

    `leaving`: take nothing more. `stopping`: nor does anybody else, as far as is known. `orphan`:
    the master is gone. `blind`: nobody knows what our siblings poll, so what is released must be
    hidden until such polls are over. `drain`: seconds that a running job has, as said last and not
    acted on yet. `ends_at`: when whoever is still there is killed, because all of it stops.
    `freed`: leave to release.
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
        """To whoever supervises us."""

    def wait(self, until: float) -> None:
        """Until something happens or the moment comes (seconds on our clock)."""


class Board(Protocol):
    """Where it is written down how far a delivery has come, for whoever looks or inherits it."""

    @property
    def pid(self) -> int: ...

    def note(self, **changes: object) -> None:
        """Bring the record up to date."""

    def clear(self, settled: str = "") -> None:
        """Nothing is in hand any more."""

    def title(self, what: str) -> None:
        """What `ps` shows of the dispatcher."""


class Living(Protocol):
    """A process of user code and all that is left of it. `others` are what must be left alone.

    `due`: when `gone` is to be asked although nothing has happened (seconds on our clock), or
    infinity.
    """

    pid: int
    started: float
    seconds: float
    usage: Usage
    due: float

    @property
    def ended(self) -> bool:
        """Whether the process itself has ended; what it left may still be there."""

    @property
    def lingers(self) -> int:
        """Of an ended process: the pid of something that it left and that cannot be killed yet;
        else 0.
        """

    def terminate(self) -> None:
        """SIGTERM to its group."""

    def freeze(self, others: Iterable[int] = ()) -> None:
        """SIGSTOP to everything of it."""

    def kill(self, others: Iterable[int] = ()) -> None:
        """SIGKILL to everything of it."""

    def gone(
        self, others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        """The exit, told once, when nothing of it exists any more; None before. Never waits."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The same for all messages of a dispatcher."""

    plan: Plan
    rules: Rules
    slot: int
    queue: MessageQueue
    renew: Callable[[], None]
    work: Callable[[Message, SharedPage], process.Work]
    start: Callable[[Act], Living]
    inbox: Inbox
    board: Board
    page: SharedPage
    oom: OomKills
