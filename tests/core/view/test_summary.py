"""The last line's phrase."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.pool.queue_state import Counts
from fleet.core.view.summary import ledger, phrase, redrive_note, totals


def test_what_happened_is_named_and_counted() -> None:
    counts = Counts(
        received=24,
        succeeded=12,
        failed=1,
        timed_out=2,
        signalled=3,
        retried=4,
        rejected=5,
        stopped=6,
    )
    assert phrase(counts) == (
        "jobs: 12 succeeded, 4 asked for a retry, 5 rejected, 1 failed, 2 timed out, "
        "3 died by a signal, 6 stopped"
    )


def test_what_did_not_happen_is_not() -> None:
    assert phrase(Counts(received=3, succeeded=3)) == "jobs: 3 succeeded"
    assert phrase(Counts(received=3, failed=3)) == "jobs: 0 succeeded, 3 failed"
    assert phrase(Counts()) == "no job ran"
    assert phrase(Counts(received=3, left=3)) == "no job ended", "a job that was killed ran"


@given(st.builds(Counts, **{field.name: st.integers(0, 3) for field in fields(Counts)}))
def test_every_job_is_in_it_once(counts: Counts) -> None:
    """Each message's job has one outcome, and each outcome one count."""
    named = ("succeeded", "retried", "rejected", "failed", "timed_out", "signalled", "stopped")
    assert totals(counts) == {name: getattr(counts, name) for name in named}
    if any(totals(counts).values()):
        numbers = [int(word) for word in phrase(counts).split() if word.isdecimal()]
        assert sum(numbers) == sum(totals(counts).values())


def test_the_ledger_is_all_that_became_of_messages() -> None:
    counts = Counts(received=7, deleted=1, released=2, dead_lettered=1, left=3, succeeded=5)
    assert ledger(counts) == {
        "received": 7,
        "deleted": 1,
        "released": 2,
        "dead_lettered": 1,
        "left": 3,
    }
    assert counts.in_hand == 0


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (Counts(left=3), ""),
        (Counts(left=3, left_last=1), " (1 of them goes to jobs-dlq)"),
        (Counts(left=3, left_last=3), " (3 of them go to jobs-dlq)"),
        (
            Counts(left=3, released=2, left_last=1, released_last=1),
            " (2 of these and of the released go to jobs-dlq)",
        ),
    ],
)
def test_where_the_left_go(counts: Counts, said: str) -> None:
    assert redrive_note(counts, "jobs-dlq") == said
    assert redrive_note(counts, "") == said.replace("jobs-dlq", "the dead-letter queue")
