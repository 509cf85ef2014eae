"""The page says what its run has measured."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bench import run as measures
from bench.figures import Figure
from bench.page import __main__ as main
from bench.page import text
from bench.report import Report, lines

PNG = b"\x89PNG\r\n\x1a\n"


def record(measure: str, subject: str, *values: float | None, workers: int = 8) -> dict[str, Any]:
    return {"measure": measure, "subject": subject, "values": [*values], "workers": workers}


def run(**parts: list[Any]) -> dict[str, Any]:
    """A run with the parts named; all else is empty."""
    empty: dict[str, list[Any]] = {"records": [], "outcomes": [], "figures": [], "broken": []}
    versions = ["celery 5", "Redis 7"]
    return {
        "commit": "abc",
        "host": "2 processors, load 0.1",
        "versions": versions,
        "quick": False,
        "minutes": 61.4,
        **empty,
        **parts,
    }


def row(page: str, start: str) -> list[str]:
    """The cells of the first row that begins so."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_the_median_and_the_spread_of_each() -> None:
    records = [
        record("replacement", "fleet", 0.1, 0.3, 0.2),
        record("replacement", "rq", 1.0, None, 1.0),
    ]
    cells = row(text.page(run(records=records)), "replacement")
    assert cells[1:] == ["0.2 (0.1–0.3)", "–", "–", "never", "–", "–"]


@pytest.mark.parametrize(
    ("measure", "ours", "theirs", "said"),
    [
        ("rate", 400.0, 500.0, True),
        ("rate", 500.0, 400.0, False),
        ("latency", 6.0, 5.0, True),
        ("latency", 5.0, 6.0, False),
        ("latency", 5.0, 4.9, False),
    ],
)
def test_a_peer_that_is_ahead_is_said_to_be(
    measure: str, ours: float, theirs: float, said: bool
) -> None:
    records = [record(measure, "fleet", ours), record(measure, "Celery", theirs)]
    ahead = text.page(run(records=records)).partition("## Where others are ahead")[2]
    assert (f"Celery {theirs:g}" in ahead.replace("\n", " ")) == said


def test_a_missed_bar_is_said() -> None:
    figure = {
        "measure": "CPU",
        "unit": "ms",
        "values": [5.0],
        "others": [2.0],
        "beside": "loop",
        "bar": 2.0,
        "bar_of_ratio": True,
        "at_least": False,
        "ratio": 2.5,
        "met": False,
    }
    page = text.page(run(figures=[figure]))
    assert row(page, "CPU |") == ["CPU", "5 ms", "2 loop", "2.5", "≤ 2 ×", "**no**"]


def test_what_could_not_be_measured_is_said() -> None:
    page = text.page(run(broken=["cpu: no progress\nand more"]))
    assert "\n- cpu: no progress\n" in page
    assert "could not be measured" not in text.page(run())


def test_nothing_of_the_template_is_left() -> None:
    assert "@" not in text.page(run())


def test_the_plots_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Read at the import. A user without a home gets a directory that each process removes which
    # ends by way of Python, forks of this one too.
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "configuration"))
    from bench.page import plots

    sizes = [
        record(measure, "fleet", 5.0, workers=workers)
        for measure in ("growth cpu", "growth memory")
        for workers in (1, 8)
    ]
    found = run(records=[record("cpu", "fleet", 5.0), record("large cpu", "rq", 9.0), *sizes])
    drawn = [tmp_path / "cost.png", tmp_path / "growth.png"]
    plots.cost(found, drawn[0])
    plots.growth(found, drawn[1])
    assert all(path.read_bytes().startswith(PNG) for path in drawn)


def test_what_was_measured_again_takes_the_place_of_what_was_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measure(report: Report, _names: Any, **_: Any) -> None:
        report.figures.append(Figure("CPU", "ms", [7.0], [4.0], "loop"))

    monkeypatch.setattr(measures, "run", measure)
    file = tmp_path / "figures.json"
    old = [Figure("CPU", "ms", [5.0], [2.0], "loop"), Figure("other", "ms", [1.0])]
    file.write_text(lines(run(figures=[{**asdict(f), "ratio": 2.5, "met": None} for f in old])))
    assert main.measure_again(file, ["cpu"], [])
    found = json.loads(file.read_text())
    assert [(f["measure"], f["values"]) for f in found["figures"]] == [
        ("other", [1.0]),
        ("CPU", [7.0]),
    ]
    assert "- measured again afterwards: cpu, at commit" in text.page(found)
