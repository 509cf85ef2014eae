"""A job's death certificate: how it ended, why, and what it used."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from fleet.core.delivery.machine import Delivery, Rules, run
from fleet.core.outcomes import Exit, Stop
from fleet.dispatcher import certificate
from fleet.dispatcher.context import Living
from fleet.system.processes import Usage


@dataclass(frozen=True)
class Job:
    """What a certificate looks at."""

    pid: int = 4711
    seconds: float = 12.345_678
    usage: Usage = field(default_factory=lambda: Usage(max_rss_mib=34.5, cpu_seconds=1.25))


JOB = cast(Living, Job())


def ended(how: Exit | None, stop: Stop | None = None) -> Delivery:
    return replace(run(0.0, 0.0, Rules(), now=0.0), exit=how, stop=stop)


def test_it_says_what_is_known() -> None:
    assert certificate.of(JOB, ended(Exit(code=1)), memory_ran_out=False) == {
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
    assert certificate.of(JOB, ended(how), memory_ran_out=False)["exit"] == phrase


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
    found = certificate.of(JOB, ended(Exit(signal=9), stop), memory_ran_out=False)
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
    assert certificate.of(JOB, ended(how, stop), memory_ran_out)["oom"] == oom


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
    found: dict[str, Any] = certificate.of(JOB, ended(how, stop), memory_ran_out)
    assert certificate.phrase(found) == line
