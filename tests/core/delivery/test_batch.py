"""Several messages of one receive: whose turn it is, and who goes back and why."""

from dataclasses import dataclass, field
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.delivery import LATE, NO_PROCESS, Rules
from fleet.core.delivery.batch import (
    BEFORE_IT,
    DENIED,
    Batch,
    BatchMessage,
    keeps_its_group,
    needs_limit,
    step_batch,
)
from fleet.core.delivery.batch_events import (
    AllowRelease,
    AskForReleases,
    BatchAction,
    BatchEvent,
    DeletesDenied,
    DrainHeard,
    MessageEnded,
    ReleasesAllowed,
    ReleaseWanted,
    RunMessage,
    SendBack,
    StopGoesOn,
    TurnFree,
)
from fleet.core.outcomes import Settlement

STANDARD, FIFO = Rules(), Rules(is_fifo=True)
DONE, BACK, LEFT = Settlement.DELETE, Settlement.RELEASE, Settlement.LEAVE


@dataclass
class BatchStory:
    """A batch and the rules it lives under."""

    batch: Batch
    rules: Rules = STANDARD
    asked: list[BatchAction] = field(default_factory=list)

    def happens(self, event: BatchEvent) -> list[BatchAction]:
        """One step; returns what the batch asked for."""
        self.batch, actions = step_batch(self.batch, event, self.rules)
        self.asked += actions
        return list(actions)

    def runs(self, place: int) -> None:
        """That message's turn comes."""
        assert self.happens(TurnFree(leaving=False)) == [RunMessage(place, inf)]


def batch_of(
    *groups: str, rules: Rules = STANDARD, attempts: tuple[int, ...] = (1,) * 10
) -> BatchStory:
    """One message of each group, by place."""
    pairs = enumerate(zip(groups, attempts, strict=False))
    return BatchStory(
        Batch(tuple(BatchMessage(place, attempt, group) for place, (group, attempt) in pairs)),
        rules,
    )


# Whose turn it is.


def test_they_run_in_the_order_of_the_receive() -> None:
    story = batch_of("", "", "")
    for place in range(3):
        story.runs(place)
        assert story.happens(MessageEnded(place, DONE)) == []
    assert story.happens(TurnFree(leaving=False)) == []
    assert story.batch == Batch(())


def test_one_that_goes_back_has_no_turn() -> None:
    story = batch_of("", "")
    story.happens(ReleaseWanted(0))
    story.runs(1)
    story.happens(MessageEnded(1, DONE))
    assert story.happens(TurnFree(leaving=False)) == []
    assert [each.place for each in story.batch.waiting] == [0]


# The pool stops.


def test_when_the_pool_stops_those_that_wait_go_back() -> None:
    story = batch_of("", "", "")
    story.runs(0)
    assert story.happens(StopGoesOn(2.0, limit=3)) == [SendBack(1, LATE), SendBack(2, LATE)]
    assert story.happens(StopGoesOn(3.0, limit=3)) == [], "each once"


def test_what_a_release_would_dead_letter_is_kept_and_shares_one_deadline() -> None:
    story = batch_of("", "", "", "", attempts=(3, 3, 1, 4))
    story.happens(DrainHeard(10.0, 40.0))
    assert story.happens(StopGoesOn(10.0, limit=3)) == [SendBack(2, LATE)]
    for place in (0, 1, 3):
        assert story.happens(TurnFree(leaving=True)) == [RunMessage(place, 50.0)]
        story.happens(MessageEnded(place, DONE))


def test_without_a_limit_nothing_is_kept() -> None:
    story = batch_of("", attempts=(99,))
    assert story.happens(StopGoesOn(1.0, limit=None)) == [SendBack(0, LATE)]


def test_a_kept_message_goes_back_when_the_last_call_is_over() -> None:
    story = batch_of("", attempts=(3,))
    story.happens(DrainHeard(10.0, 40.0))
    assert story.happens(StopGoesOn(49.9, limit=3)) == []
    assert story.happens(StopGoesOn(50.0, limit=3)) == [SendBack(0, LATE)]


@pytest.mark.parametrize(
    ("seconds", "last_call"), [(40.0, 50.0), (0.0, 40.0)], ids=["drain", "exit timeout"]
)
def test_the_last_call_is_no_shorter_than_the_exit_timeout(
    seconds: float, last_call: float
) -> None:
    story = batch_of("")
    story.happens(DrainHeard(10.0, seconds))
    assert story.batch.last_call == last_call


def test_a_later_word_never_makes_the_last_call_later() -> None:
    story = batch_of("")
    story.happens(DrainHeard(10.0, 40.0))
    story.happens(DrainHeard(49.0, 0.0))
    assert story.batch.last_call == 50.0


def test_a_stop_that_says_no_seconds_has_no_last_call() -> None:
    story = batch_of("", attempts=(3,))
    assert story.happens(StopGoesOn(1.0, limit=3)) == []
    assert story.happens(TurnFree(leaving=True)) == [RunMessage(0, inf)]


def test_the_limit_is_asked_for_only_if_something_depends_on_it() -> None:
    story = batch_of("", "", attempts=(3, 1))
    assert needs_limit(story.batch, 1.0)
    story.happens(DrainHeard(0.0, 40.0))
    assert not needs_limit(story.batch, 40.0), "the last call is over"
    story.happens(StopGoesOn(1.0, limit=3))
    assert not needs_limit(story.batch, 1.0), "one is kept, and one goes back"
    assert not needs_limit(Batch(()), 1.0)


# A denied delete, and a host without processes.


def test_behind_a_denied_delete_all_go_back_but_those_on_their_last_attempt() -> None:
    story = batch_of("", "", "", attempts=(1, 2, 3))
    story.runs(0)
    assert story.happens(DeletesDenied(limit=3)) == [SendBack(1, DENIED)]
    assert story.happens(DeletesDenied(limit=None)) == [SendBack(2, DENIED)]


def test_where_there_is_no_process_for_one_there_is_none_for_those_behind_it() -> None:
    story = batch_of("", "", "")
    story.runs(0)
    ended = MessageEnded(0, BACK, starved=True)
    assert story.happens(ended) == [SendBack(1, NO_PROCESS), SendBack(2, NO_PROCESS)]


# Groups.


@pytest.mark.parametrize("how", Settlement)
def test_what_is_gone_from_the_queue_holds_nobody_up(how: Settlement) -> None:
    assert keeps_its_group(how) == (how in (Settlement.DELETE, Settlement.DEAD_LETTER))


@pytest.mark.parametrize(
    ("groups", "first", "go_back"),
    [
        (("a", "a", "b"), DONE, []),
        (("a", "a", "b"), BACK, [1]),
        (("a", "a", "b"), LEFT, [1]),
        (("a", "b", "b"), LEFT, []),
        (("", "a", "b"), LEFT, [1, 2]),  # its group could not be read
        (("a", "", "b"), LEFT, []),
    ],
)
def test_of_a_group_nothing_runs_before_one_that_goes_back(
    groups: tuple[str, ...], first: Settlement, go_back: list[int]
) -> None:
    story = batch_of(*groups, rules=FIFO)
    story.runs(0)
    expected = [SendBack(place, BEFORE_IT) for place in go_back]
    assert story.happens(MessageEnded(0, first)) == expected
    story = batch_of(*groups, rules=STANDARD)
    story.runs(0)
    assert story.happens(MessageEnded(0, first)) == []


def test_only_those_behind_it_go_back() -> None:
    story = batch_of("a", "a", "a", rules=FIFO)
    assert story.happens(MessageEnded(1, LEFT)) == [SendBack(2, BEFORE_IT)]


def test_a_last_attempt_is_not_kept_behind_one_of_its_group_that_goes_back() -> None:
    story = batch_of("a", "a", "b", rules=FIFO, attempts=(1, 3, 3))
    back = [SendBack(0, LATE), SendBack(1, BEFORE_IT)]
    assert story.happens(StopGoesOn(1.0, limit=3)) == back


def test_without_a_process_the_first_of_each_group_says_so() -> None:
    story = batch_of("x", "a", "a", "b", rules=FIFO)
    story.runs(0)
    assert story.happens(MessageEnded(0, BACK, starved=True)) == [
        SendBack(1, NO_PROCESS),
        SendBack(2, BEFORE_IT),
        SendBack(3, NO_PROCESS),
    ]


# Leave to release.


def test_the_master_is_asked_once_and_its_answer_is_for_all_that_ask() -> None:
    story = batch_of("", "", "")
    story.runs(0)
    assert story.happens(ReleaseWanted(0)) == [AskForReleases()]
    assert story.happens(ReleaseWanted(2)) == []
    assert story.happens(ReleasesAllowed()) == [AllowRelease(0), AllowRelease(2)]
    assert story.happens(ReleaseWanted(1)) == [AskForReleases()]


def test_leave_is_not_given_to_those_that_have_not_asked() -> None:
    story = batch_of("", "")
    assert story.happens(ReleasesAllowed()) == []


# Whatever happens.

GROUPS = st.sampled_from(["a", "b", ""])
HAPPENINGS = st.sampled_from(["turn", "end", "stop", "drain", "denied", "allowed", "lost"])


@given(
    st.lists(st.tuples(GROUPS, st.integers(1, 3)), min_size=1, max_size=6),
    st.lists(st.tuples(HAPPENINGS, st.sampled_from(Settlement), st.booleans()), max_size=30),
    st.booleans(),
)
def test_nobody_is_run_and_released_and_groups_keep_their_order_and_it_ends(
    messages: list[tuple[str, int]],
    happenings: list[tuple[str, Settlement, bool]],
    fifo: bool,
) -> None:
    groups = [group for group, _ in messages]
    rules = FIFO if fifo else STANDARD
    story = batch_of(*groups, rules=rules, attempts=tuple(attempt for _, attempt in messages))
    world = BatchWorld(story, groups)
    for number, (what, settlement, flag) in enumerate(happenings):
        world.happens(what, settlement, float(number), flag)
    for number in range(3 * len(messages)):  # jobs end, and the master answers
        world.happens("end", Settlement.DELETE, 100.0 + number, False)
        world.happens("allowed", Settlement.DELETE, 100.0 + number, False)
        world.happens("turn", Settlement.DELETE, 100.0 + number, False)
    assert story.batch.waiting == ()
    assert story.batch.running is None
    assert world.ended == set(range(len(messages)))


class BatchWorld:
    """What a dispatcher does for a batch: it does what is asked for, and tells what came of it."""

    def __init__(self, story: BatchStory, groups: list[str]) -> None:
        self.story, self.groups = story, groups
        self.ended, self.back, self.unfinished = set[int](), set[int](), set[int]()
        self.leaving = False

    def happens(self, what: str, settlement: Settlement, now: float, flag: bool) -> None:
        running = self.story.batch.running
        match what:
            case "turn" if running is None:
                self.does(TurnFree(self.leaving))
            case "end" if running is not None:
                self.ends(running.place, settlement, starved=flag)
            case "lost" if waiting := self.story.batch.waiting:  # a lease, of one that waits
                self.ends(waiting[-1].place, Settlement.LEAVE, starved=False)
            case "drain":
                self.does(DrainHeard(now, 5.0))
            case "stop":
                self.leaving = True
                self.does(StopGoesOn(now, 3))
            case "denied":
                self.does(DeletesDenied(3))
            case "allowed":
                for action in self.does(ReleasesAllowed()):
                    assert isinstance(action, AllowRelease)
                    self.ends(action.place, Settlement.RELEASE, starved=False)

    def ends(self, place: int, settlement: Settlement, *, starved: bool) -> None:
        self.ended.add(place)
        if not keeps_its_group(settlement):
            self.unfinished.add(place)
        self.does(MessageEnded(place, settlement, starved))

    def does(self, event: BatchEvent) -> list[BatchAction]:
        actions = self.story.happens(event)
        for action in actions:
            match action:
                case RunMessage(place):
                    self.may_run(place)
                case SendBack(place):
                    assert place not in self.back | self.ended
                    running = self.story.batch.running
                    assert running is None or running.place != place
                    self.back.add(place)
                    self.does(ReleaseWanted(place))
        return actions

    def may_run(self, place: int) -> None:
        assert place not in self.back | self.ended
        if self.story.rules.is_fifo:
            before = {each for each in self.back | self.unfinished if each < place}
            assert not {each for each in before if self.groups[each] in (self.groups[place], "")}
