"""A job that must not finish: told to stop, or frozen for its exit handler, and killed."""

from math import inf

import pytest

from fleet.core.config import Config
from fleet.core.delivery import DeliveryPhase, HandlerResult, Rules
from fleet.core.delivery.actions import (
    Action,
    AskForRelease,
    CheckForStop,
    EndDelivery,
    Extend,
    FreezeJob,
    KillHandler,
    KillJob,
    ReadPolicy,
    RunHandler,
    Settle,
    TellLeaseLost,
    TerminateJob,
)
from fleet.core.delivery.events import (
    DispatcherLeaves,
    HandlerExited,
    JobExited,
    JobFrozen,
    ReleaseAllowed,
    SettleDone,
    StopBy,
)
from fleet.core.outcomes import Exit, Outcome, Settlement, Stop, Verdict
from tests.core.delivery.deliveries import (
    BAD,
    DELETE,
    GIVE_BACK_STOPPED,
    GOOD,
    KILLED,
    REJECT,
    RETRY,
    RULES,
    SEGV,
    WITH_HANDLER,
    Story,
    frozen,
    handling,
    handling_after_death,
    running,
    stopping,
)

# The job is stopped, without an exit handler.


def test_a_running_job_is_terminated_when_its_time_is_up_and_killed_after_the_exit_timeout() -> (
    None
):
    story = running(stop_at=5.0)
    assert story.at(4.999) == []
    assert story.wakes_at == 5.0
    assert story.at(5.0) == [TerminateJob()]
    assert story.at(6.7) == [Extend(60)]
    story.extended(6.7)
    assert story.at(26.8) == [Extend(60)]
    story.extended(26.8)
    assert story.at(34.999) == []
    assert story.wakes_at == 35.0
    assert story.at(35.0) == [KillJob()]
    assert story.at(35.1) == []
    assert story.phase is DeliveryPhase.STOPPING


def test_the_exit_timeout_counts_from_the_terminate() -> None:
    story = running(stop_at=5.0)
    assert story.at(6.0) == [TerminateJob()]
    assert story.delivery.kill_at == 36.0


def test_without_an_exit_timeout_the_job_is_killed_at_once() -> None:
    story = running(Rules(Config(exit_timeout=0.0)), stop_at=1.0)
    assert story.at(1.0) == [TerminateJob(), KillJob()]


def test_a_job_that_takes_too_long_is_stopped() -> None:
    """Its time counts from its own start, not from the receive."""
    story = running(Rules(Config(job_timeout=5.0)), now=1.0)
    assert story.at(5.999) == []
    assert story.wakes_at == 6.0
    assert story.at(6.0) == [TerminateJob()]
    assert story.delivery.stop is Stop.TIMED_OUT
    assert story.wakes_at > 6.0
    assert story.happens(JobExited(7.0, KILLED)) == [ReadPolicy()]
    assert story.delivery.outcome is Outcome.TIMED_OUT
    assert story.known(7.0) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(
        Settlement.LEAVE, "its job ran into --job-timeout (5 s)"
    )


@pytest.mark.parametrize(
    ("stop_at", "job_timeout", "kill_on_loss", "now", "reason"),
    [
        (5.0, inf, False, 5.0, Stop.INTERRUPTED),
        (inf, 5.0, False, 5.0, Stop.TIMED_OUT),
        (5.0, 5.0, False, 5.0, Stop.INTERRUPTED),  # a stop hands it back, a time-out burns it
        (5.0, 30.0, True, 20.0, Stop.INTERRUPTED),
        (inf, 5.0, True, 20.0, Stop.TIMED_OUT),
        (inf, inf, True, 20.0, Stop.LEASE_LOST),
    ],
)
def test_a_stop_has_one_reason(
    stop_at: float, job_timeout: float, kill_on_loss: bool, now: float, reason: Stop
) -> None:
    story = running(
        Rules(
            Config(job_timeout=job_timeout, on_lease_lost="kill" if kill_on_loss else "continue")
        ),
        stop_at=stop_at,
    )
    assert TerminateJob() in story.at(now)
    assert story.delivery.stop is reason
    assert (story.delivery.stop_at, story.delivery.timeout_at) == (inf, inf)


@pytest.mark.parametrize(
    ("first", "second", "then"),
    [(9.0, 5.0, 5.0), (5.0, 9.0, 5.0), (5.0, 5.0, 5.0), (inf, 3.0, 3.0)],
)
def test_a_deadline_is_only_ever_shortened(first: float, second: float, then: float) -> None:
    story = running(stop_at=first)
    assert story.happens(StopBy(second)) == []
    assert story.wakes_at == then


def test_a_job_that_is_gone_has_no_deadline_left() -> None:
    story = stopping()
    story.happens(JobExited(5.0, BAD))
    delivery = story.delivery
    assert (delivery.phase, delivery.stop_at, delivery.timeout_at, delivery.kill_at) == (
        DeliveryPhase.JUDGING,
        inf,
        inf,
        inf,
    )


def test_one_late_moment_does_all_that_is_due() -> None:
    story = running(Rules(Config(exit_timeout=0.0)), stop_at=5.0)
    assert story.at(10.0) == [Extend(60), TerminateJob(), KillJob()]


@pytest.mark.parametrize("how", [BAD, SEGV, KILLED, Exit(signal=15)])
def test_a_job_that_was_told_to_stop_and_did_is_handed_back(how: Exit) -> None:
    story = stopping()
    assert story.happens(JobExited(2.0, how)) == [ReadPolicy()]
    assert story.delivery.outcome is Outcome.INTERRUPTED
    assert story.known(2.0) == [AskForRelease()]
    assert story.happens(ReleaseAllowed(3.0)) == [GIVE_BACK_STOPPED]
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.RELEASE)


def test_a_job_that_finishes_although_it_was_told_to_stop_is_deleted() -> None:
    story = stopping()
    assert story.happens(JobExited(2.0, GOOD)) == [DELETE]
    assert story.delivery.outcome is Outcome.SUCCEEDED


# A stop of everything, which reaches jobs too.

OUTSIDE = [
    *(Exit(signal=number) for number in (1, 2, 3, 15)),
    *(Exit(code=128 + number) for number in (1, 2, 3, 15)),
]


def doubtful(rules: Rules = RULES, how: Exit = OUTSIDE[3]) -> Story:
    """Its job has ended at 5, by nobody's known doing."""
    story = running(rules)
    assert story.happens(JobExited(5.0, how)) == [CheckForStop()]
    assert (story.phase, story.delivery.exit, story.delivery.outcome) == (
        DeliveryPhase.DOUBTFUL,
        how,
        None,
    )
    return story


@pytest.mark.parametrize("how", OUTSIDE)
def test_a_job_that_a_stop_of_everything_has_ended_was_stopped(how: Exit) -> None:
    """Handed back at once; never deleted as a failure."""
    story = doubtful(Rules(Config(delete_failed=True, retry_delay=(600.0,))), how)
    assert story.happens(DispatcherLeaves(6.9, stops=True)) == [ReadPolicy()]
    assert (story.delivery.outcome, story.delivery.stop) == (Outcome.INTERRUPTED, Stop.INTERRUPTED)
    assert story.known(6.9) == [AskForRelease()]
    assert story.happens(ReleaseAllowed(7.0)) == [GIVE_BACK_STOPPED]


@pytest.mark.parametrize("how", OUTSIDE)
def test_else_its_end_was_its_own(how: Exit) -> None:
    story = doubtful(how=how)
    assert story.at(6.7) == [Extend(60)], "its lease is kept"
    story.extended(6.7)
    assert story.wakes_at == 7.0
    assert story.at(6.999) == []
    assert story.at(7.0) == [ReadPolicy()]
    assert story.delivery.outcome is (Outcome.SIGNALLED if how.signal else Outcome.FAILED)
    assert story.delivery.stop is None


def test_a_dispatcher_that_leaves_alone_waits_for_the_masters_word() -> None:
    """What is released before he knows of the stop could be swallowed by a sibling's poll."""
    story = doubtful()
    assert story.happens(DispatcherLeaves(6.0, stops=False)) == []
    assert story.phase is DeliveryPhase.DOUBTFUL
    assert story.happens(DispatcherLeaves(7.0, stops=False)) == [ReadPolicy()]
    assert story.delivery.outcome is Outcome.INTERRUPTED


@pytest.mark.parametrize("how", OUTSIDE)
def test_one_whom_we_have_told_to_stop_is_not_doubted(how: Exit) -> None:
    story = stopping(Rules(Config(job_timeout=1.0)))
    assert story.happens(JobExited(2.0, how)) == [ReadPolicy()]
    assert story.delivery.outcome is Outcome.INTERRUPTED


def test_one_that_had_ended_before_it_was_frozen_is_doubted() -> None:
    story = running(Rules(Config(exit_timeout=5.0, job_timeout=1.0), has_handler=True))
    assert story.at(1.0) == [FreezeJob()]
    assert story.happens(JobExited(1.0, Exit(signal=15))) == [CheckForStop()]
    assert story.at(3.0) == [RunHandler()]
    assert (story.delivery.outcome, story.delivery.stop) == (Outcome.SIGNALLED, None)


@pytest.mark.parametrize("how", OUTSIDE)
def test_the_exit_handler_of_one_that_was_stopped_so_finds_it_gone(how: Exit) -> None:
    story = doubtful(WITH_HANDLER, how)
    assert story.happens(DispatcherLeaves(5.1, stops=True)) == [RunHandler()]
    assert story.happens(HandlerExited(6.0, GOOD)) == [ReadPolicy()]
    assert story.known(6.0) == [AskForRelease()]


def test_a_lease_that_is_lost_meanwhile_is_said_and_the_message_left() -> None:
    story = doubtful()
    story.at(6.7)
    assert story.at(20.0) == [TellLeaseLost(), ReadPolicy()]
    assert story.known(20.0) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")


@pytest.mark.parametrize("how", OUTSIDE)
def test_an_exit_handler_that_a_stop_of_everything_has_ended_runs_once_more(how: Exit) -> None:
    """Beside the job as it is: frozen, or gone."""
    for story in (handling(), handling_after_death()):
        assert story.happens(HandlerExited(3.0, how)) == [RunHandler()]
        assert story.delivery.handler_until == 8.0
        assert story.happens(HandlerExited(4.0, how)) in ([KillJob()], [ReadPolicy()])
        assert story.delivery.handler_result is HandlerResult.FAILED


# With an exit handler.


def test_a_stopped_job_is_frozen_handled_killed_and_handed_back() -> None:
    story = running(WITH_HANDLER, stop_at=1.0)
    assert story.at(1.0) == [FreezeJob()]
    assert story.happens(JobFrozen(1.5)) == [RunHandler()]
    assert story.delivery.handler_until == 6.5
    assert story.happens(HandlerExited(2.0, GOOD)) == [KillJob()]
    assert story.delivery.handler_result is HandlerResult.DONE
    assert story.happens(JobExited(2.1, KILLED)) == [ReadPolicy()]
    assert story.delivery.outcome is Outcome.INTERRUPTED
    assert story.known(2.2) == [AskForRelease()]
    assert story.happens(ReleaseAllowed(3.0)) == [GIVE_BACK_STOPPED]


@pytest.mark.parametrize(
    ("how", "outcome", "asked"),
    [
        (GOOD, Outcome.SUCCEEDED, [DELETE]),
        (BAD, Outcome.FAILED, [ReadPolicy()]),
        (RETRY, Outcome.RETRIED, [ReadPolicy()]),
        (REJECT, Outcome.REJECTED, [ReadPolicy()]),
        (SEGV, Outcome.SIGNALLED, [RunHandler()]),
    ],
)
def test_a_job_that_had_finished_before_it_was_frozen_is_settled_as_finished(
    how: Exit, outcome: Outcome, asked: list[Action]
) -> None:
    story = frozen()
    assert story.happens(JobExited(1.0, how)) == asked
    assert story.delivery.outcome is outcome
    assert story.delivery.stop is None


def test_a_job_that_dies_by_a_signal_is_handled_too() -> None:
    story = running(WITH_HANDLER)
    assert story.happens(JobExited(1.0, SEGV)) == [RunHandler()]
    assert story.delivery.outcome is Outcome.SIGNALLED
    assert story.delivery.handler_until == 6.0
    assert story.happens(HandlerExited(2.0, GOOD)) == [ReadPolicy()]
    assert story.known(2.0) == [AskForRelease()]
    assert story.delivery.verdict == Verdict(Settlement.RELEASE, "its job died by a signal", 5)


@pytest.mark.parametrize("how", [BAD, RETRY, REJECT, GOOD])
def test_a_job_that_fails_by_itself_is_not_handled(how: Exit) -> None:
    story = running(WITH_HANDLER)
    assert RunHandler() not in story.happens(JobExited(1.0, how))


def test_a_job_that_times_out_is_handled_and_fails() -> None:
    story = running(Rules(Config(exit_timeout=5.0, job_timeout=1.0), has_handler=True))
    assert story.at(1.0) == [FreezeJob()]
    story.happens(JobFrozen(1.0))
    story.happens(HandlerExited(2.0, GOOD))
    story.happens(JobExited(2.0, KILLED))
    assert story.known(2.0) == [EndDelivery()]
    assert story.delivery.outcome is Outcome.TIMED_OUT
    assert story.delivery.verdict == Verdict(
        Settlement.LEAVE, "its job ran into --job-timeout (1 s)"
    )


@pytest.mark.parametrize("how", [BAD, SEGV, RETRY, REJECT])
@pytest.mark.parametrize("delete_failed", [False, True])
def test_a_handler_that_fails_leaves_the_message(how: Exit, delete_failed: bool) -> None:
    rules = Rules(
        Config(
            exit_timeout=5.0,
            dead_letter="direct",
            delete_failed=delete_failed,
            retry_delay=(5.0,),
        ),
        has_handler=True,
    )
    for story in (handling_after_death(rules), handling(rules)):
        story.happens(HandlerExited(2.0, how))
        if story.delivery.exit is None:
            story.happens(JobExited(2.0, KILLED))
        assert story.delivery.handler_result is HandlerResult.FAILED
        assert story.known(2.0, limit=1) == [EndDelivery()]
        assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its exit handler failed")


def test_a_handler_that_takes_too_long_is_killed_with_the_job_and_run_once_more() -> None:
    story = handling()
    assert story.at(5.999) == []
    assert story.wakes_at == 6.0
    assert story.at(6.0) == [KillHandler(), KillJob()]
    assert story.at(6.1) == []
    assert story.wakes_at > 6.1
    assert story.happens(HandlerExited(6.2, KILLED)) == []
    assert story.happens(JobExited(6.3, KILLED)) == [RunHandler()]
    assert (story.delivery.handler_tries, story.delivery.handler_until) == (2, 11.3)
    assert story.happens(HandlerExited(7.0, GOOD)) == [ReadPolicy()]
    assert story.delivery.handler_result is HandlerResult.DONE
    assert story.delivery.outcome is Outcome.INTERRUPTED
    assert story.known(7.0) == [AskForRelease()]


def test_job_and_handler_may_be_gone_in_any_order() -> None:
    story = handling()
    assert story.at(6.0) == [KillHandler(), KillJob()]
    assert story.happens(JobExited(6.2, KILLED)) == []
    assert story.happens(HandlerExited(6.3, KILLED)) == [RunHandler()]


def test_a_handler_whose_job_dies_meanwhile_goes_on() -> None:
    story = handling()
    assert story.happens(JobExited(2.0, KILLED)) == []
    assert story.at(5.999) == []
    assert story.happens(HandlerExited(5.999, GOOD)) == [ReadPolicy()]


def test_a_handler_that_timed_out_is_killed_alone_when_the_job_is_gone() -> None:
    story = handling_after_death()
    assert story.at(6.0) == [KillHandler()]
    assert story.happens(HandlerExited(6.1, KILLED)) == [RunHandler()]


@pytest.mark.parametrize(
    ("when", "how"), [("first", GOOD), ("second", GOOD), ("first", BAD), ("second", BAD)]
)
def test_a_handler_that_had_finished_when_it_was_killed_has_finished(when: str, how: Exit) -> None:
    story = handling_after_death()
    if when == "second":
        story.at(6.0)
        assert story.happens(HandlerExited(6.0, KILLED)) == [RunHandler()]
    story.at(11.0)
    assert story.happens(HandlerExited(11.0, how)) == [ReadPolicy()]
    assert story.delivery.handler_result is (
        HandlerResult.DONE if how == GOOD else HandlerResult.FAILED
    )


def twice_too_late(rules: Rules = WITH_HANDLER) -> Story:
    story = handling(rules)
    story.at(6.0)
    story.happens(HandlerExited(6.1, KILLED))
    story.happens(JobExited(6.2, KILLED))
    assert story.at(11.2) == [Extend(60), KillHandler()]
    story.extended(11.2)
    assert story.happens(HandlerExited(11.3, KILLED)) == [ReadPolicy()]
    assert story.delivery.handler_result is HandlerResult.TIMED_OUT_TWICE
    return story


def test_a_handler_that_timed_out_twice_dead_letters() -> None:
    """A retry without its clean-up may compound the damage."""
    story = twice_too_late(
        Rules(Config(exit_timeout=5.0, delete_failed=True, retry_delay=(5.0,)), has_handler=True)
    )
    verdict = Verdict(Settlement.DEAD_LETTER, "its exit handler timed out twice")
    assert story.known(11.3) == [Settle(verdict)]


def test_a_handler_that_timed_out_twice_leaves_what_cannot_be_dead_lettered() -> None:
    story = twice_too_late()
    assert story.known(11.3, limit=None, queue=False) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)
    story = twice_too_late()
    assert story.known(80.0) == [TellLeaseLost(), EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)


def test_a_job_that_succeeds_while_its_handler_runs_is_deleted() -> None:
    """Somebody has woken it up."""
    for handler in (GOOD, BAD):
        story = handling()
        story.happens(JobExited(2.0, GOOD))
        assert story.happens(HandlerExited(3.0, handler)) == [DELETE]


def test_while_a_handler_runs_a_stop_is_not_looked_at() -> None:
    story = running(Rules(Config(exit_timeout=5.0, job_timeout=4.0), has_handler=True), stop_at=3.0)
    assert story.happens(JobExited(1.0, SEGV)) == [RunHandler()]
    assert story.at(4.0) == []
    assert story.wakes_at == 6.0
    assert (story.delivery.stop_at, story.delivery.timeout_at) == (inf, inf)
