"""The page's plots: PNG, axes from zero, colours that differ for every kind of eyes (Okabe and
Ito's), and markers or labels beside them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bench.page.text import COLUMNS, median, values
from bench.tables import number

COLOURS = dict(
    zip(
        COLUMNS,
        ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#7F7F7F"),
        strict=True,
    )
)
MARKERS = dict(zip(COLUMNS, "osD^xv", strict=True))


def cost(run: Mapping[str, Any], path: Path) -> None:
    """CPU a no-op job: a bar a system, with a small app and with one of 200 MB."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = (("cpu", "small app, 8 workers"), ("large cpu", "app of 200 MB, 4 workers"))
    for axes, (measure, title) in zip(figure.subplots(1, 2), panels, strict=True):
        found = {subject: median(v) for (subject, _), v in values(run, measure).items()}
        names = [name for name in COLUMNS if found.get(name) is not None]
        heights = [found[name] or 0.0 for name in names]
        bars = axes.barh(names, heights, color=[COLOURS[name] for name in names])
        axes.bar_label(bars, [number(height) for height in heights], padding=3)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.12 * max(heights, default=1.0))
        axes.set_xlabel("CPU, ms a no-op job")
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def growth(run: Mapping[str, Any], path: Path) -> None:
    """CPU a no-op job and memory over the number of workers: a line a system."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = (("growth cpu", "CPU, ms a no-op job"), ("growth memory", "memory after work, MB"))
    left, right = figure.subplots(1, 2)
    for axes, (measure, label) in zip((left, right), panels, strict=True):
        found = values(run, measure)
        sizes = sorted({workers for _, workers in found})
        for name in COLUMNS:
            points = [
                (workers, middle)
                for workers in sizes
                if (middle := median(found.get((name, workers), []))) is not None
            ]
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                label=name,
                color=COLOURS[name],
                marker=MARKERS[name],
                markersize=6,
            )
        axes.set_xticks(sizes)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("workers")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=len(COLUMNS))
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
