"""Results as a picture: needs matplotlib, the extra `plot`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.simulate.results import Result


class NoMatplotlib(Exception):
    """matplotlib is missing."""


def draw(path: Path, results: Sequence[Result], target_wait: float) -> None:
    """Workers, messages waiting and waiting times on one trace, as PNG.

    Raises NoMatplotlib, OSError.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NoMatplotlib from None
    figure = Figure(figsize=(11, 9), layout="constrained")
    size, backlog, waits = figure.subplots(3)
    for result in results:
        hours = [index * result.curve.every / 3600 for index in range(len(result.curve.size))]
        size.step(hours, result.curve.size, label=result.policy, linewidth=1)
        backlog.plot(hours, result.curve.backlog, linewidth=1)
        shares = [index / 200 for index in range(201)]
        waits.plot([100 * share for share in shares], result.waits_at(shares), linewidth=1)
    waits.axhline(target_wait, color="black", linestyle=":", linewidth=1)
    _name(size, results[0].trace, "hours", "workers")
    _name(backlog, "", "hours", "messages waiting")
    _name(waits, "", "per cent of the messages", "waited at most, seconds")
    size.legend()
    figure.savefig(path, format="png")


def _name(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
