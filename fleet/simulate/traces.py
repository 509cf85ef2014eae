"""Arrivals: a number of messages for every second.

Built-in shapes, or a CSV file `second,arrivals`.

A shape is a rate by time; the number of each second is drawn from it (Poisson), seeded, so every
policy meets the same messages.
"""

import csv
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

HOUR, DAY = 3600, 86_400
LONGEST = 366 * DAY
Rate = Callable[[float], float]


class TraceError(Exception):
    """A trace that cannot be read; the text says which line and what would be right."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Messages by second. `failing` is the share of messages that fail whenever they are tried."""

    name: str
    arrivals: Sequence[int]
    failing: float = 0.0

    @property
    def seconds(self) -> int:
        """How long it lasts."""
        return len(self.arrivals)


@dataclass(frozen=True, slots=True)
class Shape:
    """A built-in trace: messages a second by time, for so many seconds; what it is, in words."""

    seconds: int
    rate: Rate
    words: str
    failing: float = 0.0


def _steady(_: float) -> float:
    return 10.0


def _burst(at: float) -> float:
    return 24.0 if HOUR / 2 <= at % (2 * HOUR) < HOUR else 4.0


def _spike(at: float) -> float:
    return 1000.0 if at % HOUR == HOUR / 4 else 0.5


def _diurnal(at: float) -> float:
    return 8.0 - 7.0 * math.cos(2 * math.pi * at / DAY)


def _on_off(at: float) -> float:
    return 15.0 if at % 600 < 300 else 0.0


def _flash_crowd(at: float) -> float:
    since = at - HOUR / 4
    if since < 0:
        return 1.0
    return 1.0 + 24.0 * (since / 60 if since < 60 else 0.5 ** ((since - 60) / 600))


SHAPES: dict[str, Shape] = {
    "steady": Shape(2 * HOUR, _steady, "10 a second"),
    "burst": Shape(4 * HOUR, _burst, "4 a second; every other hour 24 for half an hour"),
    "spike": Shape(3 * HOUR, _spike, "one in two seconds; once an hour a thousand in one second"),
    "diurnal": Shape(DAY, _diurnal, "a day: 1 a second at night, 15 at noon"),
    "on-off": Shape(2 * HOUR, _on_off, "five minutes 15 a second, five minutes nothing"),
    "flash-crowd": Shape(
        2 * HOUR, _flash_crowd, "1 a second, within a minute 25, halved every ten minutes"
    ),
    "poison": Shape(
        2 * HOUR, _steady, "10 a second, one in ten fails whenever it is tried", failing=0.1
    ),
}


def built_in(name: str, seed: int, scale: float = 1.0) -> Trace:
    """The shape's arrivals, `scale` times as many. Raises KeyError."""
    shape = SHAPES[name]
    rng = random.Random(f"{seed} {name} arrivals")
    arrivals = [poisson(shape.rate(second) * scale, rng) for second in range(shape.seconds)]
    return Trace(name, arrivals, shape.failing)


def poisson(mean: float, rng: random.Random) -> int:
    """A number drawn with that mean; above 50 by the normal distribution, which then is as good."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def read(path: Path) -> Trace:
    """A CSV file: `second,arrivals` a line, seconds ascending; what is left out is zero.

    Raises TraceError.
    """
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: {error}") from None
    if rows and not rows[0][1][0].strip().isdigit():
        rows = rows[1:]  # a header
    parsed = [(number, _row(path, number, row)) for number, row in rows]
    if not parsed:
        raise TraceError(f"{path}: there is no line `second,arrivals`")
    for (_, before), (number, after) in pairwise(parsed):
        if after[0] <= before[0]:
            raise TraceError(
                f"{path}, line {number}: second {after[0]} comes after second {before[0]}"
            )
    if (last := parsed[-1][1][0]) >= LONGEST:
        raise TraceError(f"{path}: second {last} is more than a year after second 0, the beginning")
    arrivals = [0] * (last + 1)
    for _, (second, count) in parsed:
        arrivals[second] = count
    return Trace(path.stem, arrivals)


def _row(path: Path, number: int, row: Sequence[str]) -> tuple[int, int]:
    try:
        second, count = (int(cell) for cell in row)
    except ValueError:
        second = count = -1
    if second < 0 or count < 0:
        raise TraceError(
            f"{path}, line {number}: {','.join(row)!r} is not `second,arrivals`, two whole numbers"
        )
    return second, count
