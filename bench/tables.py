"""How figures are shown, and what they were taken on."""

import os
import platform
import sys
from collections.abc import Sequence

import boto3
from rich.console import Console
from rich.table import Table

from bench.figures import Figure


def show(figures: Sequence[Figure], title: str) -> None:
    """Print one table, wide where nobody's window says otherwise."""
    Console(width=None if sys.stdout.isatty() else 132).print(table(figures, title))


def table(figures: Sequence[Figure], title: str) -> Table:
    """Fleet, what is beside it, the ratio, the bar, and whether it is met."""
    rows = Table(title=title)
    for heading in ("measure", "fleet", "beside it", "ratio", "bar", "ok"):
        rows.add_column(heading, justify="left" if heading == "measure" else "right")
    for figure in figures:
        ours, theirs = (shown(values, figure.unit) for values in (figure.values, figure.others))
        beside = f"{theirs} {figure.beside}" if theirs else ""
        ratio = shown(figure.ratios, "")
        ok = {None: "", True: "[green]yes[/]", False: "[bold red]NO[/]"}[figure.met]
        rows.add_row(figure.measure, ours, beside, ratio, _bar(figure), ok)
    return rows


def shown(values: Sequence[float], unit: str) -> str:
    """The median, and the spread if there is one."""
    if not values:
        return ""
    ordered = sorted(values)
    spread = f" ({number(ordered[0])}-{number(ordered[-1])})" if len(ordered) > 1 else ""
    return f"{number(ordered[len(ordered) // 2])}{spread} {unit}".rstrip()


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _bar(figure: Figure) -> str:
    if figure.bar is None:
        return ""
    sign, unit = "≥" if figure.at_least else "≤", "×" if figure.bar_of_ratio else figure.unit
    return f"{sign} {figure.bar:g} {unit}".rstrip()


def host() -> str:
    """What the figures were taken on. With others at work on it only ratios mean anything."""
    system = f"{len(os.sched_getaffinity(0))} processors, {platform.system()} {platform.release()}"
    versions = f"Python {platform.python_version()}, boto3 {boto3.__version__}"
    return f"{system}, {versions}, load {os.getloadavg()[0]:.1f} at the start"
