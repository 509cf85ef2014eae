"""A message that nothing happens to: what it costs, and what is told of it.

The receive call was made at second 0 and answered at second 1. What is decided is tested in
tests/core; in these files it is whether that is carried out, in which order, and told.
"""

import pytest

from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.queue import Message
from tests.dispatcher.conftest import run
from tests.support.dispatcher_world import BAD, GOOD, KILLED, RETRY, SEGV, World

LONG_ID = Message("0123456789", "handle", "secret", attempt=3)


def test_the_path_of_a_quiet_message(world: World) -> None:
    """All that is done for a job that ends well before its lease is a third over: one request."""
    world.ends(3.0, GOOD)
    ended = run(world)
    assert world.record == [
        "job message-1 below 5",
        "board job_pid=11 job_started_at=1.0",
        "title job message-",
        "log job.started",
        "board exit=Exit(code=0, signal=None)",
        "sweep 11",
        "board intent=deleted intent_delay=0",
        "delete message-1",
        "log job.succeeded",
        "board cleared deleted",
        "say Settled",
        "log message.deleted",
    ]
    assert ended.outcome is Outcome.SUCCEEDED
    settled = world.settled
    assert (settled.settlement, settled.outcome) == (Settlement.DELETE, Outcome.SUCCEEDED)
    assert (settled.job_seconds, settled.max_rss_mib) == (2.0, 12.5)
    assert (settled.bad, settled.starved, settled.lease_lost, settled.hidden_for) == (
        False,
        False,
        False,
        0.0,
    )


def test_every_line_of_the_log_says_which_message(world: World) -> None:
    world.ends(3.0, GOOD)
    run(world, message=LONG_ID)
    for _, fields in world.logged:
        assert (fields["slot"], fields["message_id"], fields["attempt"]) == (7, "0123456789", 3)
    assert world.told("job.started")[0]["job_pid"] == 11
    assert world.told("message.deleted")[0]["why"] == "its job succeeded"
    assert world.told("message.deleted")[0]["delay"] == 0


def test_the_body_is_in_no_line_of_the_log(world: World) -> None:
    world.ends(3.0, BAD)
    run(world)
    assert "secret" not in str(world.logged)


def test_the_death_certificate(world: World) -> None:
    world.ends(3.5, BAD)
    run(world)
    (found,) = world.told("job.failed")
    assert found["exit"] == "exit 1"
    assert (found["duration"], found["cpu_seconds"], found["max_rss_mib"]) == (2.5, 0.25, 12.5)
    assert (found["timed_out"], found["stopped_by"], found["oom"], found["reason"]) == (
        False,
        None,
        None,
        "",
    )
    assert "limit" not in found


def test_what_failed_is_told_before_the_queue_is_asked_anything(world: World) -> None:
    world.ends(3.0, BAD)
    run(world)
    assert world.only("log", "max_receive_count", "say") == [
        "log job.started",
        "log job.failed",
        "max_receive_count",
        "say Settled",
        "log message.left",
    ]


def test_a_message_that_is_left_is_hidden_for_the_rest_of_its_lease(world: World) -> None:
    world.ends(3.0, BAD)
    run(world)
    assert world.settled.settlement is Settlement.LEAVE
    assert world.settled.hidden_for == 17.0
    assert world.told("message.left")[0]["why"] == "its job failed"


def test_a_slip_of_an_earlier_job_is_not_read_for_this_one(world: World) -> None:
    world.page.write(after=99.0)
    world.page.ask_to_stop()
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("release") == ["release message-1 0"]
    assert not world.page.stop_asked


# The kernel's out-of-memory killer.


def test_a_kill_while_the_count_grew_was_likely_out_of_memory(world: World) -> None:
    world.at(2.0, world.oom.grow)
    world.ends(3.0, KILLED)
    run(world)
    assert world.told("job.signalled")[0]["oom"] == "likely"


@pytest.mark.parametrize("how", [SEGV, BAD])
def test_another_end_while_the_count_grew_was_not(world: World, how: Exit) -> None:
    world.at(2.0, world.oom.grow)
    world.ends(3.0, how)
    run(world)
    assert [fields["oom"] for _, fields in world.logged if "oom" in fields] == [None]


def test_a_kill_while_nothing_grew_was_not(world: World) -> None:
    world.oom.grow()
    world.ends(3.0, KILLED)
    run(world)
    assert world.told("job.signalled")[0]["oom"] is None
