"""Arrivals: the built-in shapes, and files."""

import random
from pathlib import Path

import pytest

from fleet.simulate import traces
from fleet.simulate.traces import SHAPES, TraceError


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_seed_is_the_same_trace(name: str) -> None:
    assert traces.built_in(name, 1).arrivals == traces.built_in(name, 1).arrivals
    assert traces.built_in(name, 1).arrivals != traces.built_in(name, 2).arrivals


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_as_many_messages_as_its_rate_says(name: str) -> None:
    shape = SHAPES[name]
    expected = sum(shape.rate(second) for second in range(shape.seconds))
    assert sum(traces.built_in(name, 1).arrivals) == pytest.approx(expected, rel=0.03)
    assert sum(traces.built_in(name, 1, scale=3).arrivals) == pytest.approx(3 * expected, rel=0.03)


@pytest.mark.parametrize("mean", [0.0, 0.3, 7.0, 500.0])
def test_numbers_are_drawn_around_their_mean(mean: float) -> None:
    rng = random.Random(1)
    drawn = [traces.poisson(mean, rng) for _ in range(5000)]
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.05)


def test_a_file_says_how_many_come_in_which_second(tmp_path: Path) -> None:
    file = tmp_path / "monday.csv"
    file.write_text("second,arrivals\n0,3\n\n4,1\n")
    trace = traces.read(file)
    assert (trace.name, trace.arrivals) == ("monday", [3, 0, 0, 0, 1])


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("", "no line `second,arrivals`"),
        ("second,arrivals\n", "no line `second,arrivals`"),
        ("0,1\n1,x\n", "line 2: '1,x' is not"),
        ("0,1\n1\n", "line 2: '1' is not"),
        ("0,1\n1,-3\n", "line 2: '1,-3' is not"),
        ("0,1\n5,1\n5,2\n", "line 3: second 5 comes after second 5"),
    ],
)
def test_a_file_that_cannot_be_read_says_which_line(
    tmp_path: Path, text: str, trouble: str
) -> None:
    file = tmp_path / "trace.csv"
    file.write_text(text)
    with pytest.raises(TraceError, match=trouble):
        traces.read(file)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("1700000000,1\n", "more than a year after second 0"),
        ("0," + 200_000 * "1", "field larger than field limit"),
    ],
)
def test_what_no_memory_would_hold_is_refused(tmp_path: Path, text: str, trouble: str) -> None:
    file = tmp_path / "epoch.csv"
    file.write_text(text)
    with pytest.raises(TraceError, match=trouble):
        traces.read(file)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        traces.read(tmp_path / "none.csv")
