"""For how many more jobs there is memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.sizing import memory
from fleet.core.sizing.memory import FLOOR_LEAST, LATEST, Memory

MIB = st.floats(0, 100_000)


def host(
    available: float, *jobs: float, taken: tuple[float, ...] = (), total: float = 1000.0
) -> tuple[Memory, tuple[float, ...]]:
    """Its memory, and that of its last jobs."""
    return Memory(available, total, dict(enumerate(taken)), 0.0), jobs


def needs(measured: Memory, jobs: tuple[float, ...]) -> float | None:
    return memory.job_mib(measured.taken, jobs)


def test_nothing_limits_before_anything_is_known() -> None:
    assert memory.jobs_that_fit(Memory(), (), 8) is None
    assert memory.jobs_that_fit(*host(0.0), 8) is None  # no job has been seen
    # The memory has not been measured.
    assert memory.jobs_that_fit(Memory(), (100.0,), 8) is None


@pytest.mark.parametrize(
    ("available", "then"),
    [(364.0, 3), (363.9, 2), (164.0, 1), (163.9, 0), (64.0, 0), (10.0, -1)],  # 64 MiB stay free
)
def test_what_is_available_above_the_floor_is_for_jobs(available: float, then: int) -> None:
    assert memory.jobs_that_fit(*host(available, 100.0), 0) == then


def test_a_twentieth_of_a_large_host_stays_free() -> None:
    assert Memory(total=16_000.0).floor == 800.0
    assert Memory(total=500.0).floor == FLOOR_LEAST


def test_what_the_running_jobs_have_not_taken_yet_is_theirs() -> None:
    assert memory.jobs_that_fit(*host(464.0, 100.0, taken=(100.0, 100.0)), 2) == 4
    assert memory.jobs_that_fit(*host(464.0, 100.0, taken=(10.0, 100.0)), 2) == 3
    # One that took more owes nothing.
    assert memory.jobs_that_fit(*host(464.0, 100.0, taken=(250.0, 100.0)), 2) == 4


def test_a_job_that_began_after_the_look_has_everything_still_to_take() -> None:
    assert memory.jobs_that_fit(*host(464.0, 100.0, taken=(100.0,)), 3) == 2


def test_a_job_is_what_one_in_twenty_exceeds() -> None:
    assert needs(*host(0.0, *[float(mib) for mib in range(1, 21)])) == 19.0
    assert needs(*host(0.0, 100.0, 300.0)) == 300.0
    assert needs(*host(0.0, *[10.0] * 63, 9000.0)) == 10.0


def test_before_any_has_ended_the_largest_that_runs_is_the_measure() -> None:
    assert needs(*host(364.0, taken=(20.0, 100.0))) == 100.0
    assert memory.jobs_that_fit(*host(364.0, taken=(20.0, 100.0)), 2) == 2


def test_old_jobs_are_forgotten() -> None:
    found: tuple[float, ...] = ()
    for _ in range(LATEST):
        found = memory.note_job(found, 500.0)
    for _ in range(LATEST):
        found = memory.note_job(found, 20.0)
    assert needs(Memory(), found) == 20.0


@given(MIB, MIB, st.lists(MIB, min_size=1, max_size=80), st.integers(0, 20))
def test_more_memory_is_never_less_room(
    available: float, more: float, jobs: list[float], running: int
) -> None:
    less, greater = (
        memory.jobs_that_fit(*host(mib, *jobs), running) for mib in (available, available + more)
    )
    assert less is None or (greater is not None and less <= greater)


def test_nothing_is_taken_yet_of_what_a_poll_may_bring() -> None:
    """What was measured may be of a job that has ended since: it is no open poll's."""
    stale = host(464.0, 100.0, taken=(100.0,))
    assert [memory.jobs_that_fit(*stale, 0, polls) for polls in range(5)] == [4, 3, 2, 1, 0]
    assert memory.jobs_that_fit(*stale, 1, 1) == 3
