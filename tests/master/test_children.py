"""Deaths that are noticed one after another though they happened at once."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import pytest

from fleet.core.outcomes import Exit
from fleet.core.pool.events import Died, Ended, HelperSaid, Said
from fleet.core.pool.slot import State
from fleet.core.pool.state import Role
from fleet.core.protocol import (
    Forked,
    FromHelper,
    Grant,
    Late,
    NotForked,
    Ready,
    SampleFailed,
    Tell,
    Trying,
    Word,
)
from fleet.ipc import channel, scoreboard
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Record, Scoreboard
from fleet.master.children import Children, Mourned
from fleet.system import processes
from fleet.system.processes import Death

KILLED, DONE = Exit(signal=9), Exit(code=0)
OTHERS_JOB, NOBODYS = 55, 56


def test_a_job_is_swept_before_its_dispatchers_death_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its exit is kept until then: the work is done, and must not be given back. Nobody else's is
    kept.
    """
    found = [Death(OTHERS_JOB, DONE), Death(NOBODYS, DONE)]

    def sweep(
        _known: set[int], reaped: Callable[[Death], None], _ours: Any, _spared: Any
    ) -> list[int]:
        while found:
            reaped(found.pop())
        return []

    monkeypatch.setattr(processes, "sweep", sweep)
    board = Scoreboard(scoreboard.create())
    board.write(
        1, Record(State.WORKING, 201, job_pid=OTHERS_JOB, message_id="m", receipt_handle="h")
    )
    children = object.__new__(
        Children
    )  # not the real one's, which would make this process a subreaper
    children._helpers, children._asked, children._before, children._exits = (
        {},
        set(),
        frozenset(),
        {},
    )
    children._board, children._widowed = board, False
    children._spared, children._spares_until = set(), inf
    children._pids = {201: 1}
    children._mourned = [Mourned(0, KILLED, {})]
    assert [event.slot for event in children.swept() if isinstance(event, Died)] == [0]
    assert children._exits == {OTHERS_JOB: DONE}
    children._pids = {}
    children._mourned = [Mourned(1, KILLED, board.batch(1))]
    (news,) = children.swept()
    assert isinstance(news, Died)
    assert [orphan.exit for orphan in news.orphans] == [DONE]
    assert children._exits == {}


Asking = Callable[[set[int]], Children]


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    """The template was asked for dispatchers of slots 0 and 1; children of ours have the pids that
    are given.
    """
    ends = [channel.pair() for _ in (0, 1)]
    yield lambda pids: _asking(monkeypatch, pids, [ours for ours, _ in ends])
    for ours, theirs in ends:
        ours.close()
        theirs.close()


def _asking(monkeypatch: pytest.MonkeyPatch, pids: set[int], ends: list[Channel]) -> Children:
    monkeypatch.setattr(processes, "is_child", lambda pid: pid in pids)
    children = object.__new__(
        Children
    )  # not the real one's, which would make this process a subreaper
    children._asked, children._introduced, children._pids = {0, 1}, set(), {}
    children._helpers, children._before, children._unnamed = {}, frozenset({1}), {}
    children._distrusted, children._spared, children._has_trackers = set(), set(), None
    children._channels = dict(enumerate(ends))
    children._poll, children._sources, children._mourned = select.poll(), {}, []
    children._board = Scoreboard(scoreboard.create())
    return children


def test_a_dispatcher_that_is_ready_before_the_template_says_that_there_is_none(
    asking: Asking,
) -> None:
    """Between the two forks the process that would have named it was killed."""
    children = asking({201})
    children._introduced_itself(0, 201)
    said = [
        children._helper_said(Role.TEMPLATE, NotForked(slot, "the second fork failed"))
        for slot in (0, 1)
    ]
    assert said == [[], [HelperSaid(Role.TEMPLATE, NotForked(1, "the second fork failed"))]]
    assert children._pids == {201: 0}
    assert children._asked == set()


@pytest.mark.parametrize("word", [Trying(), SampleFailed("no answer"), Late("no answer", 3.0)])
def test_whatever_the_scout_says_is_a_sign_of_life(word: FromHelper) -> None:
    assert object.__new__(Children)._helper_said(Role.SCOUT, word) == [HelperSaid(Role.SCOUT, word)]


def test_a_dispatcher_that_was_dead_before_its_first_word_was_heard(asking: Asking) -> None:
    """Its death is not forgotten because it had no name yet."""
    children = asking(set())
    children._unnamed = {201: Death(201, KILLED)}
    assert children._taken_in(0, [Ready(201)]) == [Said(0, Ready(201)), Ended(0)]
    assert [(each.slot, each.exit) for each in children._mourned] == [(0, KILLED)]
    assert children._helper_said(Role.TEMPLATE, Forked(0, 201)) == []


@pytest.mark.parametrize("pid", [1, 0, -1, 202, 2**70, os.getppid()])
def test_a_pid_is_a_new_childs_or_no_pid(
    asking: Asking, monkeypatch: pytest.MonkeyPatch, pid: int
) -> None:
    """Whatever is told: it may be sent a SIGKILL one day."""
    children = asking({201, 202})
    assert children._taken_in(1, [Ready(202)]) == [Said(1, Ready(202))]
    assert children._taken_in(0, [Ready(pid)]) == []
    assert children._distrusted == {0}
    monkeypatch.undo()
    assert not processes.is_child(pid) or pid == os.getpid()
    assert children._pids == {202: 1}


@pytest.mark.parametrize(
    "word", [Forked(0, 1), Forked(1, 202), Forked(0, 202), Forked(0, 999), Grant(), Ready(1)]
)
def test_a_template_that_names_what_cannot_be_is_killed(
    asking: Asking, helper_killed: list[Role], word: Word
) -> None:
    children = asking({201, 202})
    children._taken_in(1, [Ready(202)])
    children._introduced.clear()
    assert children._taken_in(Role.TEMPLATE, [word, Forked(0, 201)]) == []
    assert helper_killed == [Role.TEMPLATE]
    assert children._pids == {202: 1}


@pytest.mark.parametrize(
    "word", [Tell("no.event", {}), Tell("poll.failed", {}), Tell("poll.failed", {"event": 1})]
)
def test_what_a_dispatcher_has_told_must_be_tellable(asking: Asking, word: Word) -> None:
    children = asking({201})
    assert children._taken_in(0, [word]) == []
    assert children._distrusted == {0}


def test_one_that_said_too_much_is_killed_as_soon_as_it_has_a_name(
    asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(processes, "kill", lambda pid, number: killed.append((pid, number)))
    children = asking({201})
    assert children._taken_in(0, [Grant()]) == []
    assert killed == []
    assert children._helper_said(Role.TEMPLATE, Forked(0, 201)) == [
        HelperSaid(Role.TEMPLATE, Forked(0, 201))
    ]
    assert killed == [(201, signal.SIGKILL)]


@pytest.fixture
def helper_killed(monkeypatch: pytest.MonkeyPatch) -> list[Role]:
    """Those that were sent a SIGKILL."""
    killed: list[Role] = []
    monkeypatch.setattr(Children, "kill_helper", lambda _, role: killed.append(role))
    return killed
