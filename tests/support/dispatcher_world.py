"""A dispatcher's whole world, held by a test, and a record of what it did, in order.

The world is its clock, its master, its queue, its processes and its scoreboard.

Time passes only while the dispatcher waits, and while a call takes what a test says it takes. What
is to happen is laid out beforehand with `at`; a wait that nothing would end fails the test.
"""

import errno
import select
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.depth import Depth
from fleet.core.outcomes import Exit
from fleet.core.protocol import Held, Plan, Report, Settled
from fleet.core.queue import Message, QueueError, Trouble
from fleet.dispatcher.context import Act, Context
from fleet.ipc.shared_page import SharedPage
from fleet.job import process as job_process
from fleet.system import jitter, log, procfs
from fleet.system.cgroup import OomKills
from fleet.system.log_events import EVENTS
from fleet.system.processes import Usage
from tests.support.queues import one_queue

CONFIG = Config(
    visibility_timeout=60.0,
    wait_time=10.0,
    exit_timeout=30.0,
    drain_timeout=40.0,
    name="name",
)
PLAN = Plan(CONFIG, one_queue(CONFIG), 1)
WITH_HANDLER = Rules(has_handler=True)
GOOD, BAD, SEGV, KILLED = Exit(code=0), Exit(code=1), Exit(signal=11), Exit(signal=9)
RETRY, REJECT = Exit(code=75), Exit(code=65)
MESSAGE = Message("message-1", "handle-1", "secret")


class World:
    """The clock, what is to happen, and the record."""

    def __init__(self) -> None:
        self.time = 0.0
        self.record: list[str] = []
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.processes: list[Process] = []
        self.scarce = 0  # how many of the next forks fail
        self.renewed = 0
        self.inbox, self.queue, self.board = Inbox(self), Queue(self), Board(self)
        self.page = SharedPage()
        self.oom = Memory()
        self.frozen_by_somebody: set[int] = set()
        self._in_vain = 0  # waits in a row that took no time, though nothing happened
        self._script: list[tuple[float, Callable[[], object]]] = []

    def install(self, patch: pytest.MonkeyPatch, *modules: Any) -> None:
        """Stand in for time, chance and log in these modules."""
        for module in modules:
            patch.setattr(module, "now", lambda: self.time)
        patch.setattr(jitter, "draw", lambda: 0.0)
        patch.setattr(procfs, "is_stopped", lambda pid: pid in self.frozen_by_somebody)
        patch.setattr(log, "emit", self._emit)
        patch.setattr(
            job_process,
            "run_job",
            lambda message, parent: self.did(f"job {message.id} below {parent}"),
        )
        patch.setattr(
            job_process,
            "run_exit_handler",
            lambda message, parent: self.did(f"handler {message.id} below {parent}"),
        )

    def _emit(self, event: str, /, **fields: Any) -> None:
        EVENTS[event].phrase(fields)  # a field that the sentence needs is missing: KeyError
        self.logged.append((event, fields))
        self.did(f"log {event}")

    def context(self, rules: Rules | None = None, queue: "Queue | None" = None) -> Context:
        """What a delivery is worked on with: of the only queue, or of another one."""
        return Context(
            queue.name if queue else "jobs",
            rules or Rules(),
            7,
            queue or self.queue,
            self.renew,
            cast(Any, lambda message, _page: message),
            lambda work: self.start(lambda parent: job_process.run_job(work, parent)),
            self.start,
            self.inbox,
            self.board,
            self.page,
            cast(OomKills, self.oom),
        )

    def renew(self) -> None:
        """A new session."""
        self.renewed += 1

    def start(self, act: Act) -> "Process":
        """Not a fork; `act` only writes down what the process would be."""
        if self.scarce:
            self.scarce -= 1
            raise OSError(errno.EAGAIN, "no process")
        started = Process(self, 11 + len(self.processes), self.time)
        self.processes.append(started)
        cast(Callable[[int], None], act)(self.board.pid)
        return started

    # What happens.

    def at(self, moment: float, happening: Callable[[], object]) -> None:
        """Let it happen then; what is due at once happens in the order in which it was laid out."""
        self._script.append((moment, happening))
        self._script.sort(key=lambda each: each[0])

    def ends(self, moment: float, how: Exit, process: int = 0) -> None:
        """One of the processes ends by itself."""
        self.at(moment, lambda: self.processes[process].end(how))

    def pass_until(self, until: float) -> None:
        """Wait: the next thing happens, or the moment comes."""
        if self._script and self._script[0][0] <= max(until, self.time):
            moment, happening = self._script.pop(0)
            self.time = max(self.time, moment)
            happening()
            return
        assert until < inf, "it waits for ever"
        self._in_vain = self._in_vain + 1 if until <= self.time else 0
        assert self._in_vain < 9, "it spins"
        self.time = max(self.time, until)

    # What was done.

    def did(self, what: str) -> None:
        """Write it down."""
        self.record.append(what)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The fields of all log lines of that event."""
        return [fields for name, fields in self.logged if name == event]

    def only(self, *words: str) -> list[str]:
        """What was done, of the kinds named."""
        return [each for each in self.record if each.partition(" ")[0] in words]

    @property
    def settled(self) -> Settled:
        """The one report of a delivery's end."""
        (found,) = (each for each in self.inbox.said if isinstance(each, Settled))
        return found


class Inbox:
    """A master who answers each Held at once, unless he is `deaf`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.poll = select.poll()
        self.freed = self.leaving = self.stopping = self.orphan = self.blind = False
        self.drain: float | None = None
        self.ends_at = inf
        self.granted, self.longest, self.queue = 0, inf, 0
        self.deaf = False
        self.said: list[Report] = []
        self._held = False

    def say(self, report: Report) -> None:
        self.said.append(report)
        self._world.did(f"say {type(report).__name__}")
        self._held = isinstance(report, Held)

    def wait(self, until: float) -> None:
        if self._held and not self.deaf:
            self._held, self.freed = False, True
            return
        self._world.pass_until(until)

    def drains(self, seconds: float | None, left: float = inf) -> None:
        """The master has said so."""
        self.leaving, self.stopping, self.drain = True, True, seconds
        self.ends_at = self._world.time + left

    def loses_its_master(self, seconds: float) -> None:
        """As the real ones take it."""
        self.orphan, self.blind = True, True
        self.drains(seconds)


class Board:
    """A line of the scoreboard."""

    pid = 5

    def __init__(self, world: World, name: str = "board") -> None:
        self._world, self._name = world, name
        self.record: dict[str, object] = {}
        self.places: dict[int, Board] = {}

    def of(self, place: int) -> "Board":
        """The line of another message."""
        self.places[place] = Board(self._world, f"board{place}")
        return self.places[place]

    def note(self, **changes: object) -> None:
        self.record |= changes
        shown = " ".join(
            f"{name}={getattr(value, 'name', value)}" for name, value in changes.items()
        )
        self._world.did(f"{self._name} {shown}".rstrip())

    def clear(self, settled: str = "") -> None:
        self.record = {}
        self._world.did(f"{self._name} cleared {settled}".rstrip())

    def title(self, what: str) -> None:
        self._world.did(f"title {what}")


@dataclass
class Queue:
    """Answers as a test wants. `fails`: by call, what its next answers are; None is a good one."""

    world: World
    brings: list[Message] = field(default_factory=list)
    limit: int | None = None
    takes: float = 0.0  # seconds that each call takes
    fails: dict[str, list[Trouble | None]] = field(default_factory=dict)
    unanswered: bool = False  # those that fail
    receive_ids: list[str] = field(default_factory=list)
    attributes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""  # in the record, before its calls; none of the only queue

    def _call(self, name: str, shown: str = "") -> None:
        self.world.did(f"{self.name} {name} {shown}".strip())
        self.world.time += self.takes
        answers = self.fails.get(name)
        if answers and (trouble := answers.pop(0)) is not None:
            raise QueueError(trouble, f"{name} went wrong", unanswered=self.unanswered)

    def receive(self, wait: float, visibility: float, receive_id: str = "") -> Message | None:
        self.receive_ids.append(receive_id)
        self._call("receive", f"{wait:g} {visibility:g}")
        return self.brings.pop(0) if self.brings else None

    def receive_many(self, wait: float, visibility: float, most: int) -> list[Message]:
        self._call("receive_many", f"{wait:g} {visibility:g} {most}")
        found, self.brings = self.brings[:most], self.brings[most:]
        return found

    def extend(self, message: Message, seconds: int) -> None:
        self._call("extend", f"{message.id} {seconds}")

    def delete(self, message: Message) -> None:
        self._call("delete", message.id)

    def release(self, message: Message, delay: int = 0) -> None:
        self._call("release", f"{message.id} {delay}")

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        self.attributes = attributes
        self._call("dead_letter", message.id)

    def depth(self) -> Depth:
        raise AssertionError("no dispatcher counts")

    def max_receive_count(self) -> int | None:
        self._call("max_receive_count")
        return self.limit

    def close(self) -> None:
        self._call("close")


class Memory:
    """The kernel's count of out-of-memory kills, as bytes; `grow` makes it larger."""

    def __init__(self) -> None:
        self._count = 0

    def read(self) -> bytes:
        return f"oom_kill {self._count}\n".encode()

    def grow(self) -> None:
        """The kernel has killed."""
        self._count += 1


class Process:
    """As `running.Running` is: `end` is what the kernel does, `gone` what the dispatcher notices.

    `mortal`: dies of a kill. `leaves`: something of it lives on after it, until `let_go`.
    """

    def __init__(self, world: World, pid: int, started: float) -> None:
        self._world = world
        self.pid, self.started = pid, started
        self.seconds, self.usage, self.due = 0.0, Usage(0, 0), inf
        self.mortal, self.leaves = True, False
        self.before_freeze: Exit | None = None  # it had ended so when it was to be frozen
        self._exit: Exit | None = None
        self._noticed = self._over = False

    def end(self, how: Exit) -> None:
        """It ends."""
        self._exit = self._exit or how

    def let_go(self) -> None:
        """What it left is gone."""
        self.leaves = False

    @property
    def has_ended(self) -> bool:
        return self._noticed

    @property
    def lingering_pid(self) -> int:
        return 99 if self._noticed and not self._over else 0

    def terminate(self) -> None:
        self._world.did(f"terminate {self.pid}")

    def freeze(self, others: Iterable[int] = ()) -> None:
        self._world.did(_but(f"freeze {self.pid}", others))
        if self.before_freeze:
            self.end(self.before_freeze)

    def kill(self, others: Iterable[int] = ()) -> None:
        self._world.did(_but(f"kill {self.pid}", others))
        if self.mortal:  # the kernel tells of it a moment later
            self._world.at(self._world.time, lambda: self.end(KILLED))

    def poll_exit(
        self, others: Iterable[int] = (), seen: Callable[[Exit], None] = lambda _: None
    ) -> Exit | None:
        if self._over or self._exit is None:
            return None
        if not self._noticed:
            self._noticed = True
            self.seconds, self.usage = (
                self._world.time - self.started,
                Usage(cpu_seconds=0.25, max_rss_mib=12.5),
            )
            seen(self._exit)
        self._world.did(_but(f"sweep {self.pid}", others))
        if self.leaves:
            return None
        self._over = True
        return self._exit


def _but(what: str, others: Iterable[int]) -> str:
    left = " ".join(map(str, others))
    return f"{what} but {left}" if left else what
