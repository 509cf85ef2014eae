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


def test_several_queues_have_a_row_each(home: Home, trace: Path) -> None:
    high = f"high={trace},weight=3,job-seconds=0.5"
    low = f"low={trace},weight=1,limit=2,rate=1,job-variation=0"
    done = run_fleet(home, "simulate", "-q", high, "-q", low, "-w", "2")
    assert (done.status, done.errors) == (0, "")
    head, *rows, last = done.output.splitlines()
    assert head.split()[:3] == ["queue", "asked", "share"]
    assert [row.split()[:2] for row in rows] == [["high", "75.0%"], ["low", "25.0%"]]
    assert last.startswith("2 workers, 600 s; ")


def test_several_queues_as_json_are_one_object_a_line(home: Home, trace: Path) -> None:
    queues = ("-q", f"high={trace},job-seconds=0.1", "-q", f"low={trace}")
    done = run_fleet(home, "simulate", *queues, "--json", "--starve-after", "20")
    high, low = [json.loads(line) for line in done.output.splitlines()]
    assert (high["queue"], high["asked share"]) == ("high", None)
    assert low["left"] > 100 * high["left"]
    assert high["share"] + low["share"] == pytest.approx(1, abs=0.001)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("steady", "-q", "a=steady"), "WHAT is about one queue; with --queue the size is"),
        (("-q", "a=steady", "--max-workers", "9"), "--max-workers is about one queue"),
        (("-q", "a"), "--queue is 'a' (command line); it must be NAME=TRACE[,KEY=N…]"),
        (("-q", "a=none.csv"), "none.csv: [Errno 2]"),
        (("-q", "a=steady,burst=2"), "--queue a: burst is no key; known are weight, limit, rate"),
        (("-q", "a=steady,limit=0"), "--queue a: limit is '0' (command line); it must be a number"),
        (("-q", "a=steady", "-q", "a=burst"), "two queues have the same name: a"),
        (("-q", "a=steady,weight=1", "-q", "b=burst"), "some queues have a weight and some have"),
        (("-q", "a=poison"), "--queue a: poison: in a pool of several queues no job fails"),
        (("-q", "a=steady,weight=1", "--starve-after", "9"), "exclude each other"),
        (("steady", "--starve-after", "9"), "--starve-after is about several queues"),
        (33 * ("-q", "a=steady"), "33 queues are given; a pool has 32 at the most"),
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
