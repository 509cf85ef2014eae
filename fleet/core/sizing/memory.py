"""For how many more jobs this host has memory.

    job    the largest resident memory of a job: of the last LATEST jobs, the one that is exceeded
           by one in twenty; before any has ended, the largest that a running job has now
    room   (available - floor - what the running jobs have not taken yet of it) / job

The floor is for everybody else. Resident memory counts what a job shares with its dispatcher too,
so it is more than a job adds; but what is available is measured, so that is never added up, and
only the last jobs of a full host wait. With no room for one more job no message is taken: others
can have it, and none of its attempts is spent on a job that the kernel would kill. The first job is
always allowed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

LATEST = 64  # jobs
EXCEEDED = 0.05  # of them may have needed more
FLOOR = 0.05  # of all memory, and
FLOOR_LEAST = 64.0  # MiB
SMALLEST = 0.01  # MiB: no process is smaller
# Seconds: how soon a host that is short of memory is measured again, if nothing else happens.
AGAIN = 5.0


@dataclass(frozen=True)
class Memory:
    """The host's memory in MiB, as measured at `at`.

    `taken`: what each running job had of it then, by its slot.

    `short`: no message is received for want of memory.
    """

    available: float = inf
    total: float = inf
    taken: Mapping[int, float] = field(default_factory=dict)
    at: float = -inf
    short: bool = False

    @property
    def floor(self) -> float:
        """What stays free."""
        return max(FLOOR_LEAST, FLOOR * self.total)


def note_job(jobs: tuple[float, ...], mib: float) -> tuple[float, ...]:
    """A job has ended: the largest memory (MiB) of each of the last jobs."""
    return (*jobs, mib)[-LATEST:]


def job_mib(taken: Mapping[int, float], jobs: Sequence[float]) -> float | None:
    """What a job needs; None while none has been seen.

    `taken`: what each that runs has. `jobs`: of the last ones (`note_job`).
    """
    if not jobs:
        return max(taken.values(), default=None)
    return sorted(jobs)[int((1 - EXCEEDED) * (len(jobs) - 1) + 0.5)]


def jobs_that_fit(
    memory: Memory, jobs: Sequence[float], running: int, polls: int = 0
) -> int | None:
    """How many more jobs fit beside those that run and those that open polls may bring.

    None is any number. Jobs that began after the measurement count in full.
    """
    job = job_mib(memory.taken, jobs)
    if memory.available == inf or not job:
        return None
    to_come = sum(max(0.0, job - taken) for taken in [*memory.taken.values()][:running])
    to_come += job * (max(0, running - len(memory.taken)) + polls)
    return int((memory.available - memory.floor - to_come) // max(job, SMALLEST))
