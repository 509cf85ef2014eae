"""What becomes of messages and processes when something goes wrong.

Eight workers have jobs of two seconds at work, and more messages wait. Then a fault; a program that
ends is started again at once, as a supervisor would do. The scenario is over when every message was
deleted, or a whole visibility timeout and some jobs later.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import psutil

from bench import proc
from bench.harness import Feed, Tree, started
from bench.peers.measures import await_begun, seconds_to_end
from bench.peers.records import Effort
from bench.peers.subjects import VISIBILITY
from bench.subjects import Subject

MESSAGES = 20
SLACK = 15.0  # seconds after the visibility timeout


@dataclass(frozen=True)
class Outcome:
    """How one subject came through one scenario; seconds are counted from the fault."""

    scenario: str
    subject: str
    not_done: int  # messages whose job has never ended
    lost: int  # of these, messages that are deleted
    twice: int  # messages whose job has ended more than once
    orphans: int  # processes that are left of a program that has ended, at the end
    hidden: float  # the longest that a message which was delivered again had been out of sight
    over: float | None  # until every message was deleted; None when the scenario ended before
    ended: float | None = None  # until the program ended by TERM


@dataclass
class World:
    """One subject in a scenario, with all programs that were started."""

    subject: Subject
    feed: Feed
    stack: ExitStack
    trees: list[Tree]

    def start(self) -> None:
        program = self.subject.program(self.feed.url, 8, "work")
        self.trees.append(self.stack.enter_context(started(program)))

    def lines(self, word: str) -> list[tuple[str, int, int]]:
        return [line for tree in self.trees for line in tree.lines(word)]


@contextmanager
def world(subject: Subject) -> Iterator[World]:
    """A program with eight jobs at work."""
    with subject.feed() as feed, ExitStack() as stack:
        feed.reset()
        feed.fill(MESSAGES)
        here = World(subject, feed, stack, [])
        here.start()
        await_begun(here.trees[0], 8)
        yield here


def killed_worker(here: World, _effort: Effort) -> float | None:
    """The process that runs a job gets SIGKILL."""
    os.kill(here.lines("begin")[0][2], signal.SIGKILL)
    return None


def killed_parent_of_job(here: World, _effort: Effort) -> float | None:
    """The parent of a process that runs a job gets SIGKILL, where that is not the first process."""
    os.kill(here.lines("parent")[0][2], signal.SIGKILL)
    return None


def killed_first(here: World, _effort: Effort) -> float | None:
    """The program's first process gets SIGKILL."""
    os.kill(here.trees[0].pid, signal.SIGKILL)
    here.trees[0].process.wait()
    return None


def term(here: World, _effort: Effort) -> float | None:
    """The program's first process gets SIGTERM, as in a deployment."""
    return seconds_to_end(here.trees[0])


def down(here: World, effort: Effort) -> float | None:
    """Nothing listens at the endpoint for a while."""
    here.feed.go_down(effort.down)
    return None


SCENARIOS: dict[str, Callable[[World, Effort], float | None]] = {
    "worker killed": killed_worker,
    "job's parent killed": killed_parent_of_job,
    "first process killed": killed_first,
    "TERM": term,
    "endpoint down": down,
}


def play(scenario: str, subject: Subject, effort: Effort) -> Outcome | None:
    """None when there is no such process in this subject."""
    with world(subject) as here:
        parent = here.lines("parent")[0][2]
        if scenario == "job's parent killed" and parent == here.trees[0].pid:
            return None
        fault = time.monotonic_ns()
        ended = SCENARIOS[scenario](here, effort)
        over = _watch(here, fault, effort)
        done = Counter(key for key, _, _ in here.lines("end"))
        messages = here.feed.messages()
        not_done = [number for number in range(MESSAGES) if str(number) not in done]
        return Outcome(
            scenario,
            subject.name,
            not_done=len(not_done),
            lost=sum(messages[number]["deleted"] > 0 for number in not_done),
            twice=sum(count > 1 for count in done.values()),
            orphans=sum(len(_orphans(tree)) for tree in here.trees),
            hidden=_longest_hidden(here, messages, fault),
            over=over,
            ended=ended,
        )


def _watch(here: World, fault: int, effort: Effort) -> float | None:
    """Start again what has ended, until every message is deleted; seconds since the fault."""
    limit = fault / 1e9 + effort.down + VISIBILITY + SLACK
    while time.monotonic() < limit:
        if here.trees[-1].process.poll() is not None:
            here.start()
        deleted = [int(message["deleted"]) for message in here.feed.messages()]
        if all(deleted):
            return (max(deleted) - fault) / 1e9
        time.sleep(0.1)
    return None


def _orphans(tree: Tree) -> set[int]:
    """What is left of a tree and is no descendant of its first process."""
    left = proc.processes(tree.directory)
    if tree.process.poll() is not None:
        return left
    first = psutil.Process(tree.pid)
    return left - {tree.pid} - {child.pid for child in first.children(recursive=True)}


def _longest_hidden(here: World, messages: Sequence[Mapping[str, Any]], fault: int) -> float:
    """Seconds between two deliveries of a message, from the fault on if that was between them.

    Where a feed does not know deliveries, the begin of the message's job counts.
    """
    gaps = [0.0]
    for number, message in enumerate(messages):
        begun = sorted(at for key, at, _ in here.lines("begin") if key == str(number))
        deliveries = message["deliveries"] or begun
        gaps += [
            (later - max(fault, earlier)) / 1e9
            for earlier, later in pairwise(deliveries)
            if later > fault
        ]
    return max(gaps)
