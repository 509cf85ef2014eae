"""What a host learns of its work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.sizing import workload
from fleet.core.sizing.workload import FADE, MOST_HIDDEN, Workload

WINDOW = 60.0
STRETCHES = st.lists(st.tuples(st.integers(0, 64), st.floats(0.001, 100)), min_size=1, max_size=50)


def worked(*stretches: tuple[int, float]) -> Workload:
    """So many busy for so many seconds, one stretch after the other, nothing finished."""
    work = Workload()
    for busy, seconds in stretches:
        work = workload.pass_time(work, busy, work.at + seconds, WINDOW)
    return work


def jobs(work: Workload, count: int, seconds: float, busy: int = 1) -> Workload:
    """`busy` dispatchers at a time, each with a job that takes so long, until so many are done."""
    for _ in range(count):
        work = workload.pass_time(work, busy, work.at + seconds / busy, WINDOW)
        work = workload.note_end(work, busy)
    return work


# The load.


def test_the_load_is_what_has_been_busy_over_the_window() -> None:
    assert worked((8, 600.0)).load == pytest.approx(8.0, abs=0.01)
    assert worked((8, 600.0), (0, 60.0)).load == pytest.approx(8 / 2.718, abs=0.01)
    assert worked((8, 600.0), (0, 600.0)).load == pytest.approx(0.0, abs=0.01)


@given(STRETCHES)
def test_the_load_lies_between_the_fewest_and_the_most_that_were_busy(
    stretches: list[tuple[int, float]],
) -> None:
    load = worked(*stretches).load
    assert 0 <= load <= max(busy for busy, _ in stretches) + 1e-9


@given(st.integers(0, 64), st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_load_does_not_depend_on_how_often_one_looks(
    busy: int, one: float, other: float
) -> None:
    assert worked((busy, one), (busy, other)).load == pytest.approx(
        worked((busy, one + other)).load
    )


def test_time_does_not_go_back() -> None:
    work = worked((8, 10.0))
    assert workload.pass_time(work, 3, work.at - 1.0, WINDOW) is work


def test_without_a_window_the_load_is_what_is_busy_now() -> None:
    assert workload.pass_time(Workload(load=3.0), 8, 1.0, 0.0).load == 8.0


# Job seconds.


def test_nothing_is_known_before_there_was_a_job() -> None:
    assert workload.job_seconds(Workload(), 0) is None
    assert workload.job_seconds(worked((0, 100.0)), 0) is None


def test_before_anything_is_finished_it_is_the_age_of_the_running_jobs() -> None:
    assert workload.job_seconds(worked((1, 7.0)), 1) == pytest.approx(7.0)
    assert workload.job_seconds(worked((8, 7.0)), 8) == pytest.approx(7.0)


@pytest.mark.parametrize("busy", [1, 8, 64, 200])
@pytest.mark.parametrize("seconds", [0.05, 2.0, 3600.0])
def test_it_is_what_a_job_takes_however_many_run(busy: int, seconds: float) -> None:
    assert workload.job_seconds(jobs(Workload(), 10 * busy, seconds, busy), busy) == pytest.approx(
        seconds, rel=0.02
    )


def test_the_first_of_eight_equal_jobs_is_not_taken_for_eight_times_as_long() -> None:
    work = workload.note_end(worked((8, 10.0)), 8)
    assert workload.job_seconds(work, 7) == pytest.approx(10.0, rel=0.2)


def test_old_jobs_fade() -> None:
    changed = jobs(jobs(Workload(), 500, 1.0), 5 * FADE, 9.0)
    assert workload.job_seconds(changed, 1) == pytest.approx(9.0, rel=0.02)


def test_jobs_that_become_long_show_before_the_first_of_them_has_ended() -> None:
    work = jobs(Workload(), 500, 1.0, 8)
    after = workload.pass_time(work, 8, work.at + 60.0, WINDOW)
    assert workload.job_seconds(after, 8) == pytest.approx(1.0 + 8 * 60 / FADE, rel=0.1)


def test_the_mean_does_not_fade() -> None:
    changed = jobs(jobs(Workload(), 500, 1.0), 500, 9.0)
    assert workload.mean_seconds(changed, 0) == pytest.approx(5.0)
    assert workload.mean_seconds(Workload(), 0) is None


def test_a_quiet_night_forgets_nothing() -> None:
    work = jobs(Workload(), 500, 2.0)
    assert workload.job_seconds(
        workload.pass_time(work, 0, work.at + 86_400, WINDOW), 0
    ) == pytest.approx(2.0)


# What we have left hidden.


def test_a_message_left_to_its_lease_is_hidden_until_that_ends() -> None:
    work = workload.note_end(workload.pass_time(Workload(), 1, 100.0, WINDOW), 1, hidden_for=40.0)
    assert [workload.count_hidden(work, at) for at in (100.0, 139.0, 140.0)] == [1, 1, 0]


def test_a_deleted_message_is_not_hidden() -> None:
    assert workload.count_hidden(workload.note_end(Workload(), 1), 0.0) == 0


def test_a_flood_of_failures_is_remembered_within_bounds() -> None:
    work = Workload()
    for _ in range(MOST_HIDDEN + 100):
        work = workload.note_end(work, 1, hidden_for=10.0)
    assert workload.count_hidden(work, 0.0) == MOST_HIDDEN
