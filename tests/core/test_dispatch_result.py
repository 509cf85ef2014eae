"""What `dispatch` makes of a delivery's end: every row of the table."""

from dataclasses import replace

import pytest

from fleet.core.delivery import Delivery, DeliveryPhase, HandlerResult, Rules, begin
from fleet.core.dispatch_result import DispatchResult, dispatch_result_of
from fleet.core.outcomes import Facts, Outcome, Settlement, Verdict

DELETE, RELEASE, LEAVE, LETTER = (
    Settlement.DELETE,
    Settlement.RELEASE,
    Settlement.LEAVE,
    Settlement.DEAD_LETTER,
)
WITH_LETTERS, ENDLESS = Facts(limit=3, has_dead_letter_queue=True), Facts()


def ended(
    outcome: Outcome | None,
    settlement: Settlement,
    facts: Facts | None = WITH_LETTERS,
    handler_result: HandlerResult | None = None,
) -> Delivery:
    begun = begin(0.0, 0.0, Rules())
    verdict = Verdict(settlement, "why")
    return replace(
        begun,
        phase=DeliveryPhase.DONE,
        outcome=outcome,
        verdict=verdict,
        facts=facts,
        handler_result=handler_result,
    )


@pytest.mark.parametrize("settlement", list(Settlement))
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SIGNALLED])
@pytest.mark.parametrize("refused", [False, True])
def test_a_jobs_failure_is_the_jobs_whatever_became_of_its_message(
    outcome: Outcome, settlement: Settlement, refused: bool
) -> None:
    assert (
        dispatch_result_of(ended(outcome, settlement), refused=refused, starved=False)
        is DispatchResult.JOB_ERROR
    )


@pytest.mark.parametrize(
    ("delivery", "refused", "starved", "what"),
    [
        (ended(Outcome.SUCCEEDED, DELETE, None), False, False, DispatchResult.DELETED),
        (ended(Outcome.SUCCEEDED, LEAVE, None), True, False, DispatchResult.QUEUE_ERROR),
        (ended(Outcome.REJECTED, LETTER), False, False, DispatchResult.NOT_DELETED),
        (ended(Outcome.REJECTED, LEAVE), True, False, DispatchResult.QUEUE_ERROR),
        (ended(Outcome.REJECTED, LEAVE), False, False, DispatchResult.DISPATCHER_ERROR),
        (ended(Outcome.REJECTED, LEAVE, ENDLESS), False, False, DispatchResult.JOB_ERROR),
        (ended(Outcome.REJECTED, RELEASE, ENDLESS), False, False, DispatchResult.JOB_ERROR),
        (ended(Outcome.RETRIED, RELEASE), False, False, DispatchResult.NOT_DELETED),
        (ended(Outcome.RETRIED, LETTER), False, False, DispatchResult.NOT_DELETED),
        (ended(Outcome.RETRIED, LEAVE), False, False, DispatchResult.DISPATCHER_ERROR),
        (ended(Outcome.INTERRUPTED, RELEASE), False, False, DispatchResult.NOT_DELETED),
        (
            ended(Outcome.INTERRUPTED, RELEASE, handler_result=HandlerResult.DONE),
            False,
            False,
            DispatchResult.NOT_DELETED,
        ),
        (ended(Outcome.INTERRUPTED, LETTER), False, False, DispatchResult.NOT_DELETED),
        (ended(Outcome.INTERRUPTED, LEAVE), True, False, DispatchResult.QUEUE_ERROR),
        (ended(Outcome.INTERRUPTED, LEAVE), False, False, DispatchResult.DISPATCHER_ERROR),
        (
            ended(Outcome.INTERRUPTED, LEAVE, handler_result=HandlerResult.FAILED),
            False,
            False,
            DispatchResult.DISPATCHER_ERROR,
        ),
        (
            ended(Outcome.INTERRUPTED, LETTER, handler_result=HandlerResult.TIMED_OUT_TWICE),
            False,
            False,
            DispatchResult.DISPATCHER_ERROR,
        ),
        (ended(None, RELEASE, None), False, False, DispatchResult.NOT_DELETED),
        (ended(None, RELEASE, None), False, True, DispatchResult.DISPATCHER_ERROR),
        (ended(None, LEAVE, None), False, False, DispatchResult.DISPATCHER_ERROR),
        (ended(None, LEAVE, None), True, False, DispatchResult.QUEUE_ERROR),
    ],
)
def test_the_table(delivery: Delivery, refused: bool, starved: bool, what: DispatchResult) -> None:
    assert dispatch_result_of(delivery, refused=refused, starved=starved) is what
