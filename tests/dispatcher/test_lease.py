"""The lease of a message whose job takes its time."""

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Settlement
from fleet.core.protocol import Healed, LeaseLost, Troubled
from fleet.core.queue import Trouble
from tests.dispatcher.conftest import run
from tests.support.dispatcher_world import GOOD, RETRY, WITH_HANDLER, World


def test_the_lease_is_extended_every_third(world: World) -> None:
    """The first one is 20 seconds from the receive call, the others are --visibility."""
    world.ends(70.0, GOOD)
    run(world)
    assert asked_at(world) == pytest.approx([20 / 3, 20 / 3 + 20, 20 / 3 + 40, 20 / 3 + 60])
    assert world.only("extend") == ["extend message-1 60"] * 4


def asked_at(world: World) -> list[float]:
    """When an extend was confirmed that took no time."""
    return [
        float(each.split("=")[1].split()[0]) - 60
        for each in world.only("board")
        if "lease_until" in each
    ]


def test_a_beat_comes_before_the_extend_and_the_new_lease_after_it(world: World) -> None:
    """The scoreboard's lease counts from before the call."""
    world.queue.takes = 2.0
    world.ends(12.0, GOOD)
    run(world)
    first = world.record.index("extend message-1 60")
    assert world.record[first - 1] == "board"
    assert world.record[first + 1] == f"board lease_until={20 / 3 + 60} lease=60"
    assert world.record[first + 2 : first + 4] == [
        "log lease.extended",
        f"title job message- {20 / 3 + 2 - 1:.0f}s",
    ]
    assert world.told("lease.extended")[0]["seconds"] == 60


def test_an_answer_after_the_end_of_the_lease_is_not_believed(world: World) -> None:
    """Somebody else may have the message by then."""
    world.queue.takes = 15.0
    world.ends(30.0, GOOD)
    delivery = run(world)
    assert delivery.lost
    assert not [each for each in world.only("board") if "lease_until" in each]
    assert world.only("log")[1:3] == ["log lease.extended", "log lease.lost"]
    assert world.settled.lease_lost


def test_an_answer_at_the_last_moment_of_the_lease_is_too_late(world: World) -> None:
    world.queue.takes = 20 - 20 / 3
    world.ends(30.0, GOOD)
    assert run(world).lost
    assert not [each for each in world.only("board") if "lease_until" in each]


def test_a_failed_extend_is_told_and_tried_again(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING, None]
    world.ends(12.0, GOOD)
    run(world)
    assert world.only("extend") == ["extend message-1 60"] * 2
    (told,) = world.told("lease.failed")
    assert told["error"] == "extend went wrong"
    assert told["left"] == pytest.approx(20 - 20 / 3)
    assert world.renewed == 0
    assert not world.settled.lease_lost


@pytest.mark.parametrize("trouble", [Trouble.MESSAGE, Trouble.GONE])
def test_an_extend_that_can_never_succeed_is_tried_once(world: World, trouble: Trouble) -> None:
    """The lease is what it is then; that nothing is extended any more is no hang."""
    world.queue.fails["extend"] = [trouble]
    world.ends(30.0, GOOD)
    run(world)
    assert world.only("extend") == ["extend message-1 60"]
    assert len(world.told("lease.failed")) == 1
    assert world.record[world.record.index("log lease.failed") + 1] == "board lease=0"
    assert world.told("lease.lost")[0]["then"] == "; the job runs on"
    assert world.settled.lease_lost


def test_one_that_is_denied_is_tried_again(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.DENIED]
    world.ends(12.0, GOOD)
    run(world)
    assert world.only("extend") == ["extend message-1 60"] * 2


def test_credentials_that_have_expired_are_looked_for_again(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.SESSION]
    world.ends(9.0, GOOD)
    run(world)
    assert world.renewed == 1


def test_a_job_that_somebody_has_stopped_is_not_extended_in_silence(world: World) -> None:
    world.frozen_by_somebody = {11}
    world.ends(8.0, GOOD)
    run(world)
    assert [each["job_pid"] for each in world.told("job.frozen")] == [11]


def test_one_that_runs_is_not_called_stopped(world: World) -> None:
    world.ends(8.0, GOOD)
    run(world)
    assert not world.told("job.frozen")


def test_one_that_we_stopped_ourselves_is_not_called_stopped_by_somebody(world: World) -> None:
    world.frozen_by_somebody = {11}
    world.at(2.0, lambda: world.inbox.drains(0.0))
    world.ends(8.0, GOOD, process=1)  # the exit handler
    run(world, WITH_HANDLER)
    assert world.only("extend")
    assert not world.told("job.frozen")


def test_a_lost_lease_is_told_once(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 99
    world.ends(300.0, GOOD)
    delivery = run(world)
    (told,) = world.told("lease.lost")
    assert told["then"] == "; the job runs on"
    assert world.record[world.record.index("log lease.lost") - 1] == "board lease=0", (
        "else its silence were a hang"
    )
    assert delivery.settlement is Settlement.DELETE, (
        "the work is done, whoever else has the message"
    )


def test_near_the_limit_of_12_hours_the_scoreboard_expects_no_extend(world: World) -> None:
    """Else the master would take the silence for a hang."""
    world.ends(43_195.0, GOOD)
    run(world, Rules(Config(visibility_timeout=1800.0)))
    where = world.record.index("log lease.limit")
    assert world.record[where - 1] == "board lease=0"
    assert 0 < world.told("lease.limit")[0]["left"] <= 1800


# What lingers.


def test_a_job_that_leaves_something_unkillable_has_not_ended(world: World) -> None:
    """Its message is kept; that is said once, and not before it has had a second to die."""
    world.at(2.0, lambda: setattr(world.processes[0], "leaves", True))
    world.ends(3.0, GOOD)
    world.at(3.5, lambda: world.did("half a second"))
    world.at(30.0, lambda: world.processes[0].let_go())
    run(world)
    assert world.only("half", "log", "extend", "delete") == [
        "log job.started",
        "half a second",
        "log job.lingers",
        "extend message-1 60",
        "log lease.extended",
        "extend message-1 60",
        "log lease.extended",
        "delete message-1",
        "log job.succeeded",
        "log message.deleted",
    ]
    assert (world.told("job.lingers")[0]["job_pid"], world.told("job.lingers")[0]["left"]) == (
        11,
        99,
    )
    assert world.settled.job_seconds == 2.0, "the job's own time"


def test_what_only_takes_its_time_to_die_is_not_worth_a_word(world: World) -> None:
    world.at(2.0, lambda: setattr(world.processes[0], "leaves", True))
    world.ends(3.0, GOOD)
    world.at(3.9, lambda: world.processes[0].let_go())
    run(world)
    assert not world.told("job.lingers")
    assert world.settled.settlement is Settlement.DELETE


def test_one_that_lingered_only_for_a_moment_wakes_nobody_later(world: World) -> None:
    """Its message is held for a long time then."""
    world.inbox.deaf = True
    world.at(2.0, lambda: setattr(world.processes[0], "leaves", True))
    world.ends(3.0, RETRY)
    world.at(3.5, lambda: world.processes[0].let_go())
    world.at(30.0, lambda: setattr(world.inbox, "freed", True))
    run(world)
    assert not world.told("job.lingers")
    assert world.only("release") == ["release message-1 0"]


def test_the_second_to_die_is_waited_for_exactly(world: World) -> None:
    world.at(2.0, lambda: setattr(world.processes[0], "leaves", True))
    world.ends(3.0, GOOD)
    world.at(3.0, lambda: None)
    world.at(4.25, lambda: world.did("a second and a quarter"))
    world.at(5.0, lambda: world.processes[0].let_go())
    run(world)
    assert world.only("log", "a")[1:3] == ["log job.lingers", "a second and a quarter"]


def test_a_job_that_is_stopped_with_its_lease_is_not_said_to_run_on(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 50
    run(world, rules=Rules(Config(on_lease_lost="kill")))
    (told,) = world.told("lease.lost")
    assert told["then"] == ""


def of_trouble(world: World) -> list[object]:
    """What the master is told of how the queue answers."""
    return [each for each in world.inbox.said if isinstance(each, Troubled | Healed | LeaseLost)]


def test_the_master_is_told_of_trouble_once_and_of_its_end(world: World) -> None:
    world.queue.fails["extend"] = [
        Trouble.PASSING,
        Trouble.SESSION,
        None,
        None,
        Trouble.PASSING,
        None,
    ]
    world.ends(90.0, GOOD)
    run(world)
    assert of_trouble(world) == [Troubled("extend went wrong"), Healed()] * 2


def test_the_master_is_told_which_leases_it_costs(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 99
    world.ends(30.0, GOOD)
    run(world)
    assert of_trouble(world) == [Troubled("extend went wrong"), LeaseLost(), Healed()], (
        "its delete heals it"
    )


def test_what_is_wrong_with_a_handle_alone_is_no_trouble_with_the_queue(world: World) -> None:
    world.queue.fails["extend"] = [Trouble.MESSAGE]
    world.ends(12.0, GOOD)
    run(world)
    assert of_trouble(world) == []
