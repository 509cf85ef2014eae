"""Wait status → exit → outcome → settlement."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.exits import Exit, Outcome, Settlement, ended_badly, from_siginfo, outcome, settlement

CLD_EXITED, CLD_KILLED, CLD_DUMPED = 1, 2, 3  # waitid(2)

EXITS = st.builds(Exit, code=st.integers(0, 255)) | st.builds(Exit, signal=st.integers(1, 64))


@pytest.mark.parametrize(
    ("si_code", "si_status", "how"),
    [
        (CLD_EXITED, 0, Exit(code=0)),
        (CLD_EXITED, 1, Exit(code=1)),
        (CLD_EXITED, 255, Exit(code=255)),
        (CLD_KILLED, signal.SIGKILL, Exit(signal=9)),
        (CLD_DUMPED, signal.SIGSEGV, Exit(signal=11)),
    ],
)
def test_what_the_kernel_reports_is_an_exit(si_code: int, si_status: int, how: Exit) -> None:
    assert from_siginfo(si_code, si_status) == how


@pytest.mark.parametrize(
    ("how", "stopped", "what"),
    [
        (Exit(code=0), False, Outcome.SUCCEEDED),
        (Exit(code=0), True, Outcome.SUCCEEDED),  # told to stop, and finished all the same
        (Exit(code=1), False, Outcome.FAILED),
        (Exit(code=255), False, Outcome.FAILED),
        (Exit(code=1), True, Outcome.INTERRUPTED),
        (Exit(signal=15), True, Outcome.INTERRUPTED),
        (Exit(signal=9), True, Outcome.INTERRUPTED),
        (Exit(signal=15), False, Outcome.SIGNALLED),  # somebody else's TERM is not ours
        (Exit(signal=11), False, Outcome.SIGNALLED),
    ],
)
def test_an_exit_is_an_outcome(how: Exit, stopped: bool, what: Outcome) -> None:
    assert outcome(how, stopped=stopped) is what


@pytest.mark.parametrize(
    ("what", "with_the_lease", "without_it"),
    [
        (Outcome.SUCCEEDED, Settlement.DELETE, Settlement.DELETE),  # the work is done, whoever has it now
        (Outcome.INTERRUPTED, Settlement.RELEASE, Settlement.LEAVE),  # a release could cut a newer owner's lease
        (Outcome.FAILED, Settlement.LEAVE, Settlement.LEAVE),
        (Outcome.SIGNALLED, Settlement.LEAVE, Settlement.LEAVE),
    ],
)
def test_an_outcome_is_settled(what: Outcome, with_the_lease: Settlement, without_it: Settlement) -> None:
    assert settlement(what, lease_lost=False) is with_the_lease
    assert settlement(what, lease_lost=True) is without_it


@pytest.mark.parametrize(
    ("what", "attempt", "limit", "bad"),
    [
        (Outcome.FAILED, 3, 3, True),
        (Outcome.SIGNALLED, 3, 3, True),
        (Outcome.FAILED, 4, 3, True),  # a queue whose limit was lowered meanwhile
        (Outcome.FAILED, 2, 3, False),  # tried again
        (Outcome.FAILED, 99, None, False),  # without a redrive policy no attempt is the last
        (Outcome.SUCCEEDED, 3, 3, False),
        (Outcome.INTERRUPTED, 3, 3, False),
    ],
)
def test_a_message_ends_badly_when_its_last_attempt_fails(
    what: Outcome, attempt: int, limit: int | None, bad: bool
) -> None:
    assert ended_badly(what, attempt, limit) is bad


@given(EXITS, st.booleans())
def test_only_finished_work_is_deleted(how: Exit, stopped: bool) -> None:
    for lost in (False, True):
        deleted = settlement(outcome(how, stopped=stopped), lease_lost=lost) is Settlement.DELETE
        assert deleted == (how.code == 0)


@given(EXITS, st.booleans())
def test_nothing_is_released_without_a_lease(how: Exit, stopped: bool) -> None:
    assert settlement(outcome(how, stopped=stopped), lease_lost=True) is not Settlement.RELEASE


def test_the_words_of_the_log() -> None:
    """Contract: the last words of the events `job.…` and `message.…`."""
    assert [what.value for what in Outcome] == ["succeeded", "failed", "signalled", "stopped"]
    assert [how.value for how in Settlement] == ["deleted", "released", "left"]
