"""A job's death certificate: how it ended, why, and what it used."""

from typing import Any

from fleet.core.delivery.machine import Delivery
from fleet.core.outcomes import Stop
from fleet.dispatcher.context import Living
from fleet.system import processes

SIGKILL = 9


def of(job: Living, delivery: Delivery, memory_ran_out: bool) -> dict[str, Any]:
    """The fields of the job's closing event.

    `oom`: the cgroup's count of out-of-memory kills grew while it ran and it died by a SIGKILL that
    was not ours: likely, not certain, because another process of the cgroup may have been meant.
    """
    exit_ = delivery.exit
    killed = exit_ is not None and exit_.signal == SIGKILL and delivery.stop is None
    return {
        "job_pid": job.pid,
        "exit": processes.describe_exit(exit_) if exit_ else "unknown",
        "duration": round(job.seconds, 4),
        "max_rss_mib": job.usage.max_rss_mib,
        "cpu_seconds": job.usage.cpu_seconds,
        "timed_out": delivery.stop is Stop.TIMED_OUT,
        "stopped_by": delivery.stop.value if delivery.stop else None,
        "oom": "likely" if killed and memory_ran_out else None,
    }


def phrase(found: dict[str, Any]) -> str:
    """The certificate in one line, for a dead letter's attributes."""
    stopped = f", stopped: {found['stopped_by']}" if found["stopped_by"] else ""
    oom = ", likely out of memory" if found["oom"] else ""
    return (
        f"{found['exit']}{stopped}{oom} after {found['duration']:.2f} s, "
        f"{found['max_rss_mib']:.0f} MiB, CPU {found['cpu_seconds']:.2f} s"
    )
