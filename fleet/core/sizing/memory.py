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

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from fleet.core.records import replace

LATEST = 64  # jobs
EXCEEDED = 0.05  # of them may have needed more
FLOOR = 0.05  # of all memory, and
FLOOR_LEAST = 64.0  # MiB
SMALLEST = 0.01  # MiB: no process is smaller
# Seconds: how soon a host that is short of memory is measured again, if nothing else happens.
AGAIN = 5.0


@dataclass(frozen=True)
class Memory:
    """The host's memory in MiB, as measured at `at`. `taken`: what each running job had of it then.

    `jobs`: the largest memory of each of the last jobs. `short`: no message is received for want of
    memory.
    """

    available: float = inf
    total: float = inf
    taken: Sequence[float] = ()
    at: float = -inf
    jobs: tuple[float, ...] = ()
    short: bool = False

    @property
    def floor(self) -> float:
        """What stays free."""
        return max(FLOOR_LEAST, FLOOR * self.total)

    @property
    def job(self) -> float | None:
        """What a job needs; None while none has been seen."""
        if not self.jobs:
            return max(self.taken, default=None)
        return sorted(self.jobs)[int((1 - EXCEEDED) * (len(self.jobs) - 1) + 0.5)]


def note_job(memory: Memory, mib: float) -> Memory:
    """A job has ended, and its largest memory was `mib`."""
    return replace(memory, jobs=(*memory.jobs, mib)[-LATEST:])


def jobs_that_fit(memory: Memory, running: int, polls: int = 0) -> int | None:
    """How many more jobs fit beside those that run and those that open polls may bring.

    None is any number. Jobs that began after the measurement count in full.
    """
    job = memory.job
    if memory.available == inf or not job:
        return None
    to_come = sum(max(0.0, job - taken) for taken in memory.taken[:running])
    to_come += job * (max(0, running - len(memory.taken)) + polls)
    return int((memory.available - memory.floor - to_come) // max(job, SMALLEST))
