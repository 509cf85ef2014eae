"""What the log tells of a job's end: how, why, and what the job used."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from fleet.core.delivery import Delivery, Rules, begin
from fleet.core.outcomes import Exit, Stop
from fleet.dispatcher.context import UserProcess
from fleet.dispatcher.delivery_log import job_fields, summarize
from fleet.system.processes import Usage


@dataclass(frozen=True)
class Job:
    """What is looked at of a job's process."""

    pid: int = 4711
    seconds: float = 12.345_678
    usage: Usage = field(default_factory=lambda: Usage(max_rss_mib=34.5, cpu_seconds=1.25))


JOB = cast(UserProcess, Job())


def ended(how: Exit | None, stop: Stop | None = None) -> Delivery:
    return replace(begin(0.0, 0.0, Rules()), exit=how, stop=stop)


def test_it_says_what_is_known() -> None:
    assert job_fields(JOB, ended(Exit(code=1)), memory_ran_out=False) == {
        "job_pid": 4711,
        "exit": "exit 1",
        "duration": 12.3457,
        "max_rss_mib": 34.5,
        "cpu_seconds": 1.25,
        "timed_out": False,
        "stopped_by": None,
        "oom": None,
    }


@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        (Exit(code=0), "exit 0"),
        (Exit(signal=9), "SIGKILL"),
        (Exit(signal=11), "SIGSEGV"),
        (None, "unknown"),
    ],
)
def test_an_exit_has_a_name(how: Exit | None, phrase: str) -> None:
    assert job_fields(JOB, ended(how), memory_ran_out=False)["exit"] == phrase


@pytest.mark.parametrize(
    ("stop", "timed_out", "stopped_by"),
    [
        (None, False, None),
        (Stop.TIMED_OUT, True, "--job-timeout"),
        (Stop.INTERRUPTED, False, "interrupted"),
        (Stop.LEASE_LOST, False, "its lease was lost"),
    ],
)
def test_it_says_who_stopped_the_job(
    stop: Stop | None, timed_out: bool, stopped_by: str | None
) -> None:
    found = job_fields(JOB, ended(Exit(signal=9), stop), memory_ran_out=False)
    assert (found["timed_out"], found["stopped_by"]) == (timed_out, stopped_by)


@pytest.mark.parametrize(
    ("how", "stop", "memory_ran_out", "oom"),
    [
        (Exit(signal=9), None, True, "likely"),
        (Exit(signal=9), None, False, None),  # SIGKILL alone is no proof
        (Exit(signal=9), Stop.TIMED_OUT, True, None),  # it was ours
        (Exit(signal=15), None, True, None),
        (Exit(code=1), None, True, None),  # another process of the cgroup
        (None, None, True, None),
    ],
)
def test_out_of_memory_is_likely_at_the_most(
    how: Exit | None, stop: Stop | None, memory_ran_out: bool, oom: str | None
) -> None:
    assert job_fields(JOB, ended(how, stop), memory_ran_out=memory_ran_out)["oom"] == oom


@pytest.mark.parametrize(
    ("how", "stop", "memory_ran_out", "line"),
    [
        (Exit(code=1), None, False, "exit 1 after 12.35 s, 34 MiB, CPU 1.25 s"),
        (
            Exit(signal=9),
            None,
            True,
            "SIGKILL, likely out of memory after 12.35 s, 34 MiB, CPU 1.25 s",
        ),
        (
            Exit(signal=15),
            Stop.TIMED_OUT,
            False,
            "SIGTERM, stopped: --job-timeout after 12.35 s, 34 MiB, CPU 1.25 s",
        ),
    ],
)
def test_it_fits_in_a_line(how: Exit, stop: Stop | None, memory_ran_out: bool, line: str) -> None:
    found: dict[str, Any] = job_fields(JOB, ended(how, stop), memory_ran_out=memory_ran_out)
    assert summarize(found) == line
