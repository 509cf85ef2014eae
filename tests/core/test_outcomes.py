"""Wait status → exit → outcome → settlement."""

import signal
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.config import Config
from fleet.core.outcomes import (
    Exit,
    Facts,
    Outcome,
    Settlement,
    Stop,
    Verdict,
    from_siginfo,
    has_ended_badly,
    is_redriven,
    outcome_of,
    verdict_for,
    was_stopped_from_outside,
)

CLD_EXITED, CLD_KILLED, CLD_DUMPED = 1, 2, 3  # waitid(2)
MIDDLE, ALMOST_ONE = 0.5, 0.999999

EXITS = st.builds(Exit, code=st.integers(0, 255)) | st.builds(Exit, signal=st.integers(1, 64))
STOPS = st.none() | st.sampled_from(Stop)
JITTERS = st.floats(0, 1, exclude_max=True)
FACTS = st.builds(
    Facts,
    attempt=st.integers(1, 1000),
    limit=st.none() | st.integers(1, 1000),
    has_dead_letter_queue=st.booleans(),
    after=st.none() | st.floats(0, allow_nan=False),
    room=st.floats(-10, 43_200),
    lost=st.booleans(),
)
CONFIGS = st.builds(
    Config,
    visibility_timeout=st.floats(2, 43_200),
    retry_delay=st.lists(st.floats(0, 100_000), max_size=3).map(tuple),
    delete_failed=st.booleans(),
    dead_letter=st.sampled_from(["native", "direct"]),
)

PLAIN = Facts(attempt=1, limit=3, has_dead_letter_queue=True)
LAST = Facts(attempt=3, limit=3, has_dead_letter_queue=True)
ENDLESS = Facts(attempt=3)  # no redrive policy
PLAIN_CONFIG = Config()
DIRECT, DELETE_FAILED = Config(dead_letter="direct"), Config(delete_failed=True)
BOTH = Config(dead_letter="direct", delete_failed=True)


def lost(facts: Facts) -> Facts:
    return replace(facts, lost=True)


def settled(what: Outcome, facts: Facts = PLAIN, config: Config = PLAIN_CONFIG) -> Settlement:
    return verdict_for(what, facts, config, MIDDLE).settlement


# Exit.


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


# Outcome.


@pytest.mark.parametrize(
    ("how", "stop", "what"),
    [
        (Exit(code=1), None, Outcome.FAILED),
        (Exit(code=255), None, Outcome.FAILED),
        (Exit(signal=15), None, Outcome.SIGNALLED),  # somebody else's TERM is not ours
        (Exit(signal=11), None, Outcome.SIGNALLED),
        *(
            (how, Stop.INTERRUPTED, Outcome.INTERRUPTED)
            for how in (Exit(code=1), Exit(signal=15), Exit(signal=9))
        ),
        *(
            (how, Stop.LEASE_LOST, Outcome.INTERRUPTED)
            for how in (Exit(code=1), Exit(signal=15), Exit(signal=9))
        ),
        *(
            (how, Stop.TIMED_OUT, Outcome.TIMED_OUT)
            for how in (Exit(code=1), Exit(signal=15), Exit(signal=9))
        ),
        # Told to stop, and it said all the same how it ended:
        *((Exit(code=0), stop, Outcome.SUCCEEDED) for stop in (None, *Stop)),
        *((Exit(code=75), stop, Outcome.RETRIED) for stop in (None, *Stop)),
        *((Exit(code=65), stop, Outcome.REJECTED) for stop in (None, *Stop)),
    ],
)
def test_an_exit_is_an_outcome(how: Exit, stop: Stop | None, what: Outcome) -> None:
    assert outcome_of(how, stop) is what


@pytest.mark.parametrize(
    ("how", "outside"),
    [
        *((Exit(signal=number), True) for number in (1, 2, 3, 15)),
        *((Exit(code=128 + number), True) for number in (1, 2, 3, 15)),
        *((Exit(signal=number), False) for number in (6, 9, 10, 11, 13, 14)),
        *((Exit(code=code), False) for code in (0, 1, 2, 15, 65, 75, 128, 134, 137, 139, 255)),
    ],
)
def test_what_ends_as_a_supervisor_ends_programs(how: Exit, outside: bool) -> None:
    assert was_stopped_from_outside(how) is outside


# Settlement: the table, line by line.

DELETE, RELEASE, DEAD_LETTER, LEAVE = Settlement
FAILED, TIMED_OUT, SIGNALLED = Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SIGNALLED
TIMED_OUT_WAYS = (
    (PLAIN, PLAIN_CONFIG),
    (LAST, PLAIN_CONFIG),
    (PLAIN, DELETE_FAILED),
    (LAST, DIRECT),
)


@pytest.mark.parametrize(
    "config", [PLAIN_CONFIG, DIRECT, DELETE_FAILED, BOTH, Config(retry_delay=(10.0,))]
)
@pytest.mark.parametrize("facts", [PLAIN, LAST, ENDLESS, lost(PLAIN), lost(LAST), lost(ENDLESS)])
def test_success_is_always_deleted(facts: Facts, config: Config) -> None:
    assert verdict_for(Outcome.SUCCEEDED, facts, config, MIDDLE) == Verdict(
        DELETE, "its job succeeded"
    )


@pytest.mark.parametrize(
    ("what", "ordinary", "last_and_direct", "delete_failed", "without_a_dead_letter_queue"),
    [
        (Outcome.RETRIED, RELEASE, DEAD_LETTER, RELEASE, RELEASE),
        (Outcome.REJECTED, DEAD_LETTER, DEAD_LETTER, DEAD_LETTER, LEAVE),
        (FAILED, LEAVE, DEAD_LETTER, DELETE, LEAVE),
        (TIMED_OUT, LEAVE, DEAD_LETTER, DELETE, LEAVE),
        (SIGNALLED, RELEASE, DEAD_LETTER, DELETE, RELEASE),
        (Outcome.INTERRUPTED, RELEASE, DEAD_LETTER, RELEASE, RELEASE),
    ],
)
def test_an_outcome_is_settled(
    what: Outcome,
    ordinary: Settlement,
    last_and_direct: Settlement,
    delete_failed: Settlement,
    without_a_dead_letter_queue: Settlement,
) -> None:
    assert settled(what, PLAIN) is ordinary
    assert settled(what, LAST) is ordinary  # SQS's own redrive moves it
    assert settled(what, PLAIN, DIRECT) is ordinary  # not its last attempt
    assert settled(what, LAST, DIRECT) is last_and_direct
    assert settled(what, PLAIN, DELETE_FAILED) is delete_failed
    assert settled(what, ENDLESS) is without_a_dead_letter_queue
    assert settled(what, ENDLESS, DIRECT) is without_a_dead_letter_queue
    assert (
        settled(what, replace(LAST, has_dead_letter_queue=False), DIRECT)
        is without_a_dead_letter_queue
    )


@pytest.mark.parametrize("what", [FAILED, TIMED_OUT, SIGNALLED])
def test_deleting_failures_comes_before_dead_lettering_them(what: Outcome) -> None:
    assert settled(what, LAST, BOTH) is DELETE
    assert settled(what, lost(LAST), BOTH) is DELETE


def test_rejected_without_a_dead_letter_queue_is_a_failure() -> None:
    assert verdict_for(Outcome.REJECTED, ENDLESS, PLAIN_CONFIG, MIDDLE) == Verdict(
        LEAVE, "rejected, and there is no dead-letter queue"
    )
    assert settled(Outcome.REJECTED, ENDLESS, DELETE_FAILED) is DELETE
    assert verdict_for(Outcome.REJECTED, ENDLESS, Config(retry_delay=(10.0,)), MIDDLE).delay == 10


@pytest.mark.parametrize("what", [what for what in Outcome if what is not Outcome.SUCCEEDED])
@pytest.mark.parametrize("config", [PLAIN_CONFIG, DIRECT, Config(retry_delay=(10.0,))])
@pytest.mark.parametrize("facts", [PLAIN, LAST, ENDLESS])
def test_without_a_lease_all_else_is_left(what: Outcome, facts: Facts, config: Config) -> None:
    assert verdict_for(what, lost(facts), config, MIDDLE) == Verdict(LEAVE, "its lease was lost")


@pytest.mark.parametrize(
    ("attempt", "limit", "last"),
    [(1, 1, True), (1, 2, False), (2, 2, True), (3, 2, True), (999, None, False)],
)
def test_the_last_attempt_is_a_property_of_the_delivery(
    attempt: int, limit: int | None, last: bool
) -> None:
    assert Facts(attempt=attempt, limit=limit).last is last


def test_a_verdict_says_why() -> None:
    """The reasons that people read in the log."""
    why = [
        verdict_for(what, facts, config, MIDDLE).why
        for what, facts, config in [
            (FAILED, PLAIN, PLAIN_CONFIG),
            (FAILED, LAST, PLAIN_CONFIG),
            (FAILED, PLAIN, DELETE_FAILED),
            (FAILED, LAST, DIRECT),
            (SIGNALLED, PLAIN, PLAIN_CONFIG),
            (Outcome.RETRIED, PLAIN, PLAIN_CONFIG),
            (Outcome.REJECTED, PLAIN, PLAIN_CONFIG),
            (Outcome.INTERRUPTED, PLAIN, PLAIN_CONFIG),
            (FAILED, LAST, Config(retry_delay=(5.0,))),
            *((TIMED_OUT, facts, replace(how, job_timeout=1.5)) for facts, how in TIMED_OUT_WAYS),
        ]
    ]
    assert why == [
        "its job failed",
        "its job failed on its last attempt",
        "its job failed (--delete-failed)",
        "its job failed on its last attempt (--dead-letter direct)",
        "its job died by a signal",
        "its job asked for a retry",
        "its job rejected it",
        "its job was stopped",
        "its job failed on its last attempt",
        "its job ran into --job-timeout (1.5 s)",
        "its job ran into --job-timeout (1.5 s) on its last attempt",
        "its job ran into --job-timeout (1.5 s) (--delete-failed)",
        "its job ran into --job-timeout (1.5 s) on its last attempt (--dead-letter direct)",
    ]


# Delays.


@pytest.mark.parametrize("what", [FAILED, TIMED_OUT, SIGNALLED])
@pytest.mark.parametrize(("attempt", "delay"), [(1, 10), (2, 60), (3, 300), (4, 300), (1000, 300)])
def test_a_failure_is_delayed_by_its_attempt_and_the_last_delay_repeats(
    what: Outcome, attempt: int, delay: int
) -> None:
    config = Config(retry_delay=(10.0, 60.0, 300.0))
    found = verdict_for(what, Facts(attempt=attempt), config, MIDDLE)
    assert (found.settlement, found.delay) == (RELEASE, delay)


@pytest.mark.parametrize(
    ("jitter", "delay"), [(0.0, 90), (0.25, 95), (0.5, 100), (0.75, 105), (ALMOST_ONE, 110)]
)
def test_a_retry_delay_is_spread_by_a_tenth_both_ways(jitter: float, delay: int) -> None:
    for what in (FAILED, SIGNALLED):
        assert verdict_for(what, PLAIN, Config(retry_delay=(100.0,)), jitter).delay == delay


@pytest.mark.parametrize(
    ("after", "delay"), [(None, 0), (0.0, 0), (0.4, 0), (0.6, 1), (7.0, 7), (7.6, 8)]
)
@pytest.mark.parametrize("jitter", [0.0, ALMOST_ONE])
def test_a_retry_is_delayed_by_what_it_asked_for(
    after: float | None, delay: int, jitter: float
) -> None:
    """In whole seconds, as SQS counts, and without jitter; not by --retry-delay."""
    facts = replace(PLAIN, after=after)
    assert verdict_for(Outcome.RETRIED, facts, Config(retry_delay=(500.0,)), jitter).delay == delay


@pytest.mark.parametrize(
    ("attempt", "lease", "delay"),
    [
        (1, 60.0, 5),
        (2, 60.0, 10),
        (3, 60.0, 20),
        (4, 60.0, 40),
        (5, 60.0, 60),
        (1, 2.0, 2),
        (10, 43_200.0, 2560),
        (1000, 43_200.0, 43_200),
    ],
)
@pytest.mark.parametrize("jitter", [0.0, ALMOST_ONE])
def test_a_crashing_message_does_not_spin(
    attempt: int, lease: float, delay: int, jitter: float
) -> None:
    config = Config(visibility_timeout=lease)
    assert verdict_for(SIGNALLED, Facts(attempt=attempt), config, jitter).delay == delay


@pytest.mark.parametrize("facts", [PLAIN, replace(PLAIN, after=100.0)])
def test_an_interrupted_message_is_released_at_once(facts: Facts) -> None:
    assert verdict_for(Outcome.INTERRUPTED, facts, Config(retry_delay=(500.0,)), MIDDLE).delay == 0


@pytest.mark.parametrize(
    ("what", "facts", "config"),
    [
        (Outcome.RETRIED, Facts(after=50_000.0), PLAIN_CONFIG),
        (Outcome.RETRIED, Facts(after=inf), PLAIN_CONFIG),
        (FAILED, Facts(), Config(retry_delay=(50_000.0,))),
        (SIGNALLED, Facts(attempt=16), Config(visibility_timeout=43_200.0)),
    ],
)
@pytest.mark.parametrize(
    ("room", "delay"), [(43_200.0, 43_200), (99.9, 99), (0.5, 0), (0.0, 0), (-5.0, 0)]
)
def test_a_delay_ends_where_sqs_ends_it(
    what: Outcome, facts: Facts, config: Config, room: float, delay: int
) -> None:
    """Whole seconds, and never one more than SQS would still hide the message: it refuses, it does
    not clamp.
    """
    assert verdict_for(what, replace(facts, room=room), config, MIDDLE).delay == delay


# Whatever happens.


@given(st.sampled_from(Outcome), FACTS, CONFIGS, JITTERS)
def test_nothing_is_released_or_dead_lettered_without_a_lease(
    what: Outcome, facts: Facts, config: Config, jitter: float
) -> None:
    assert verdict_for(what, lost(facts), config, jitter).settlement in (DELETE, LEAVE)


@given(EXITS, STOPS, FACTS, CONFIGS, JITTERS)
def test_only_finished_work_is_deleted_unless_people_want_it(
    how: Exit, stop: Stop | None, facts: Facts, config: Config, jitter: float
) -> None:
    what = outcome_of(how, stop)
    found = verdict_for(what, facts, config, jitter).settlement
    if how.code == 0:
        assert found is DELETE
    elif not config.delete_failed:
        assert found is not DELETE
    if what in (Outcome.RETRIED, Outcome.INTERRUPTED):
        assert found is not DELETE


@given(st.sampled_from(Outcome), FACTS, CONFIGS, JITTERS)
def test_only_a_dead_letter_queue_gets_dead_letters(
    what: Outcome, facts: Facts, config: Config, jitter: float
) -> None:
    if verdict_for(what, facts, config, jitter).settlement is DEAD_LETTER:
        assert facts.has_dead_letter_queue
        assert what is Outcome.REJECTED or (config.dead_letters_directly and facts.last)


@given(st.sampled_from(Outcome), FACTS, CONFIGS, JITTERS)
def test_a_delay_is_what_sqs_takes(
    what: Outcome, facts: Facts, config: Config, jitter: float
) -> None:
    found = verdict_for(what, facts, config, jitter)
    assert isinstance(found.delay, int)
    assert 0 <= found.delay <= max(0.0, facts.room)
    assert found.settlement is RELEASE or found.delay == 0
    assert found.why


# A bad end.


@pytest.mark.parametrize(
    ("what", "how", "facts", "bad"),
    [
        (FAILED, LEAVE, LAST, True),
        (TIMED_OUT, LEAVE, LAST, True),
        (SIGNALLED, RELEASE, LAST, True),
        (Outcome.RETRIED, RELEASE, LAST, True),  # SQS's redrive moves it at its next receive
        (
            FAILED,
            LEAVE,
            replace(LAST, attempt=4),
            True,
        ),  # a queue whose limit was lowered meanwhile
        (FAILED, LEAVE, PLAIN, False),  # tried again
        (SIGNALLED, RELEASE, PLAIN, False),
        (Outcome.RETRIED, RELEASE, PLAIN, False),
        (FAILED, LEAVE, ENDLESS, False),  # without a redrive config no attempt is the last
        (FAILED, DELETE, PLAIN, True),  # --delete-failed
        (Outcome.REJECTED, DEAD_LETTER, PLAIN, True),
        (Outcome.REJECTED, LEAVE, ENDLESS, True),
        (Outcome.INTERRUPTED, DEAD_LETTER, LAST, True),  # --dead-letter direct
        (None, DEAD_LETTER, PLAIN, True),
        (Outcome.SUCCEEDED, DELETE, LAST, False),
        (Outcome.SUCCEEDED, LEAVE, LAST, False),
        (Outcome.INTERRUPTED, RELEASE, LAST, False),
        (None, RELEASE, LAST, False),  # it came too late to be worked on
    ],
)
def test_a_message_ends_badly(
    what: Outcome | None, how: Settlement, facts: Facts, bad: bool
) -> None:
    assert has_ended_badly(what, how, facts) is bad


def test_the_words_of_the_log() -> None:
    """Contract: the last words of the events `job.…` and `message.…`."""
    words = ["succeeded", "retried", "rejected", "failed", "timed_out", "signalled", "stopped"]
    assert [what.value for what in Outcome] == words
    assert [how.value for how in Settlement] == ["deleted", "released", "dead_lettered", "left"]


@pytest.mark.parametrize("settlement", Settlement)
@pytest.mark.parametrize("attempt", [2, 3])
@pytest.mark.parametrize("limit", [None, 3])
def test_what_the_queue_dead_letters_itself(
    settlement: Settlement, attempt: int, limit: int | None
) -> None:
    facts = Facts(attempt=attempt, limit=limit, has_dead_letter_queue=limit is not None)
    still_there = settlement in (Settlement.LEAVE, Settlement.RELEASE)
    assert is_redriven(settlement, facts) is (still_there and limit == 3 and attempt == 3)
