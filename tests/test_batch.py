"""Several messages in one dispatcher, with ears and a board that a test holds."""

import errno
import select
from dataclasses import dataclass, field
from typing import Any

from fleet.batch import Batch
from fleet.core.delivery import Rules
from fleet.core.exits import Settlement
from fleet.core.messages import Held, Plan, Report, Settled
from fleet.core.queue import Message
from fleet.system.clock import now
from fleet.system.memory import OomKills
from fleet.system.slip import Slip
from fleet.workbench import Act, Bench, Living


@dataclass
class Ears:
    """A master who answers each Held at the next wait."""

    poll: select.poll = field(default_factory=select.poll)
    freed: bool = False
    drain: float | None = None
    leaving: bool = False
    orphan: bool = False
    blind: bool = False
    said: list[Report] = field(default_factory=list)
    held: bool = False

    def say(self, report: Report) -> None:
        self.said.append(report)
        self.held = self.held or isinstance(report, Held)

    def wait(self, _until: float) -> None:
        self.freed, self.held = self.held, False


class Board:
    """Where nobody looks."""

    pid = 1

    def note(self, **_: object) -> None:
        """Nothing is written."""

    def clear(self, settled: str = "") -> None:
        """Nothing is written."""

    def title(self, what: str) -> None:
        """Nobody sees it."""


@dataclass
class Queue:
    """Releases, by message."""

    released: list[str] = field(default_factory=list)

    def release(self, message: Message, delay: int = 0) -> None:
        self.released.append(f"{message.id} in {delay}")


def nothing_to_be_had(_: Act) -> Living:
    raise OSError(errno.EAGAIN, "no process")


def work(_message: Message, _slip: Slip) -> Any:
    return None


def test_where_there_is_no_process_for_one_there_is_none_for_those_behind_it() -> None:
    """They go back as well, each once; the master is asked for leave once at a time, and told of each place."""
    ears, queue = Ears(), Queue()
    plan = Plan("a:b", "name", "jobs", 1)
    parts: Any = (plan, Rules(), 0, queue, lambda: None, work, nothing_to_be_had, ears, Board(), Slip(), OomKills())
    messages = [Message(f"m{number}", f"h{number}", "") for number in range(3)]
    Batch(Bench(*parts), [(message, Board()) for message in messages], now()).run()
    assert sorted(queue.released) == ["m0 in 0", "m1 in 0", "m2 in 0"]
    settled = [report for report in ears.said if isinstance(report, Settled)]
    assert {report.place: report.settlement for report in settled} == dict.fromkeys(range(3), Settlement.RELEASE)
    assert [report.starved for report in sorted(settled, key=lambda each: each.place)] == [True, False, False]
    asked = [index for index, report in enumerate(ears.said) if isinstance(report, Held)]
    assert len(asked) == 2, "for the first, and then for the two behind it at once"
