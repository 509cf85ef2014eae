"""The page's text: the template, with the run's figures in its tables."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from bench.tables import number

TEMPLATE = Path(__file__).parent / "template.md"
WIDTH = 100
SYSTEMS = ("fleet", "Celery", "dramatiq", "rq")
COLUMNS = (*SYSTEMS, "signed loop", "boto3 loop")
AHEAD = 0.95  # of fleet's figure, at most: less is no difference

# What a row is called, its measure, and whether more of it is better.
COST = (
    ("CPU, ms a no-op job", "cpu", False),
    ("no-op jobs a second", "rate", True),
    ("jobs of 50 ms a second (at most 160)", "rate of 50 ms", True),
    ("send to start, idle, median, ms", "latency", False),
    ("send to start, idle, 95th percentile, ms", "latency p95", False),
    ("memory when idle, MB", "memory", False),
    ("memory after work, MB", "memory after work", False),
    ("app of 200 MB, 4 workers: CPU, ms a no-op job", "large cpu", False),
    ("app of 200 MB, 4 workers: no-op jobs a second", "large rate", True),
    ("app of 200 MB, 4 workers: memory after work, MB", "large memory", False),
    ("start, s", "start", False),
    ("stop, s", "stop", False),
    ("replacement of a killed worker, s", "replacement", False),
    ("idle: calls a minute", "idle calls", False),
    ("idle: CPU, ms a minute", "idle cpu", False),
)
GROWTH = (("CPU, ms a no-op job", "growth cpu"), ("memory after work, MB", "growth memory"))

Run = Mapping[str, Any]


def page(run: Run) -> str:
    """The whole page."""
    parts: dict[str, Callable[[Run], str]] = {
        "run": _run,
        "cost": _cost,
        "growth": _growth,
        "faults": _faults,
        "ahead": _ahead,
        "bars": lambda run: _figures(run, with_bar=True),
        "others": lambda run: _figures(run, with_bar=False),
        "broken": _broken,
    }
    text = TEMPLATE.read_text()
    for name, write in parts.items():
        text = text.replace(f"@{name}@", write(run))
    return text


def _run(run: Run) -> str:
    lines = [
        f"commit {run['commit']}, in {run['minutes']:.0f} minutes",
        *run["host"].split(", "),
        ", ".join(run["versions"]),
    ]
    lines += [f"measured again afterwards: {what}" for what in run.get("again", [])]
    if run["quick"]:
        lines.append("**a quick run, which shows that all works: its figures mean nothing yet**")
    return "\n".join(
        fill(line, WIDTH, initial_indent="- ", subsequent_indent="  ") for line in lines
    )


def values(run: Run, measure: str) -> dict[tuple[str, int], list[float | None]]:
    """By subject and number of workers."""
    return {
        (record["subject"], record["workers"]): record["values"]
        for record in run["records"]
        if record["measure"] == measure
    }


def median(found: Sequence[float | None]) -> float | None:
    """None when nothing was measured, or when it did not happen in one of the rounds."""
    numbers = [value for value in found if value is not None]
    return statistics.median(numbers) if numbers and len(numbers) == len(found) else None


def _cost(run: Run) -> str:
    rows = []
    for name, measure, _ in COST:
        by_subject = {subject: found for (subject, _), found in values(run, measure).items()}
        rows.append([name, *(_cell(by_subject.get(subject)) for subject in COLUMNS)])
    return _table(["", *COLUMNS], rows)


def _cell(found: Sequence[float | None] | None) -> str:
    if not found:
        return "–"
    if (middle := median(found)) is None:
        return "never"
    numbers = sorted(value for value in found if value is not None)
    spread = f" ({number(numbers[0])}–{number(numbers[-1])})" if len(numbers) > 1 else ""
    return number(middle) + spread


def _growth(run: Run) -> str:
    tables = []
    for name, measure in GROWTH:
        found = values(run, measure)
        sizes = sorted({workers for _, workers in found})
        rows = [
            [subject, *(_cell(found.get((subject, workers))) for workers in sizes)]
            for subject in COLUMNS
            if any((subject, workers) in found for workers in sizes)
        ]
        tables.append(_table([f"{name}, by workers", *map(str, sizes)], rows))
    return "\n\n".join(tables)


def _faults(run: Run) -> str:
    rows = [
        [
            outcome["scenario"],
            outcome["subject"],
            *(str(outcome[name]) for name in ("not_done", "lost", "twice", "orphans")),
            number(outcome["hidden"]),
            "–" if outcome["over"] is None else number(outcome["over"]),
            "" if outcome["ended"] is None else number(outcome["ended"]),
        ]
        for outcome in run["outcomes"]
    ]
    heads = ["fault", "", "not done", "lost", "twice", "left over", "hidden, s", "all done, s"]
    return _table([*heads, "ended, s"], rows)


def _ahead(run: Run) -> str:
    lines = []
    for name, measure, more_is_better in COST:
        found = {subject: median(v) for (subject, _), v in values(run, measure).items()}
        ours = found.get("fleet")
        if ours is None:
            continue
        better = [
            f"{subject} {number(theirs)}"
            for subject in SYSTEMS[1:]
            if (theirs := found.get(subject)) is not None
            and _ahead_by(ours, theirs, more_is_better)
        ]
        if better:
            line = f"{name}: {', '.join(better)}; fleet {number(ours)}"
            lines.append(fill(line, WIDTH, initial_indent="- ", subsequent_indent="  "))
    return "\n".join(lines) or "In nothing that was measured."


def _ahead_by(ours: float, theirs: float, more_is_better: bool) -> bool:
    return ours < AHEAD * theirs if more_is_better else theirs < AHEAD * ours


def _figures(run: Run, *, with_bar: bool) -> str:
    rows = []
    for figure in run["figures"]:
        if (figure["bar"] is not None) != with_bar or not figure["values"]:
            continue
        beside = f"{_cell(figure['others'])} {figure['beside']}" if figure["others"] else ""
        unit = figure["unit"]
        row = [figure["measure"], f"{_cell(figure['values'])} {unit}".rstrip(), beside]
        row.append("" if figure["ratio"] is None else number(figure["ratio"]))
        if with_bar:
            sign = "≥" if figure["at_least"] else "≤"
            row.append(
                f"{sign} {figure['bar']:g} {'×' if figure['bar_of_ratio'] else unit}".rstrip()
            )
            row.append("yes" if figure["met"] else "**no**")
        rows.append(row)
    return _table(["", "fleet", "beside it", "ratio", *(["bar", "met"] if with_bar else [])], rows)


def _broken(run: Run) -> str:
    if not run["broken"]:
        return ""
    lines = [fill(f"- {text.splitlines()[0]}", WIDTH) for text in run["broken"]]
    return "\n".join(["What could not be measured in this run:", "", *lines, "", ""])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
