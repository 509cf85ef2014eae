"""`fleet simulate` as its user sees it."""

import json
from pathlib import Path

import pytest

from tests.support.pool import Home, run_fleet


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Ten minutes of one message a second, after a hundred at once."""
    file = tmp_path / "monday.csv"
    file.write_text(
        "second,arrivals\n" + "".join(f"{second},{1 if second else 100}\n" for second in range(600))
    )
    return file


def test_it_draws_curves_and_prints_a_table(home: Home, trace: Path) -> None:
    done = run_fleet(home, "simulate", str(trace), "--policy", "all")
    assert (done.status, done.errors) == (0, "")
    assert "workers, at most" in done.output
    assert "█" in done.output
    table = done.output[done.output.index("policy ") :].splitlines()
    assert table[1] == "monday"
    assert [line[2:18].strip() for line in table[2:]] == [
        "fleet",
        "busy + backlog",
        "KEDA + HPA",
        "target tracking",
        "Horizon, time",
        "fixed at max",
    ]


def test_it_fits_a_terminal(home: Home) -> None:
    """The shape with the largest figures."""
    done = run_fleet(home, "simulate", "spike", "--policy", "all", "--job-seconds", "4")
    assert (done.status, done.errors) == (0, "")
    assert 70 < max(map(len, done.output.splitlines())) <= 80


def test_json_is_one_object_a_line(home: Home, trace: Path) -> None:
    done = run_fleet(home, "simulate", str(trace), "--json", "--max-workers", "8")
    (row,) = [json.loads(line) for line in done.output.splitlines()]
    assert (row["trace"], row["requests"].replace(",", "").isdecimal()) == ("monday", True)
    assert int(row["most"]) <= 8


def test_the_same_command_is_the_same_output(home: Home, trace: Path) -> None:
    one, other = (run_fleet(home, "simulate", str(trace), "--hosts", "3").output for _ in range(2))
    assert one == other


def test_it_draws_a_picture(home: Home, trace: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = trace.with_suffix(".png")
    done = run_fleet(
        home,
        "simulate",
        str(trace),
        "--png",
        str(picture),
        env=home.environment(MPLCONFIGDIR=str(trace.parent)),
    )
    assert done.status == 0, done.errors
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_a_picture_is_refused_in_one_line(
    home: Home, trace: Path, tmp_path: Path
) -> None:
    (tmp_path / "without" / "matplotlib").mkdir(parents=True)
    (tmp_path / "without" / "matplotlib" / "__init__.py").write_text(
        "raise ImportError('not here')\n"
    )
    env = home.environment()
    env["PYTHONPATH"] = f"{tmp_path / 'without'}:{env['PYTHONPATH']}"
    done = run_fleet(home, "simulate", str(trace), "--png", str(tmp_path / "x.png"), env=env)
    assert (done.status, done.error_line) == (
        2,
        "fleet: --png needs matplotlib: pip install 'fleet-sqs[plot]'",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("none.csv",), "none.csv: [Errno 2]"),
        (
            ("steady", "--policy", "magic"),
            "--policy magic: it must be one of fleet, sum, keda, aws, horizon, max or all",
        ),
        (
            ("steady", "--workers", "9", "--max-workers", "8"),
            "--workers 9 must lie between 1 and 8",
        ),
        (
            ("steady", "--hosts", "2", "--policy", "keda"),
            "--hosts: only the policies fleet, max, sum know more than one host",
        ),
        (("all", "--png", "x.png"), "--png draws one trace"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_2(
    home: Home, arguments: tuple[str, ...], line: str
) -> None:
    done = run_fleet(home, "simulate", *arguments)
    assert done.status == 2
    assert line in done.error_line


@pytest.mark.parametrize("option", ["--job-seconds", "--job-variation", "--rate", "--target-wait"])
def test_a_number_without_an_end(home: Home, trace: Path, option: str) -> None:
    done = run_fleet(home, "simulate", str(trace), option, "inf")
    assert done.status == 2
    assert f"{option} is inf" in done.error_line
