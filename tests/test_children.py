"""Deaths that are noticed one after another though they happened at once."""

from collections.abc import Callable
from typing import Any

import pytest

from fleet.children import Children, Mourned
from fleet.core.books import Role
from fleet.core.events import Died, Heard, SpawnFailed
from fleet.core.exits import Exit
from fleet.core.messages import Late, NotCounted, NotForked, Trying, Word
from fleet.core.slots import State
from fleet.system import processes, scoreboard
from fleet.system.channel import Channel
from fleet.system.processes import Death
from fleet.system.scoreboard import Record, Scoreboard

KILLED, DONE = Exit(signal=9), Exit(code=0)
OTHERS_JOB, NOBODYS = 55, 56


def test_a_job_is_swept_before_its_dispatchers_death_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its exit is kept until then: the work is done, and must not be given back. Nobody else's is kept."""
    found = [Death(OTHERS_JOB, DONE), Death(NOBODYS, DONE)]

    def sweep(_known: set[int], reaped: Callable[[Death], None], _ours: Any) -> list[int]:
        while found:
            reaped(found.pop())
        return []

    monkeypatch.setattr(processes, "sweep", sweep)
    board = Scoreboard(scoreboard.create())
    board.write(1, Record(State.WORKING, 201, job_pid=OTHERS_JOB, message_id="m", receipt_handle="h"))
    children = object.__new__(Children)  # not the real one's, which would make this process a subreaper
    children._helpers, children._asked, children._before, children._exits = {}, set(), frozenset(), {}
    children._board, children._widowed = board, False
    children._pids = {201: 1}
    children._mourned = [Mourned(0, KILLED, {})]
    assert [event.slot for event in children.swept() if isinstance(event, Died)] == [0]
    assert children._exits == {OTHERS_JOB: DONE}
    children._pids = {}
    children._mourned = [Mourned(1, KILLED, board.batch(1))]
    (news,) = children.swept()
    assert isinstance(news, Died)
    assert news.estate is not None
    assert news.estate.exit == DONE
    assert children._exits == {}


def test_a_dispatcher_that_is_ready_before_the_template_says_that_there_is_none() -> None:
    """Between the two forks the process that would have named it was killed."""
    children = object.__new__(Children)
    children._asked, children._introduced, children._pids = {0, 1}, set(), {}
    children._channels = dict.fromkeys((0, 1), object.__new__(Channel))
    children._introduced_itself(0, 201)
    said = [children._helper_said(Role.TEMPLATE, NotForked(slot, "the second fork failed")) for slot in (0, 1)]
    assert said == [[], [SpawnFailed(1, "the second fork failed")]]
    assert children._pids == {201: 0}
    assert children._asked == set()


@pytest.mark.parametrize("word", [Trying(), NotCounted("no answer"), Late("no answer", 3.0)])
def test_whatever_the_scout_says_is_a_sign_of_life(word: Word) -> None:
    assert object.__new__(Children)._helper_said(Role.SCOUT, word) == [Heard()]
