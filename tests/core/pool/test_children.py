"""What the master knows of its children: births and deaths that are told in any order."""

from collections.abc import Iterable
from dataclasses import replace
from math import inf

import pytest

from fleet.core.depth import Depth
from fleet.core.exit_codes import APP_UNUSABLE, CUT_OFF
from fleet.core.outcomes import Exit
from fleet.core.pool import births, children, reaping
from fleet.core.pool.children import (
    ChildEffect,
    Children,
    HangUp,
    HearLast,
    KillChild,
    KillJobs,
    Mute,
    PendingDeath,
    Source,
    source_of,
)
from fleet.core.pool.effects import Log
from fleet.core.pool.events import DispatcherSaid, Ended, Event, HelperDied, HelperSaid, Tick
from fleet.core.pool.state import Role
from fleet.core.protocol import Empty, Failed, Forked, Grant, Imported, NotForked, Ready, Word
from fleet.core.scout_protocol import DeleteTried, Sampled, SampleFailed, Served, Trying

TEMPLATE_PID, SCOUT_PID, OLD_PID = 101, 102, 1
KILLED, DONE = Exit(signal=9), Exit(code=0)
NAMED, READY = Forked(0, 201), Ready(201)
TOLD_NAME, TOLD_READY = HelperSaid(Role.TEMPLATE, NAMED), DispatcherSaid(0, READY)


class Host:
    """A master with both helpers, whose template was asked for dispatchers of slots 0 and 1.

    The children that there are have the pids in `pids`.
    """

    def __init__(self, pids: Iterable[int] = (201, 202)) -> None:
        self.pids = set(pids)
        self.known = Children("work:job", others=frozenset({OLD_PID}))
        self.known = births.add_helper(self.known, Role.TEMPLATE, TEMPLATE_PID)
        self.known = births.add_helper(self.known, Role.SCOUT, SCOUT_PID)
        for slot in (0, 1):
            self.known = births.ask_for_dispatcher(self.known, slot)
        self.effects: list[ChildEffect] = []

    def hear(self, source: Source, word: Word) -> list[Event]:
        update = births.hear(self.known, source, word, self.pids.__contains__)
        self.known = update.children
        self.effects += update.effects
        return list(update.events)

    def reap(self, pid: int, how: Exit = KILLED) -> list[Event]:
        update = reaping.reap(self.known, pid, how, "SIGKILL")
        self.known = update.children
        self.effects += update.effects
        self.pids.discard(pid)
        return list(update.events)

    def sweep(
        self, left: Iterable[int] = (), *, trackers: bool = False, now: float = 0.0
    ) -> list[int]:
        """The slots whose deaths are news."""
        assert self.known.may_sweep
        self.known, news = reaping.end_sweep(
            self.known, list(left), only_trackers=trackers, now=now, grace=2.0
        )
        return [death.slot for death in news]

    def may_sweep(self) -> bool:
        """Asked anew each time: a type checker would take it for unchanged."""
        return self.known.may_sweep

    def killed(self) -> list[int]:
        return [effect.pid for effect in self.effects if isinstance(effect, KillChild)]


# Births.


BIRTHS: dict[str, tuple[list[Word | Exit], list[Event]]] = {
    "name, introduction": ([NAMED, READY], [TOLD_NAME, TOLD_READY]),
    "introduction, name": ([READY, NAMED], [TOLD_READY]),
    "name, death": ([NAMED, KILLED], [TOLD_NAME, Ended(0)]),
    "death, name": ([KILLED, NAMED], [TOLD_NAME, Ended(0)]),
    "death, introduction, name": ([KILLED, READY, NAMED], [TOLD_READY, Ended(0)]),
    "death, name, introduction": ([KILLED, NAMED, READY], [TOLD_NAME, Ended(0), TOLD_READY]),
    "introduction, death, name": ([READY, KILLED, NAMED], [TOLD_READY, Ended(0)]),
    "name, introduction, death": ([NAMED, READY, KILLED], [TOLD_NAME, TOLD_READY, Ended(0)]),
}


@pytest.mark.parametrize("told", BIRTHS)
def test_a_birth_and_a_death_are_told_in_any_order(told: str) -> None:
    """Whatever the order, the birth is news once, and the death after it."""
    facts, expected = BIRTHS[told]
    host = Host()
    happened: list[Event] = []
    for fact in facts:
        match fact:
            case Exit():
                happened += host.reap(201, fact)
            case Forked():
                happened += host.hear(Role.TEMPLATE, fact)
            case _:
                happened += host.hear(0, fact)
    assert happened == expected
    assert host.known.asked == {1}
    assert not host.known.introduced
    assert not host.known.unnamed
    is_dead = KILLED in facts
    assert host.known.dispatchers == ({} if is_dead else {201: 0})
    assert host.known.pending == ((PendingDeath(0, 201, KILLED),) if is_dead else ())
    assert host.effects == ([KillJobs(0), HearLast(0), HangUp(0)] if is_dead else [])
    assert host.known.pids == {0: 201}


def test_one_that_was_given_up_meanwhile_is_nobody_of_ours() -> None:
    host = Host()
    host.known = births.forget_slot(host.known, 0)
    assert host.hear(Role.TEMPLATE, NAMED) == []
    assert host.known.dispatchers == {}
    assert host.known.asked == {1}
    assert host.effects == []


def test_the_death_of_one_that_was_given_up_is_forgotten_with_its_name() -> None:
    host = Host()
    host.known = births.forget_slot(host.known, 0)
    assert host.reap(201) == []
    assert host.hear(Role.TEMPLATE, NAMED) == []
    assert host.known.unnamed == {}


def test_a_dispatcher_that_is_ready_before_the_template_says_that_there_is_none() -> None:
    """Between the two forks the process that would have named it was killed."""
    host = Host()
    host.hear(0, READY)
    said = [host.hear(Role.TEMPLATE, NotForked(slot, "no process")) for slot in (0, 1)]
    assert said == [[], [HelperSaid(Role.TEMPLATE, NotForked(1, "no process"))]]
    assert host.known.dispatchers == {201: 0}
    assert host.known.asked == set()


def test_the_next_dispatcher_of_a_slot_is_asked_for_anew() -> None:
    host = Host()
    host.hear(0, READY)
    host.hear(Role.TEMPLATE, NAMED)
    host.reap(201)
    assert host.known.asked == {1}
    host.known = births.ask_for_dispatcher(host.known, 0)
    assert host.known.asked == {0, 1}


def test_what_the_template_was_asked_for_dies_with_it() -> None:
    host = Host()
    host.hear(0, READY)
    host.reap(202)
    assert host.known.unnamed == {202: KILLED}
    assert host.reap(TEMPLATE_PID) == [HelperDied(Role.TEMPLATE, "SIGKILL")]
    host.known = reaping.end_reaping(host.known)
    assert host.known.asked == host.known.introduced == set()
    assert host.known.unnamed == {}
    assert host.known.dispatchers == {201: 0}
    assert host.known.helpers == {Role.SCOUT: SCOUT_PID}
    assert host.effects == [HangUp(Role.TEMPLATE)]
    assert host.may_sweep()


def test_an_import_that_closes_what_is_not_its_own_is_told_as_the_apps_fault() -> None:
    failed, died = Host().reap(TEMPLATE_PID, Exit(code=CUT_OFF))
    assert isinstance(failed, HelperSaid)
    assert isinstance(failed.word, Failed)
    assert failed.word.code == APP_UNUSABLE
    assert "work:job" in failed.word.why
    assert died == HelperDied(Role.TEMPLATE, "SIGKILL")


# What cannot be.


@pytest.mark.parametrize("queue", [-1, 1, 2**70])
@pytest.mark.parametrize(
    "word", [Sampled(0, Depth(1, 0)), SampleFailed("no"), DeleteTried(denied=False)], ids=repr
)
def test_a_scout_that_names_a_queue_that_there_is_not_is_killed(
    word: Sampled | SampleFailed | DeleteTried, queue: int
) -> None:
    host = Host()
    assert host.hear(Role.SCOUT, word) == [HelperSaid(Role.SCOUT, word)]
    assert host.hear(Role.SCOUT, replace(word, queue=queue)) == []
    assert host.killed() == [SCOUT_PID]
    (log,) = (each for each in host.effects if isinstance(each, Log))
    told = f"it said what cannot be: the scout's {type(word).__name__} about queue {queue}"
    assert log.fields["why"] == told


@pytest.mark.parametrize("pid", [OLD_PID, TEMPLATE_PID, 202, 0, -1, 2**70, 999])
def test_a_pid_is_a_new_childs_or_no_pid(pid: int) -> None:
    """Whatever is told: it may be sent a SIGKILL one day."""
    host = Host()
    assert host.hear(1, Ready(202)) == [DispatcherSaid(1, Ready(202))]
    assert host.hear(0, Ready(pid)) == []
    assert host.known.distrusted == {0}
    assert host.known.dispatchers == {202: 1}
    assert host.killed() == []


@pytest.mark.parametrize(
    "word",
    [
        Forked(0, OLD_PID),
        Forked(1, 202),
        Forked(1, 203),
        Forked(0, 202),
        Forked(0, 999),
        Grant(),
        Ready(1),
        Trying(),
    ],
    ids=repr,
)
def test_a_template_that_says_what_cannot_be_is_killed(word: Word) -> None:
    host = Host([201, 202, 203])
    host.hear(1, Ready(202))
    host.known = replace(host.known, introduced=frozenset())
    assert host.hear(Role.TEMPLATE, word) == []
    assert host.killed() == [TEMPLATE_PID]
    assert host.known.distrusted == {Role.TEMPLATE}
    assert host.known.dispatchers == {202: 1}
    log, _, mute = host.effects
    assert isinstance(log, Log)
    assert log.event == "helper.failed"
    assert mute == Mute(Role.TEMPLATE)


def test_a_scout_that_speaks_for_the_template_is_killed() -> None:
    host = Host()
    assert host.hear(Role.SCOUT, Imported(0.1, [])) == []
    assert host.hear(Role.SCOUT, NAMED) == []
    assert host.killed() == [SCOUT_PID]  # once


def test_a_dispatcher_that_says_what_is_not_its_own_is_killed() -> None:
    host = Host()
    host.hear(0, READY)
    assert host.hear(0, Trying()) == []
    assert host.killed() == [201]
    log, kill, mute = host.effects
    assert isinstance(log, Log)
    assert (log.event, log.fields["slot"]) == ("dispatcher.failed", 0)
    assert (kill, mute) == (KillChild(201), Mute(0))


def test_one_that_said_too_much_is_killed_as_soon_as_it_has_a_name() -> None:
    host = Host()
    assert host.hear(0, Grant()) == []
    assert host.killed() == []
    assert host.hear(Role.TEMPLATE, NAMED) == [TOLD_NAME]
    assert host.killed() == [201]


def test_one_that_is_dead_when_it_is_named_is_not_killed() -> None:
    """Its pid may be somebody else's by now."""
    host = Host()
    host.hear(0, Grant())
    host.reap(201)
    assert host.hear(Role.TEMPLATE, NAMED) == [TOLD_NAME, Ended(0)]
    assert host.killed() == []


def test_distrust_ends_with_whom_it_was_about() -> None:
    host = Host()
    host.hear(0, Grant())
    host.hear(Role.SCOUT, NAMED)
    host.known = births.forget_slot(host.known, 0)
    host.known = births.add_helper(host.known, Role.SCOUT, 103)
    assert host.known.distrusted == set()


def test_the_reason_for_distrust_is_short_enough_for_the_log() -> None:
    update = children.distrust(Children(), 0, "x" * 10_000)
    log = update.effects[0]
    assert isinstance(log, Log)
    assert len(log.fields["error"]) == children.MOST_WHY


def test_whose_word_an_event_is() -> None:
    assert source_of(TOLD_READY) == 0
    assert source_of(TOLD_NAME) is Role.TEMPLATE
    assert source_of(Tick()) is None


# Deaths and sweeps.


def dead(*, slot: int = 0) -> Host:
    """Both dispatchers were there, and the one of that slot has ended."""
    host = Host()
    for each, pid in ((0, 201), (1, 202)):
        host.hear(each, Ready(pid))
        host.hear(Role.TEMPLATE, Forked(each, pid))
    host.reap(201 + slot)
    return host


def test_a_death_is_news_when_nothing_is_alive_that_the_dead_have_left() -> None:
    host = dead()
    assert host.known.kept == {202, TEMPLATE_PID, SCOUT_PID, OLD_PID}
    assert host.sweep(left=[301]) == []
    assert host.may_sweep()
    assert host.sweep() == [0]
    assert not host.may_sweep()
    assert host.known.pids == {1: 202}


def test_an_answer_that_the_template_owes_holds_up_every_sweep() -> None:
    """The dispatcher that it may have forked would pass for a stranger."""
    host = dead()
    host.known = births.ask_for_dispatcher(host.known, 2)
    assert not host.may_sweep()
    host.hear(Role.TEMPLATE, NotForked(2, "no process"))
    assert host.sweep() == [0]


def test_a_helpers_death_needs_a_sweep_and_is_news_at_once() -> None:
    host = dead()
    host.sweep()
    assert host.reap(SCOUT_PID) == [HelperDied(Role.SCOUT, "SIGKILL")]
    assert host.may_sweep()
    assert host.sweep() == []
    assert not host.may_sweep()


def test_resource_trackers_are_waited_for_a_while_and_then_spared() -> None:
    host = dead()
    assert host.sweep(left=[301], trackers=True, now=10.0) == []
    assert host.known.spared_at == 12.0
    assert host.sweep(left=[301], trackers=True, now=11.9) == []
    assert host.sweep(left=[301], trackers=True, now=12.0) == [0]
    assert host.known.spared_at == inf
    assert 301 in host.known.kept
    host.reap(301)
    assert 301 not in host.known.kept


def test_whatever_else_is_alive_is_waited_for() -> None:
    host = dead()
    assert host.sweep(left=[301], trackers=True, now=10.0) == []
    assert host.sweep(left=[301, 302], trackers=False, now=100.0) == []


def test_a_restarted_embedded_server_is_not_ours_to_end() -> None:
    host = dead()
    host.hear(Role.SCOUT, Served(401))
    assert 401 in host.known.kept
    host.reap(401)
    assert 401 not in host.known.kept


def test_exits_of_jobs_are_kept_while_somebody_may_ask_for_them() -> None:
    host = dead()
    host.known = reaping.note_strangers(host.known, {55: DONE, 56: DONE})
    host.sweep()
    host.known = reaping.keep_exits(host.known, {55, 57})
    assert host.known.exits == {55: DONE}


def test_exits_of_strangers_do_not_pile_up() -> None:
    """Process 1 of a container reaps everybody's orphans."""
    strangers = {1000 + number: DONE for number in range(reaping.MOST_EXITS + 1)}
    host = dead()
    host.known = reaping.note_strangers(host.known, strangers)
    assert reaping.end_reaping(host.known).exits == strangers  # a death is pending
    host.sweep()
    assert reaping.end_reaping(host.known).exits == {}


def test_what_a_dead_dispatcher_has_still_said_is_news_of_its_own() -> None:
    host = dead()
    assert host.hear(0, Empty(1.0)) == [DispatcherSaid(0, Empty(1.0))]
    assert host.hear(0, READY) == [TOLD_READY]
    assert host.known.dispatchers == {202: 1}


def test_a_dispatcher_that_is_dropped_is_no_news() -> None:
    host = dead()
    host.known = reaping.drop_dispatcher(host.known, 202)
    assert host.known.dispatchers == {}
    assert [death.slot for death in host.known.pending] == [0]
