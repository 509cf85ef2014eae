"""A failure is told to the --on-failure hook before its message is settled."""

from dataclasses import replace

import pytest

from fleet.core.config import Config
from fleet.core.delivery import DeliveryPhase, IllegalDeliveryEvent, Rules
from fleet.core.delivery.actions import (
    AskForRelease,
    EndDelivery,
    Extend,
    KillHook,
    ReadPolicy,
    RunHandler,
    RunHook,
    Settle,
    TellLeaseLost,
)
from fleet.core.delivery.events import (
    ExtendFailed,
    HandlerExited,
    HookExited,
    JobExited,
    PolicyNotRead,
    ReleaseAllowed,
    SettleDone,
    SettleFailed,
    StopBy,
)
from fleet.core.outcomes import Exit, Outcome, Settlement, Verdict
from tests.core.delivery.deliveries import (
    BAD,
    DELETE,
    GOOD,
    KILLED,
    REJECT,
    RETRY,
    RULES,
    SEGV,
    Story,
    judging,
    running,
)

TOLD = Rules(Config(on_failure="app:told", exit_timeout=5.0))


def reporting(how: Exit = BAD, rules: Rules = TOLD) -> Story:
    """The hook runs until 7."""
    story = judging(rules, how)
    assert story.known(2.0) == [RunHook()]
    assert (story.phase, story.delivery.hook_until) == (DeliveryPhase.REPORTING, 7.0)
    return story


@pytest.mark.parametrize("how", [BAD, Exit(code=143), Exit(code=255)])
def test_a_failure_is_told_and_then_settled(how: Exit) -> None:
    story = running(TOLD)
    story.happens(JobExited(2.0, how))
    story.at(4.0)
    assert story.known(4.0) == [RunHook()]
    assert story.happens(HookExited(5.0)) == [EndDelivery()]
    assert story.ended_as(Settlement.LEAVE)
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its job failed")


def test_a_death_by_a_signal_is_told_after_its_exit_handler() -> None:
    story = running(Rules(Config(exit_timeout=5.0, on_failure="app:told"), has_handler=True))
    assert story.happens(JobExited(1.0, SEGV)) == [RunHandler()]
    assert story.happens(HandlerExited(2.0, GOOD)) == [ReadPolicy()]
    assert story.known(2.0) == [RunHook()]
    assert story.happens(HookExited(3.0)) == [AskForRelease()]
    assert story.delivery.verdict == Verdict(Settlement.RELEASE, "its job died by a signal", 5)


def test_so_is_one_whose_exit_handler_has_failed() -> None:
    story = running(Rules(Config(exit_timeout=5.0, on_failure="app:told"), has_handler=True))
    story.happens(JobExited(1.0, SEGV))
    story.happens(HandlerExited(2.0, BAD))
    assert story.known(2.0) == [RunHook()]
    assert story.happens(HookExited(3.0)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its exit handler failed")


def test_a_time_out_is_told() -> None:
    story = running(Rules(Config(on_failure="app:told", exit_timeout=5.0, job_timeout=1.0)))
    story.at(1.0)
    story.happens(JobExited(2.0, KILLED))
    assert story.known(2.0) == [RunHook()]
    assert story.delivery.outcome is Outcome.TIMED_OUT


def test_a_reject_is_told_where_there_is_no_queue_for_it() -> None:
    story = judging(TOLD, REJECT)
    assert story.known(2.0, limit=None, queue=False) == [RunHook()]
    story = judging(TOLD, REJECT)
    assert RunHook() not in story.known(2.0)


def test_a_reject_whose_letter_cannot_be_sent_is_told_then() -> None:
    story = judging(TOLD, REJECT)
    assert RunHook() not in story.known(2.0)
    assert story.happens(SettleFailed(3.0, 0.0, final=True)) == [RunHook()]


def test_a_failure_whose_letter_cannot_be_sent_was_told_before() -> None:
    story = judging(Rules(replace(TOLD.config, dead_letter="direct")))
    assert story.known(2.0, limit=1) == [RunHook()]
    asked = story.happens(HookExited(3.0))
    assert isinstance(asked[0], Settle)
    assert RunHook() not in story.happens(SettleFailed(4.0, 0.0, final=True))


@pytest.mark.parametrize("how", [GOOD, RETRY])
def test_what_is_no_failure_is_not_told(how: Exit) -> None:
    story = running(TOLD)
    asked = story.happens(JobExited(2.0, how))
    assert asked == [DELETE] or RunHook() not in story.known(2.0)


def test_nor_is_a_job_that_was_stopped() -> None:
    story = running(TOLD)
    story.happens(StopBy(1.0))
    story.at(1.0)
    story.happens(JobExited(2.0, KILLED))
    assert story.known(2.0) == [AskForRelease()]


def test_without_a_hook_nothing_is_told() -> None:
    assert judging(RULES).known(2.0) == [EndDelivery()]


def test_one_that_takes_too_long_is_killed_and_the_message_settled_all_the_same() -> None:
    story = reporting(rules=Rules(replace(TOLD.config, delete_failed=True)))
    assert story.wakes_at == 20 / 3
    assert story.at(20 / 3) == [Extend(60)], "the lease is kept"
    story.extended(20 / 3)
    assert story.wakes_at == 7.0
    assert story.at(6.999) == []
    assert story.at(7.0) == [KillHook()]
    assert story.at(7.5) == []
    asked = story.happens(HookExited(8.0))
    assert asked == [Settle(Verdict(Settlement.DELETE, "its job failed (--delete-failed)"))]


@pytest.mark.parametrize(
    ("how", "config"),
    [
        (BAD, Config(retry_delay=(10.0,))),
        (BAD, Config(dead_letter="direct")),
        (SEGV, Config()),
        (BAD, Config()),
    ],
    ids=["release", "dead-letter", "crash", "leave"],
)
def test_a_lease_that_is_lost_meanwhile_settles_nothing_that_needs_one(
    how: Exit, config: Config
) -> None:
    story = judging(Rules(replace(config, on_failure="app:told", exit_timeout=60.0)), how)
    story.known(2.0, limit=1)
    story.at(7.0)
    story.happens(ExtendFailed(8.0, 0.0))
    assert story.happens(HookExited(20.0))[0] == TellLeaseLost()
    assert story.ended_as(Settlement.LEAVE)


def test_what_is_finished_by_order_is_deleted_without_a_lease() -> None:
    story = judging(Rules(Config(on_failure="app:told", delete_failed=True, exit_timeout=60.0)))
    story.known(2.0)
    assert story.happens(HookExited(21.0)) == [
        TellLeaseLost(),
        Settle(story.delivery.verdict or Verdict(Settlement.LEAVE, "")),
    ]
    assert story.happens(SettleDone()) == [EndDelivery()]
    assert story.ended_as(Settlement.DELETE)


def test_it_is_told_though_the_queues_settings_were_never_known() -> None:
    story = judging(TOLD)
    assert story.happens(PolicyNotRead(20.0, 0.5)) == [TellLeaseLost(), RunHook()]
    assert story.happens(HookExited(21.0)) == [EndDelivery()]
    assert story.delivery.verdict == Verdict(Settlement.LEAVE, "its lease was lost")
    story = judging(TOLD)
    story.happens(PolicyNotRead(3.0, 0.5))
    assert story.at(20.0) == [TellLeaseLost(), RunHook()]


def test_a_delay_ends_where_sqs_ends_it_also_after_a_hook() -> None:
    story = reporting(rules=Rules(replace(TOLD.config, retry_delay=(43_200.0,))))
    story.extended(2.0, 43_000.0)
    assert story.happens(HookExited(5.0)) == [AskForRelease()]
    (asked,) = story.happens(ReleaseAllowed(1000.0))
    assert isinstance(asked, Settle)
    assert asked.what.delay == 42_200 - 0


def test_its_end_is_news_once() -> None:
    story = reporting()
    story.happens(HookExited(3.0))
    with pytest.raises(IllegalDeliveryEvent):
        story.happens(HookExited(3.0))
