"""A job of an app that has much in memory: BENCH_APP_MB of small objects, 200 unless it is set."""

import os

# An entry is a dict of a string and a list, with a number and a string: about 430 bytes.
OBJECTS = [
    {f"name {number}": [number, str(number)]}
    for number in range(int(os.environ.get("BENCH_APP_MB", "200")) * 2400)
]


def noop(body: str) -> None:
    """Nothing; the objects lie there."""


def read(body: str) -> None:
    """Look at a thousandth of the objects."""
    del body
    for each in OBJECTS[::1000]:
        for value in each.values():
            len(value)
