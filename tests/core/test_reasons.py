"""Every phrase that says why a delivery ended has a reason for programs."""

from itertools import product

import pytest

from fleet.core import delivery, outcomes
from fleet.core.config import Config
from fleet.core.delivery import batch, retries, settling
from fleet.core.outcomes import Facts, Outcome, Verdict, back_off, verdict_for
from fleet.core.reasons import Reason

PHRASES = {
    "its job succeeded": Reason.SUCCEEDED,
    "its job failed": Reason.FAILED,
    "its job ran into --job-timeout": Reason.TIMED_OUT,
    "its job died by a signal": Reason.SIGNALLED,
    "its job asked for a retry": Reason.RETRIED,
    "its job rejected it": Reason.REJECTED,
    "rejected, and there is no dead-letter queue": Reason.NO_DEAD_LETTER_QUEUE,
    "rejected, and nobody could send it to a dead-letter queue": Reason.LETTER_NOT_SENT,
    "its job was stopped": Reason.INTERRUPTED,
    "its lease was lost": Reason.LEASE_LOST,
    "this host had no process for it": Reason.NO_PROCESS,
    "its exit handler failed": Reason.HANDLER_FAILED,
    "its exit handler timed out twice": Reason.HANDLER_FAILED,
    "its transformer failed": Reason.TRANSFORMER_FAILED,
    "it came too late to be worked on": Reason.TOO_LATE,
    "a message of its group goes back before it": Reason.GROUP_WAITS,
    "its queue does not exist any more": Reason.QUEUE_GONE,
    "deletes are not allowed": Reason.DELETE_DENIED,
    "its delete was not allowed": Reason.DELETE_DENIED,
    "the queue did not take the settlement": Reason.NOT_SETTLED,
    "nobody knows whether it was released": Reason.MAYBE_RELEASED,
    "nobody knows how its job ended": Reason.UNKNOWN,
}


def reason_of(why: str) -> Reason:
    """By the table; what comes behind a phrase does not count."""
    (found,) = {reason for phrase, reason in PHRASES.items() if why.startswith(phrase)}
    return found


@pytest.mark.parametrize("what", list(Outcome))
def test_every_verdict_has_the_reason_of_its_phrase(what: Outcome) -> None:
    for limit, letters, lost, unsure, delays, delete, direct in product(
        (None, 1),
        (True, False),
        (True, False),
        (True, False),
        ((), (10.0,)),
        (True, False),
        (True, False),
    ):
        facts = Facts(limit=limit, has_dead_letter_queue=letters, lost=lost, unsure=unsure)
        found = verdict_for(
            what,
            facts,
            Config(
                retry_delay=delays,
                delete_failed=delete,
                dead_letter="direct" if direct else "native",
            ),
            0.5,
        )
        assert found.reason is reason_of(found.why), found


@pytest.mark.parametrize(
    "decided",
    [
        *(
            outcomes.LOST,
            retries.GONE,
            delivery.LATE,
            delivery.NO_PROCESS,
            batch.DENIED,
            batch.BEFORE_IT,
        ),
        back_off("its transformer failed", Reason.TRANSFORMER_FAILED, Facts(), Config(), 0.5),
    ],
)
def test_what_is_decided_without_a_job(decided: Verdict) -> None:
    assert decided.reason is reason_of(decided.why)


def test_a_reason_is_a_word_for_programs() -> None:
    assert settling.UNKNOWN in PHRASES
    assert set(PHRASES.values()) == set(Reason) - {Reason.UNUSABLE, Reason.TRANSFORMER_LATE}
    assert str(Reason.LEASE_LOST) == "lease_lost"
