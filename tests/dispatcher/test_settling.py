"""From a job's end to the settlement of its message."""

from dataclasses import replace

import pytest

from fleet.core.config import Config
from fleet.core.delivery import Rules
from fleet.core.outcomes import Exit, Settlement
from fleet.core.protocol import Denied
from fleet.core.queue import Trouble
from tests.dispatcher.conftest import deliver, run
from tests.support.dispatcher_world import (
    BAD,
    GOOD,
    MESSAGE,
    REJECT,
    RETRY,
    SEGV,
    WITH_HANDLER,
    World,
)

DENIED = Denied("delete went wrong", 0, "message-1", "handle-1")


def test_the_intent_is_written_before_each_request(world: World) -> None:
    world.ends(3.0, BAD)
    run(world, Rules(Config(retry_delay=(9.0,))))
    assert world.only("board", "release", "say")[2:] == [
        "board intent_delay=8",
        "say Held",
        "board intent=released intent_delay=8",
        "release message-1 8",
        "board cleared released",
        "say Settled",
    ]
    assert world.settled.hidden_for == 8.0
    assert world.told("message.released")[0]["delay"] == 8


def test_no_release_without_leave(world: World) -> None:
    world.inbox.deaf = True
    world.ends(3.0, BAD)
    world.at(7.5, lambda: setattr(world.inbox, "freed", True))
    run(world, Rules(Config(retry_delay=(9.0,))))
    assert world.record.index("release message-1 8") > world.record.index("extend message-1 60")


def test_an_orphan_needs_no_leave(world: World) -> None:
    world.inbox.deaf = True
    world.at(2.0, lambda: world.inbox.loses_its_master(40.0))
    world.ends(3.0, BAD)
    run(world, Rules(Config(retry_delay=(9.0,))))
    assert world.only("release") == ["release message-1 11"], (
        "the wait time of a sibling's poll, and one second"
    )
    assert world.settled.hidden_for == 11.0
    assert world.told("message.released")[0]["delay"] == 11


def test_an_orphans_longer_delay_stays(world: World) -> None:
    world.at(2.0, lambda: world.inbox.loses_its_master(40.0))
    world.ends(3.0, BAD)
    run(world, Rules(Config(retry_delay=(100.0,))))
    assert world.only("release") == ["release message-1 90"]


def test_leave_of_an_earlier_message_does_not_count(world: World) -> None:
    world.inbox.freed, world.inbox.deaf = True, True
    world.ends(3.0, BAD)
    world.at(5.0, lambda: world.did("later"))
    world.at(6.0, lambda: setattr(world.inbox, "freed", True))
    run(world, Rules(Config(retry_delay=(9.0,))))
    assert world.only("later", "release") == ["later", "release message-1 8"]


def test_a_request_that_fails_is_told_and_made_again(world: World) -> None:
    world.queue.fails["delete"] = [Trouble.PASSING, Trouble.SESSION]
    world.ends(3.0, GOOD)
    one = deliver(world)
    one.run()
    assert world.only("delete") == ["delete message-1"] * 3
    told = world.told("message.unsettled")
    assert [each["error"] for each in told] == ["delete went wrong"] * 2
    assert {each["settlement"] for each in told} == {"deleted"}
    assert world.renewed == 1
    assert one.refusal is None, "it was done in the end"
    assert world.settled.settlement is Settlement.DELETE


def test_a_release_that_was_not_answered_is_not_made_again(world: World) -> None:
    """It may have been done, and the message be somebody else's."""
    world.queue.unanswered, world.queue.takes = True, 1.0
    world.queue.fails["release"] = [Trouble.PASSING]
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("release") == ["release message-1 0"]
    assert world.told("message.left")[0]["why"] == "nobody knows whether it was released"


def test_but_as_long_as_its_delay_hides_the_message(world: World) -> None:
    world.queue.unanswered, world.queue.takes = True, 1.0
    world.queue.fails["release"] = [Trouble.PASSING]
    world.at(3.0, lambda: world.page.write(after=5))
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("release") == ["release message-1 5"] * 2
    assert world.settled.settlement is Settlement.RELEASE


def test_not_when_its_delay_is_over_before_the_call_is_given_up(world: World) -> None:
    world.queue.unanswered, world.queue.takes = True, 3.0
    world.queue.fails["release"] = [Trouble.PASSING]
    world.at(3.0, lambda: world.page.write(after=3))
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("release") == ["release message-1 3"]


def test_a_delete_that_was_not_answered_is_made_again(world: World) -> None:
    world.queue.unanswered = True
    world.queue.fails["delete"] = [Trouble.PASSING]
    world.ends(3.0, GOOD)
    run(world)
    assert world.only("delete") == ["delete message-1"] * 2


@pytest.mark.parametrize("trouble", [Trouble.MESSAGE, Trouble.GONE, Trouble.FINAL])
def test_a_request_that_cannot_succeed_is_made_once(world: World, trouble: Trouble) -> None:
    world.queue.fails["delete"] = [trouble]
    world.ends(3.0, GOOD)
    one = deliver(world)
    one.run()
    assert world.only("delete") == ["delete message-1"]
    assert world.settled.settlement is Settlement.LEAVE
    assert one.refusal is not None
    assert one.refusal.trouble is trouble


def test_a_delete_that_is_not_allowed_is_told_to_the_master_once_and_insisted_on(
    world: World,
) -> None:
    """Nobody else gets the message meanwhile, and a minute later it is left."""
    world.queue.fails["delete"] = [Trouble.DENIED] * 99
    world.ends(3.0, GOOD)
    run(world)
    assert [each for each in world.inbox.said if isinstance(each, Denied)] == [DENIED]
    assert len(world.only("delete")) > 10
    assert 60.0 - 3.4 < world.time - 3.0 < 60.0
    assert len(world.only("extend")) >= 2
    assert not world.settled.lease_lost
    assert world.settled.settlement is Settlement.LEAVE
    assert world.settled.unconfirmed
    assert world.told("message.left")[0]["why"] == "its delete was not allowed"


def test_a_permission_that_is_given_is_found(world: World) -> None:
    world.queue.fails["delete"] = [Trouble.DENIED] * 9
    world.ends(3.0, GOOD)
    run(world)
    assert world.settled.settlement is Settlement.DELETE
    assert len(world.only("delete")) == 10
    assert not world.settled.unconfirmed


@pytest.mark.parametrize(("trouble", "again"), [(Trouble.GONE, False), (Trouble.MESSAGE, True)])
def test_what_may_be_done_again_is_told_apart(world: World, trouble: Trouble, again: bool) -> None:
    """A message of a queue that does not exist any more comes to nobody."""
    world.queue.fails["delete"] = [trouble]
    world.ends(3.0, GOOD)
    run(world)
    assert world.settled.unconfirmed is again
    assert bool(world.settled.gone) is not again


def test_nothing_was_done_that_a_release_could_confirm(world: World) -> None:
    world.queue.fails["release"] = [Trouble.MESSAGE]
    world.ends(3.0, RETRY)
    run(world)
    assert world.settled.settlement is Settlement.LEAVE
    assert not world.settled.unconfirmed


def test_a_delete_that_fails_is_insisted_on_with_the_lease_kept(world: World) -> None:
    world.queue.fails["delete"] = [Trouble.PASSING] * 50
    world.ends(3.0, GOOD)
    run(world)
    assert world.time > 50.0
    assert world.settled.settlement is Settlement.DELETE
    assert not world.settled.lease_lost
    assert not [each for each in world.inbox.said if isinstance(each, Denied)]


@pytest.mark.parametrize("trouble", [Trouble.PASSING, Trouble.DENIED])
def test_a_delete_is_insisted_on_long_after_its_lease_was_lost(
    world: World, trouble: Trouble
) -> None:
    world.queue.fails["extend"] = [Trouble.PASSING] * 99
    world.queue.fails["delete"] = [trouble] * 9
    world.ends(1000.0, GOOD)
    run(world)
    assert world.settled.lease_lost
    assert world.settled.settlement is Settlement.DELETE


def test_a_stop_ends_the_insistence(world: World) -> None:
    world.queue.fails["delete"] = [Trouble.PASSING] * 99
    world.at(5.0, lambda: world.inbox.drains(0.0, left=40.0))
    world.ends(3.0, GOOD)
    run(world)
    assert 45.0 - 20 / 3 - 1.0 - 3.4 < world.time <= 45.0 - 20 / 3 - 1.0
    assert world.settled.settlement is Settlement.LEAVE


def test_a_letter_is_sent_once_however_often_its_delete_is_refused(world: World) -> None:
    world.queue.limit = 5
    world.queue.fails["delete"] = [*[Trouble.DENIED] * 12, *[Trouble.PASSING] * 12]
    world.ends(3.0, REJECT)
    run(world)
    assert world.only("dead_letter") == ["dead_letter message-1"]
    assert world.settled.settlement is Settlement.DEAD_LETTER
    assert not world.settled.lease_lost
    assert DENIED in world.inbox.said


def test_without_its_dead_letter_queue_a_rejected_message_waits_for_its_retry_delay(
    world: World,
) -> None:
    world.queue.limit = 5
    world.queue.fails["dead_letter"] = [Trouble.GONE]
    world.ends(3.0, REJECT)
    run(world, Rules(Config(retry_delay=(100.0,), delete_failed=True)))
    assert world.only("dead_letter", "delete", "release") == [
        "dead_letter message-1",
        "release message-1 90",
    ]
    assert not [each for each in world.inbox.said if isinstance(each, Denied)]
    assert world.settled.bad


def test_a_dead_letter_queue_that_is_gone_is_not_the_queue_itself(world: World) -> None:
    world.queue.limit = 5
    world.queue.fails["dead_letter"] = [Trouble.GONE]
    world.ends(3.0, REJECT)
    run(world)
    assert world.settled.settlement is Settlement.LEAVE
    assert not world.settled.gone


def test_the_settings_of_a_queue_that_is_gone_are_asked_for_once(world: World) -> None:
    world.queue.fails["max_receive_count"] = [Trouble.GONE] * 9
    world.ends(3.0, BAD)
    run(world)
    assert world.only("max_receive_count") == ["max_receive_count"]
    assert world.told("message.left")[0]["why"] == "its queue does not exist any more"


def test_a_retry_is_kept_to_also_where_the_settings_cannot_be_read_before_the_end(
    world: World,
) -> None:
    world.queue.fails["max_receive_count"] = [Trouble.PASSING] * 9
    world.at(2.0, lambda: world.inbox.drains(None, left=100.0))
    world.at(3.0, lambda: world.page.write(after=7))
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("max_receive_count", "release") == [
        "max_receive_count",
        "release message-1 7",
    ]


@pytest.mark.parametrize("trouble", [Trouble.PASSING, Trouble.SESSION, Trouble.DENIED])
def test_the_other_troubles_may_pass(world: World, trouble: Trouble) -> None:
    world.queue.fails["delete"] = [trouble]
    world.ends(3.0, GOOD)
    run(world)
    assert world.settled.settlement is Settlement.DELETE


def test_a_success_is_deleted_first_and_told_then(world: World) -> None:
    """A person can wait longer than a lease."""
    world.queue.fails["delete"] = [Trouble.PASSING]
    world.ends(3.0, GOOD)
    run(world)
    assert world.only("delete", "log")[1:] == [
        "delete message-1",
        "log message.unsettled",
        "log job.succeeded",
        "delete message-1",
        "log message.deleted",
    ]


def test_a_dead_letter_is_sent_with_the_certificate_and_then_deleted(world: World) -> None:
    world.queue.limit = 5
    world.page.write(reason="left over")
    world.at(3.0, lambda: world.page.write(reason="no such customer"))
    world.ends(3.0, REJECT)
    run(world, message=replace(MESSAGE, attempt=2))
    assert world.only("board", "dead_letter", "delete")[2:] == [
        "board intent=dead_lettered intent_delay=0",
        "dead_letter message-1",
        "board intent=deleted intent_delay=0",
        "delete message-1",
        "board cleared dead_lettered",
    ]
    assert world.queue.attributes == {
        "FleetDeath": "its job rejected it; attempt 2, exit 65 after 2.00 s, 12 MiB, CPU 0.25 s"
    }
    assert world.told("job.rejected")[0]["reason"] == "no such customer"
    assert world.settled.settlement is Settlement.DEAD_LETTER
    assert world.settled.bad


def test_a_reason_that_goes_on_and_on_is_cut(world: World) -> None:
    world.at(3.0, lambda: world.page.write(reason="x" * 900))
    world.ends(3.0, REJECT)
    run(world)
    assert len(world.told("job.rejected")[0]["reason"]) == 500


def test_a_rejection_without_a_reason_says_so(world: World) -> None:
    """As an exit status of 65 is one."""
    world.ends(3.0, REJECT)
    run(world)
    assert world.told("job.rejected")[0]["reason"] == "it gave no reason"


def test_only_a_rejection_has_a_reason(world: World) -> None:
    world.at(3.0, lambda: world.page.write(reason="said before it failed"))
    world.ends(3.0, BAD)
    run(world)
    assert world.told("job.failed")[0]["reason"] == ""


ERROR = {
    "type": "Value\nError",
    "message": "one\ntwo",
    "where": "work.py:3\nin job",
    "traceback": "Traceback …",
}


@pytest.mark.parametrize(
    ("how", "event"), [(BAD, "failed"), (SEGV, "signalled"), (REJECT, "rejected")]
)
def test_what_ends_badly_says_by_which_exception(world: World, how: Exit, event: str) -> None:
    world.at(3.0, lambda: world.page.write(error=ERROR))
    world.ends(3.0, how)
    run(world)
    (told,) = world.told(f"job.{event}")
    shown = {name: told[name] for name in ("error_type", "error", "where", "traceback")}
    assert shown == {
        "error_type": "Value Error",
        "error": "one\ntwo",
        "where": "work.py:3 in job",
        "traceback": "Traceback …",
    }


@pytest.mark.parametrize(("how", "event"), [(GOOD, "succeeded"), (RETRY, "retried")])
def test_what_ends_well_does_not(world: World, how: Exit, event: str) -> None:
    world.at(3.0, lambda: world.page.write(error=ERROR))
    world.ends(3.0, how)
    run(world)
    assert "error" not in world.told(f"job.{event}")[0]


@pytest.mark.parametrize("written", [{}, {"error": None}, {"error": "ValueError"}, {"error": []}])
def test_without_an_exception_nothing_is_said_of_one(
    world: World, written: dict[str, object]
) -> None:
    world.at(3.0, lambda: world.page.write(**written))
    world.ends(3.0, BAD)
    run(world)
    assert "error_type" not in world.told("job.failed")[0]


def test_what_a_wild_job_writes_there_is_bounded(world: World) -> None:
    world.at(
        3.0, lambda: world.page.write(error={"type": "x" * 900, "message": [1] * 900, "where": 5})
    )
    world.ends(3.0, BAD)
    run(world)
    told = world.told("job.failed")[0]
    assert (len(told["error_type"]), len(told["error"]), told["where"]) == (100, 500, "5")


def test_what_was_sent_but_not_deleted_came_to_a_bad_end(world: World) -> None:
    """The copy is there: the dead-letter queue has it, whatever becomes of the original."""
    world.queue.limit = 5
    world.queue.fails["delete"] = [Trouble.FINAL]
    world.ends(3.0, REJECT)
    run(world)
    assert world.settled.settlement is Settlement.LEAVE
    assert world.settled.bad


def test_a_failure_that_will_be_tried_again_is_no_bad_end(world: World) -> None:
    world.queue.limit = 5
    world.ends(3.0, BAD)
    run(world)
    assert not world.settled.bad


def test_a_failure_on_the_last_attempt_is_a_bad_end(world: World) -> None:
    world.queue.limit = 5
    world.ends(3.0, BAD)
    run(world, message=replace(MESSAGE, attempt=5))
    assert world.settled.bad


@pytest.mark.parametrize(("after", "delay"), [(7, 7), (7.6, 8), ("7", 0), (None, 0), (True, 1)])
def test_the_delay_of_a_retry(world: World, after: object, delay: int) -> None:
    """A number; what else a job may have written there is nothing."""
    world.at(3.0, lambda: world.page.write(after=after))
    world.ends(3.0, RETRY)
    run(world)
    assert world.only("release") == [f"release message-1 {delay}"]


def test_a_redrive_policy_that_cannot_be_read_is_asked_for_again(world: World) -> None:
    world.queue.fails["max_receive_count"] = [Trouble.PASSING, Trouble.SESSION, None]
    world.ends(3.0, BAD)
    run(world)
    assert world.only("max_receive_count") == ["max_receive_count"] * 3
    assert [each["error"] for each in world.told("policy.unknown")] == [
        "max_receive_count went wrong"
    ] * 2
    assert world.renewed == 1


def test_a_queue_without_a_limit_has_no_dead_letter_queue(world: World) -> None:
    world.ends(3.0, REJECT)
    run(world)
    assert not world.only("dead_letter")
    assert world.settled.settlement is Settlement.LEAVE


# A host that has nothing to give.


def test_no_process_for_a_job(world: World) -> None:
    world.scarce = 1
    one = deliver(world)
    one.run()
    assert one.starved
    assert world.settled.starved
    assert world.settled.job_seconds is None
    assert world.settled.max_rss_mib is None
    assert world.settled.outcome is None
    assert world.only("release") == ["release message-1 0"]
    assert world.told("job.not_started")[0]["error"] == "Resource temporarily unavailable"
    assert not [each for each in world.only("board") if "job_pid" in each]


def test_no_process_for_an_exit_handler(world: World) -> None:
    """That is a handler that failed: what it was to clean up is not cleaned up."""
    world.at(2.0, lambda: setattr(world, "scarce", 1))
    world.ends(3.0, SEGV)
    run(world, WITH_HANDLER)
    assert world.told("handler.not_started")[0]["error"] == "Resource temporarily unavailable"
    assert world.settled.settlement is Settlement.LEAVE
    assert world.told("message.left")[0]["why"] == "its exit handler failed"
