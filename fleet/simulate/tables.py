"""Results as text: a table, and curves drawn with block characters."""

from collections.abc import Sequence
from itertools import pairwise

from fleet.simulate.optimum import Optimum
from fleet.simulate.results import Result

HEAD = (
    "trace", "policy", "p50 wait", "p95 wait", "longest", "worker-s", "/ optimum", "most", "needed", "resizes",
    "requests", "price",
)  # fmt: skip
BARS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 90, 3


def row(result: Result, optimum: Optimum, target_wait: float) -> tuple[str, ...]:
    """One line of the table. A p95 wait above the target is marked."""
    late = result.wait(0.95) > target_wait
    return (
        result.trace,
        result.policy,
        f"{result.wait(0.5):.1f}",
        f"{result.wait(0.95):.1f}" + ("!" if late else ""),
        f"{result.wait(1.0):.1f}",
        f"{result.worker_seconds:,.0f}",
        f"{result.worker_seconds / optimum.worker_seconds:.2f}",
        str(result.most),
        str(optimum.most),
        f"{result.resizes:,}",
        f"{result.requests:,}",
        f"${result.price:.4f}",
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side: words to the left, numbers to the right."""
    lines = [HEAD, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def plot(result: Result, arrivals: Sequence[int], seconds: int) -> str:
    """Arrivals, backlog and size over time."""
    curves = (
        ("arrivals a second", _averaged(arrivals)),
        ("messages waiting", _highest(result.curve.backlog)),
        ("workers", _highest(result.curve.size)),
    )
    drawn = [f"{name}, at most {max(values):.3g}\n{bars(values)}" for name, values in curves if values]
    return "\n".join([f"{result.policy}, {result.trace}, {seconds / 3600:g} h", *drawn])


def bars(values: Sequence[float], height: int = HEIGHT) -> str:
    """A curve of block characters, `height` lines high."""
    top = max(values) or 1.0
    levels = [round(value / top * height * 8) for value in values]
    rows = range(height - 1, -1, -1)
    return "\n".join("".join(BARS[max(0, min(8, level - 8 * row))] for level in levels).rstrip() for row in rows)


def _parts(values: Sequence[float]) -> list[Sequence[float]]:
    count = min(WIDTH, len(values))
    edges = [index * len(values) // count for index in range(count + 1)] if count else []
    return [values[begin:end] for begin, end in pairwise(edges)]


def _averaged(values: Sequence[float]) -> list[float]:
    return [sum(part) / len(part) for part in _parts(values)]


def _highest(values: Sequence[float]) -> list[float]:
    return [max(part) for part in _parts(values)]
