"""What a simulation of several queues measures, a row a queue, and how it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.simulate.results import quantiles
from fleet.simulate.shared import SharedPool
from fleet.simulate.tables import align

HEAD = ("queue", "asked", "share", "p50", "p95", "max", "done", "left", "polls", "calls")


@dataclass(frozen=True, slots=True)
class Row:
    """One queue. `asked` and `share` are shares of the job time; `asked` is None in an order.

    `waits`: seconds at the median, at 95 of 100 messages, and the longest. `polls`, and `calls` of
    all kinds but the sending, are counted a minute.
    """

    queue: str
    asked: float | None
    share: float
    waits: tuple[float, float, float]
    done: int
    left: int
    polls: float
    calls: float


def rows(pool: SharedPool, names: Sequence[str]) -> list[Row]:
    """One for each queue of a pool that has been run."""
    plan, minutes = pool.plan, pool.end / 60
    worked = sum(queue.worked for queue in pool.queues)
    found = []
    for name, queue in zip(names, pool.queues, strict=True):
        middle, late, longest = quantiles(queue.waits, (0.5, 0.95, 1.0))
        found.append(
            Row(
                name,
                queue.weight / sum(plan.weights) if plan.weights else None,
                queue.worked / worked if worked else 0.0,
                (middle, late, longest),
                queue.ended,
                len(queue.visible),
                queue.grants / minutes,
                (queue.grants + queue.ended + queue.extends) / minutes,
            )
        )
    return found


def record(row: Row) -> dict[str, object]:
    """A row for programs."""
    middle, late, longest = row.waits
    return {
        "queue": row.queue,
        "asked share": row.asked,
        "share": round(row.share, 4),
        "p50 wait": round(middle, 2),
        "p95 wait": round(late, 2),
        "longest": round(longest, 2),
        "done": row.done,
        "left": row.left,
        "polls a minute": round(row.polls, 2),
        "calls a minute": round(row.calls, 2),
    }


def table(found: Sequence[Row], pool: SharedPool) -> str:
    """For people; fits 80 columns."""
    lines = [HEAD, *(_cells(each) for each in found)]
    worked = sum(queue.worked for queue in pool.queues)
    dispatchers = pool.plan.dispatchers
    return (
        f"{align(lines)}\n"
        f"{dispatchers} worker{'s' * (dispatchers > 1)}, {pool.end:g} s; "
        f"{worked / (dispatchers * pool.end):.1%} of their time in jobs"
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.queue,
        "-" if row.asked is None else f"{row.asked:.1%}",
        f"{row.share:.1%}",
        *(f"{wait:.2f}" for wait in row.waits),
        f"{row.done:,}",
        f"{row.left:,}",
        f"{row.polls:,.0f}",
        f"{row.calls:,.0f}",
    )
