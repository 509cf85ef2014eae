"""Several messages in one dispatcher's hands: one runs, and the others are served meanwhile."""

from collections.abc import Sequence
from dataclasses import replace

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Exit, Settlement
from fleet.core.protocol import Denied, Held, Settled
from fleet.core.queue import Message, Trouble
from fleet.dispatcher.batch import BatchRunner
from tests.support.dispatcher_world import BAD, GOOD, MESSAGE, RETRY, World

FIFO = Rules(is_fifo=True)


def messages(count: int, *groups: str, attempt: int = 1) -> list[Message]:
    """`m0`, `m1` …; of these groups on a FIFO queue."""
    found = [replace(MESSAGE, id=f"m{number}", attempt=attempt) for number in range(count)]
    pairs = zip(found, groups, strict=False)
    return (
        [replace(each, system_attributes={"MessageGroupId": group}) for each, group in pairs]
        if groups
        else found
    )


def run(world: World, brought: Sequence[Message], rules: Rules | None = None) -> None:
    """Until all are settled. They came at second 0."""
    boards = [world.board, *(world.board.of(place) for place in range(1, len(brought)))]
    world.time = 1.0
    BatchRunner(world.context(rules), list(zip(brought, boards, strict=True)), 0.0).run()


def settlements(world: World) -> dict[int, Settlement]:
    """What became of each place."""
    return {
        report.place: report.settlement
        for report in world.inbox.said
        if isinstance(report, Settled)
    }


def test_they_run_one_after_another(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("job", "delete") == [
        "job m0 below 5",
        "delete m0",
        "job m1 below 5",
        "delete m1",
    ]
    assert settlements(world) == dict.fromkeys(range(2), Settlement.DELETE)
    assert not [report for report in world.inbox.said if isinstance(report, Held)]


def test_those_behind_a_delete_that_is_denied_go_back_unworked(world: World) -> None:
    """They would be done, and done again.

    One on its last attempt is kept: its release would dead-letter it.
    """
    world.queue.limit = 3
    world.queue.fails["delete"] = [Trouble.DENIED] * 9
    world.ends(3.0, GOOD, process=0)
    world.ends(30.0, GOOD, process=1)
    run(world, [*messages(2), replace(MESSAGE, id="last", attempt=3)])
    assert world.only("job", "release") == ["job m0 below 5", "release m1 0", "job last below 5"]
    assert settlements(world) == {0: Settlement.DELETE, 1: Settlement.RELEASE, 2: Settlement.DELETE}
    assert [report.place for report in world.inbox.said if isinstance(report, Denied)] == [0]


def test_each_writes_its_own_line_of_the_scoreboard(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("board") == [
        "board job_pid=11 job_started_at=1.0",
        "board exit=Exit(code=0, signal=None)",
        "board intent=deleted intent_delay=0",
        "board cleared deleted",
    ]
    assert world.only("board1") == [
        "board1 job_pid=12 job_started_at=3.0",
        "board1 exit=Exit(code=0, signal=None)",
        "board1 intent=deleted intent_delay=0",
        "board1 cleared deleted",
    ]


def test_those_behind_a_long_job_keep_their_leases(world: World) -> None:
    world.ends(30.0, GOOD, process=0)
    world.ends(31.0, GOOD, process=1)
    run(world, messages(2))
    done = world.only("extend", "job", "delete")
    assert [done[0], *done[-3:]] == ["job m0 below 5", "delete m0", "job m1 below 5", "delete m1"]
    assert sorted(done[1:-3]) == [*["extend m0 60"] * 2, *["extend m1 60"] * 2]


def test_a_stop_lets_those_go_that_have_not_begun(world: World) -> None:
    """Untouched, while the first one still has its time."""
    world.queue.limit = 5
    world.at(2.0, lambda: world.inbox.drains(40.0))
    world.ends(6.0, GOOD, process=0)
    run(world, messages(3))
    assert world.only("release", "delete", "job") == [
        "job m0 below 5",
        "release m1 0",
        "release m2 0",
        "delete m0",
    ]
    assert [each["why"] for each in world.told("message.released")] == [
        "it came too late to be worked on"
    ] * 2


def test_what_a_release_would_dead_letter_is_run_while_there_is_time(world: World) -> None:
    world.queue.limit = 1
    world.at(2.0, lambda: world.inbox.drains(40.0))
    world.ends(6.0, GOOD, process=0)
    run(world, messages(2))
    assert world.only("release", "delete", "job", "terminate", "kill") == [
        "job m0 below 5",
        "delete m0",
        "job m1 below 5",
        "terminate 12",
        "kill 12",
        "release m1 0",
    ]
    assert world.told("job.stopping")[0]["job_pid"] == 12
    assert world.told("job.stopped")[0]["duration"] == 66.0, (
        "40 s from the drain's word at 2, and 30 to die, since 6"
    )


def test_the_last_call_is_no_shorter_than_the_exit_timeout(world: World) -> None:
    world.queue.limit = 1
    world.at(2.0, lambda: world.inbox.drains(0.0))
    world.ends(3.0, Exit(signal=15), process=0)
    world.ends(31.9, GOOD, process=1)
    run(world, messages(2))
    assert world.only("release", "delete", "job") == [
        "job m0 below 5",
        "release m0 0",
        "job m1 below 5",
        "delete m1",
    ]


def test_a_later_word_never_makes_the_last_call_later(world: World) -> None:
    """A second signal, near the end of the first one's time: what began then would outlast the
    stop.
    """
    world.queue.limit = 1
    world.at(2.0, lambda: world.inbox.drains(40.0))
    world.at(41.0, lambda: world.inbox.drains(0.0))
    world.ends(43.0, Exit(signal=15), process=0)
    run(world, messages(2))
    assert world.only("release", "job") == ["job m0 below 5", "release m1 0", "release m0 0"]


def test_when_the_last_call_is_over_nothing_begins(world: World) -> None:
    world.queue.limit = 1
    world.at(2.0, lambda: world.inbox.drains(31.0))
    world.ends(34.0, Exit(signal=15), process=0)
    run(world, messages(2))
    assert world.only("release", "job") == ["job m0 below 5", "release m1 0", "release m0 0"]


def test_the_last_call_is_counted_from_the_word_whatever_the_first_one_does_then(
    world: World,
) -> None:
    """It is being stopped already, so it has no use for the word, and it dies late."""
    world.queue.limit = 1
    world.at(1.25, lambda: setattr(world.processes[0], "mortal", False))
    world.at(2.0, lambda: world.inbox.drains(0.0))
    world.at(33.0, lambda: world.did("33"))
    world.ends(34.0, Exit(signal=15), process=0)
    run(world, messages(2), Rules(Config(job_timeout=0.5)))
    assert world.only("terminate", "release", "job") == [
        "job m0 below 5",
        "terminate 11",
        "release m1 0",
    ]


def test_of_a_group_nothing_runs_before_one_that_goes_back(world: World) -> None:
    world.ends(3.0, Exit(code=75), process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, messages(3, "a", "a", "b"), FIFO)
    assert world.only("job", "delete") == ["job m0 below 5", "job m2 below 5", "delete m2"]
    assert sorted(world.only("release")) == ["release m0 0", "release m1 0"]
    assert world.told("message.released")[-1]["why"] == "a message of its group goes back before it"


def test_a_group_goes_on_behind_one_that_is_done(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, messages(2, "a", "a"), FIFO)
    assert world.only("job", "delete") == [
        "job m0 below 5",
        "delete m0",
        "job m1 below 5",
        "delete m1",
    ]


def test_on_a_standard_queue_there_are_no_groups(world: World) -> None:
    world.ends(3.0, BAD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, messages(2, "a", "a"))
    assert world.only("delete") == ["delete m1"]


def test_where_there_is_no_process_for_one_there_is_none_for_those_behind_it(world: World) -> None:
    """They go back as well, each once; the master is asked for leave once at a time, and told of
    each place.
    """
    world.scarce = 99
    run(world, messages(3))
    assert sorted(world.only("release")) == ["release m0 0", "release m1 0", "release m2 0"]
    assert settlements(world) == dict.fromkeys(range(3), Settlement.RELEASE)
    settled = [report for report in world.inbox.said if isinstance(report, Settled)]
    assert [report.starved for report in sorted(settled, key=lambda each: each.place)] == [
        True,
        False,
        False,
    ]
    asked = [index for index, report in enumerate(world.inbox.said) if isinstance(report, Held)]
    assert len(asked) == 2, "for the first, and then for the two behind it at once"


def test_one_that_waits_for_its_turn_does_not_take_the_masters_death_as_leave_to_go(
    world: World,
) -> None:
    """On its last attempt it is kept, and run."""
    world.queue.limit = 1
    world.inbox.deaf = True
    world.at(2.0, lambda: world.inbox.loses_its_master(40.0))
    world.ends(6.0, GOOD, process=0)
    world.ends(7.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("job", "delete", "release") == [
        "job m0 below 5",
        "delete m0",
        "job m1 below 5",
        "delete m1",
    ]


def test_one_that_is_let_go_by_an_orphan_hides_from_open_polls(world: World) -> None:
    world.queue.limit = 9
    world.inbox.deaf = True
    world.at(2.0, lambda: world.inbox.loses_its_master(40.0))
    world.ends(6.0, GOOD, process=0)
    run(world, messages(2))
    assert world.only("release") == ["release m1 11"]


def test_leave_of_an_earlier_message_is_not_leave_for_one_of_these(world: World) -> None:
    world.inbox.freed, world.inbox.deaf = True, True
    world.ends(3.0, RETRY, process=0)
    world.at(4.0, lambda: world.did("four"))
    world.at(5.0, lambda: setattr(world.inbox, "freed", True))
    world.ends(6.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("four", "release") == ["four", "release m0 0"]


def test_what_an_orphan_ran_goes_back_without_leave(world: World) -> None:
    """The first of them and a later one alike."""
    world.inbox.deaf = True
    world.queue.limit = 9
    world.ends(3.0, GOOD, process=0)
    world.at(3.5, lambda: world.inbox.loses_its_master(40.0))
    world.ends(4.0, RETRY, process=1)
    run(world, messages(2))
    assert world.only("delete", "release") == ["delete m0", "release m1 11"]


def test_the_first_that_an_orphan_ran_goes_back_without_leave(world: World) -> None:
    world.inbox.deaf = True
    world.queue.limit = 1
    world.at(2.0, lambda: world.inbox.loses_its_master(40.0))
    world.ends(3.0, RETRY, process=0)
    world.ends(4.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("delete", "release") == ["release m0 11", "delete m1"]


def test_a_later_one_of_a_group_holds_up_those_behind_it_too(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    world.ends(4.0, BAD, process=1)
    run(world, messages(3, "a", "a", "a"), FIFO)
    assert world.only("job") == ["job m0 below 5", "job m1 below 5"]
    assert world.only("release") == ["release m2 0"]
    assert settlements(world) == {0: Settlement.DELETE, 1: Settlement.LEAVE, 2: Settlement.RELEASE}


def test_a_stop_that_says_no_seconds_keeps_what_a_release_would_dead_letter(world: World) -> None:
    """SIGTERM came before the master's word."""
    world.queue.limit = 1
    world.at(2.0, lambda: setattr(world.inbox, "leaving", True))
    world.ends(3.0, GOOD, process=0)
    world.ends(4.0, GOOD, process=1)
    run(world, messages(2))
    assert world.only("delete", "release") == ["delete m0", "delete m1"]


def test_what_was_said_while_one_ended_counts_before_the_next_begins(world: World) -> None:
    world.queue.limit = 5
    world.ends(3.0, GOOD, process=0)
    world.at(3.0, lambda: world.inbox.drains(40.0))
    run(world, messages(2))
    assert world.only("job", "release") == ["job m0 below 5", "release m1 0"]


def test_those_that_go_back_are_waited_for(world: World) -> None:
    """The master may take his time."""
    world.inbox.deaf = True
    world.ends(3.0, RETRY, process=0)
    world.at(4.0, lambda: setattr(world.inbox, "freed", True))
    world.at(9.0, lambda: setattr(world.inbox, "freed", True))
    run(world, messages(2, "a", "a"), FIFO)
    assert world.only("release") == ["release m0 0", "release m1 0"]
    assert world.time == 9.0


def test_the_first_that_an_orphan_received_is_run(world: World) -> None:
    """Nobody is left who could want it back."""
    world.queue.limit = 9
    world.inbox.deaf = True
    world.inbox.loses_its_master(40.0)
    world.ends(3.0, GOOD, process=0)
    run(world, messages(2))
    assert world.only("job", "delete", "release") == [
        "release m1 11",
        "job m0 below 5",
        "delete m0",
    ]


def test_a_last_attempt_is_not_kept_behind_one_of_its_group_that_goes_back(world: World) -> None:
    world.queue.limit = 2
    world.at(2.0, lambda: world.inbox.drains(40.0))
    world.ends(6.0, GOOD, process=0)
    first, second, third = messages(3, "a", "a", "a")
    run(world, [first, second, replace(third, attempt=2)], FIFO)
    assert world.only("job", "delete") == ["job m0 below 5", "delete m0"]
    assert world.only("release") == ["release m1 0", "release m2 0"]


# What is not as it was sent.

WHY = "its body is not what was sent (MD5OfBody)"


def spoiled(brought: list[Message], *places: int) -> list[Message]:
    """The same messages, those unusable."""
    return [
        replace(each, unusable=WHY) if place in places else each
        for place, each in enumerate(brought)
    ]


def test_one_that_is_unusable_is_left_at_once_and_those_beside_it_run(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, spoiled(messages(3), 1))
    assert world.only("job", "delete") == [
        "job m0 below 5",
        "delete m0",
        "job m2 below 5",
        "delete m2",
    ]
    assert world.only("release", "extend", "say")[0] == "say Settled"
    assert settlements(world) == {1: Settlement.LEAVE, 0: Settlement.DELETE, 2: Settlement.DELETE}
    assert [(each["message_id"], each["why"]) for each in world.told("message.left")] == [
        ("m1", WHY)
    ]
    assert world.only("board1") == ["board1 cleared left"]


def test_the_first_may_be_unusable_and_all_may_be(world: World) -> None:
    world.ends(3.0, GOOD, process=0)
    run(world, spoiled(messages(3), 0, 2))
    assert world.only("job", "delete") == ["job m1 below 5", "delete m1"]
    run(world, spoiled(messages(2), 0, 1))
    assert world.only("job", "delete") == ["job m1 below 5", "delete m1"]


def test_of_its_group_only_those_behind_it_go_back(world: World) -> None:
    """The group is locked until its lease ends: those before it would come again, and not be alone
    then either.
    """
    world.ends(3.0, GOOD, process=0)
    world.ends(5.0, GOOD, process=1)
    run(world, spoiled(messages(4, "a", "a", "a", "b"), 1), FIFO)
    assert world.only("job", "delete", "release") == [
        "release m2 0",
        "job m0 below 5",
        "delete m0",
        "job m3 below 5",
        "delete m3",
    ]


def test_one_whose_group_cannot_be_read_holds_up_all_behind_it(world: World) -> None:
    brought = messages(3, "a", "b", "c")
    brought[1] = replace(brought[1], unusable=WHY, system_attributes={})
    world.ends(3.0, GOOD, process=0)
    run(world, brought, FIFO)
    assert world.only("job", "delete", "release") == ["release m2 0", "job m0 below 5", "delete m0"]


def test_when_the_first_of_a_group_is_unusable_nothing_may_run(world: World) -> None:
    run(world, spoiled(messages(2, "a", "a"), 0), FIFO)
    assert world.only("job", "delete", "release") == ["release m1 0"]
    assert settlements(world) == {0: Settlement.LEAVE, 1: Settlement.RELEASE}
