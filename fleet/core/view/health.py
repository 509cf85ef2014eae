"""The health file: what is in it. `probe.py` judges it.

The first eight keys are those of other workers' health files (Relay's `process_emails_from_sqs`),
so that a program that reads those can read this one; the other keys are fleet's own.
"""

from typing import Any

from fleet.core.pool import Pool, PoolPhase
from fleet.core.view import queue_status, status


def snapshot(pool: Pool, timestamp: str, version: str) -> dict[str, Any]:
    """What the pool is and has done.

    Queue counts are of all its queues together, and null before the first sample.
    """
    counts, depth = pool.counts, queue_status.all_depths(pool.queues)
    return {
        "timestamp": timestamp,
        "cycles": counts.polls,
        "total_messages": counts.received - counts.in_hand,
        "failed_messages": counts.failed + counts.timed_out + counts.signalled + counts.rejected,
        "pause_count": counts.pauses,
        "queue_count": depth and depth.visible,
        "queue_count_delayed": depth and depth.delayed,
        "queue_count_not_visible": depth and depth.in_flight,
        "state": "stopped" if pool.phase is PoolPhase.STOPPED else status.state(pool),
        "size": pool.size,
        "busy": pool.busy,
        "desired": pool.desired,
        "version": version,
    }
