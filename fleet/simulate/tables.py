"""Results as text: a table, and curves drawn with block characters."""

from collections.abc import Sequence
from itertools import pairwise

from fleet.simulate.optimum import Optimum
from fleet.simulate.results import Result

KEYS = (
    "trace",
    "policy",
    "p50 wait",
    "p95 wait",
    "longest",
    "worker-s",
    "/ optimum",
    "most",
    "needed",
    "resizes",
    "requests",
    "price",
)
HEAD = (
    "policy",
    "p50",
    "p95",
    "max",
    "worked",
    "/opt",
    "most",
    "need",
    "resizes",
    "calls",
    "price",
)
BARS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 80, 3


def record(result: Result, optimum: Optimum, target_wait: float) -> dict[str, str]:
    """One run, for programs. A p95 wait above the target is marked."""
    late = result.wait(0.95) > target_wait
    values = (
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
    return dict(zip(KEYS, values, strict=True))


def row(result: Result, optimum: Optimum, target_wait: float) -> tuple[str, ...]:
    """The same as a line of the table, which is for people and fits 80 columns."""
    late = result.wait(0.95) > target_wait
    return (
        result.policy,
        f"{result.wait(0.5):.1f}",
        f"{result.wait(0.95):.1f}" + ("!" if late else ""),
        f"{result.wait(1.0):.1f}",
        short(result.worker_seconds),
        f"{result.worker_seconds / optimum.worker_seconds:.2f}",
        str(result.most),
        str(optimum.most),
        short(result.resizes),
        short(result.requests),
        f"${result.price:.3f}",
    )


def short(number: float) -> str:
    """At most six characters below a billion: `9,999`, `1,472k`, `287.2M`."""
    if number < 9_999.5:
        return f"{number:,.0f}"
    return f"{number / 1e3:,.0f}k" if number < 9_999_500 else f"{number / 1e6:,.1f}M"


def table(runs: Sequence[tuple[str, Sequence[Sequence[str]]]]) -> str:
    """The rows below the names of their traces: words to the left, numbers to the right."""
    lines: list[Sequence[str]] = [HEAD]
    for trace, rows in runs:
        lines += [(trace,), *((f"  {policy}", *numbers) for policy, *numbers in rows)]
    return align(lines)


def align(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, the first of them whole: words to the left, numbers to the right."""
    widths = [
        max(len(line[index]) for line in lines if len(line) > 1) for index in range(len(lines[0]))
    ]
    return "\n".join(_line(line, widths).rstrip() for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = cells
    return " ".join(
        [
            name.ljust(widths[0]),
            *(each.rjust(width) for each, width in zip(numbers, widths[1:], strict=False)),
        ]
    )


def plot(result: Result, arrivals: Sequence[int], seconds: int) -> str:
    """Arrivals, backlog and size over time."""
    curves = (
        ("arrivals a second", _averages(arrivals)),
        ("messages waiting", _maxima(result.curve.backlog)),
        ("workers", _maxima(result.curve.size)),
    )
    drawn = [
        f"{name}, at most {max(values):.3g}\n{bars(values)}" for name, values in curves if values
    ]
    return "\n".join([f"{result.policy}, {result.trace}, {seconds / 3600:g} h", *drawn])


def bars(values: Sequence[float], height: int = HEIGHT) -> str:
    """A curve of block characters, `height` lines high."""
    top = max(values) or 1.0
    levels = [round(value / top * height * 8) for value in values]
    rows = range(height - 1, -1, -1)
    return "\n".join(
        "".join(BARS[max(0, min(8, level - 8 * row))] for level in levels).rstrip() for row in rows
    )


def _parts(values: Sequence[float]) -> list[Sequence[float]]:
    count = min(WIDTH, len(values))
    edges = [index * len(values) // count for index in range(count + 1)] if count else []
    return [values[begin:end] for begin, end in pairwise(edges)]


def _averages(values: Sequence[float]) -> list[float]:
    return [sum(part) / len(part) for part in _parts(values)]


def _maxima(values: Sequence[float]) -> list[float]:
    return [max(part) for part in _parts(values)]
