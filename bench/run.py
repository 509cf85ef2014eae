"""The benchmark's command line: run all measurements or those named, print one table, fail when a
bar is missed.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import boto3
from rich.console import Console
from rich.table import Table

from bench import cpu, measures, memory, pool
from bench.figures import Figure
from bench.harness import BenchError, Endpoint

MEASURES = cpu.MEASURES | measures.MEASURES | pool.MEASURES | memory.MEASURES


def main() -> int:
    """Returns 0 if every bar is met, 1 if one is missed or something cannot be measured."""
    options = _options()
    console = Console(stderr=True)
    figures: list[Figure] = []
    broken = False
    host = _host()
    chosen = MEASURES | {"cpu": partial(cpu.cpu, baseline=options.baseline)}
    with Endpoint() as endpoint:
        for name in options.name or chosen:
            console.print(f"measuring {name} …")
            try:
                figures += chosen[name](endpoint)
            except BenchError as error:
                console.print(f"{name}: {error}", markup=False)
                broken = True
    Console(width=None if sys.stdout.isatty() else 132).print(_table(figures, host))
    if options.json:
        options.json.write_text(
            json.dumps({"host": host, "figures": [_plain(f) for f in figures]}, indent=1)
        )
    return int(broken or any(figure.met is False for figure in figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Measure fleet beside bare loops of the same calls."
    )
    parser.add_argument("name", nargs="*", help=f"of {', '.join(MEASURES)}; all without one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--baseline",
        metavar="COMMIT",
        default=cpu.BASELINE,
        help="the commit of fleet that `cpu` measures beside this tree [%(default)s]",
    )
    options = parser.parse_args()
    for name in options.name:
        if name not in MEASURES:
            parser.error(f"there is no {name}; there are {', '.join(MEASURES)}")
    return options


def _table(figures: list[Figure], host: str) -> Table:
    table = Table(title=f"fleet beside its floors, against a stand-in for SQS\n{host}")
    for heading in ("measure", "fleet", "beside it", "ratio", "bar", "ok"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for figure in figures:
        ours, theirs = (_shown(values, figure.unit) for values in (figure.values, figure.others))
        beside = f"{theirs} {figure.beside}" if theirs else ""
        ratio = _shown(figure.ratios, "")
        ok = {None: "", True: "[green]yes[/]", False: "[bold red]NO[/]"}[figure.met]
        table.add_row(figure.measure, ours, beside, ratio, _bar(figure), ok)
    return table


def _shown(values: Sequence[float], unit: str) -> str:
    """The median, and the spread if there is one."""
    if not values:
        return ""
    ordered = sorted(values)
    spread = f" ({_number(ordered[0])}-{_number(ordered[-1])})" if len(ordered) > 1 else ""
    return f"{_number(ordered[len(ordered) // 2])}{spread} {unit}".rstrip()


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _bar(figure: Figure) -> str:
    if figure.bar is None:
        return ""
    sign, unit = "≥" if figure.at_least else "≤", "×" if figure.bar_of_ratio else figure.unit
    return f"{sign} {figure.bar:g} {unit}".rstrip()


def _plain(figure: Figure) -> dict[str, object]:
    return asdict(figure) | {
        "value": figure.value,
        "other_value": figure.other_value,
        "ratio": figure.ratio,
        "met": figure.met,
    }


def _host() -> str:
    """What the figures were taken on. With others at work on it only ratios mean anything."""
    system = f"{len(os.sched_getaffinity(0))} processors, {platform.system()} {platform.release()}"
    versions = f"Python {platform.python_version()}, boto3 {boto3.__version__}"
    return f"{system}, {versions}, load {os.getloadavg()[0]:.1f} at the start"


if __name__ == "__main__":
    sys.exit(main())
