"""What `fleet status` prints for people."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fleet.cli import commands, status
from fleet.cli.common import cli
from fleet.ipc.pool_socket import RunningPool

commands.register(["status"])

COUNTS = {
    "received": 508,
    "succeeded": 500,
    "failed": 6,
    "timed_out": 0,
    "signalled": 0,
    "deleted": 500,
    "released": 0,
    "dead_lettered": 6,
    "left": 0,
    "lease_lost": 0,
}
DEPTH = {"visible": 120, "in_flight": 14, "delayed": 0, "sampled_ago": 8.2}


def dispatcher(slot: int, **fields: Any) -> dict[str, Any]:
    about = {"slot": slot, "pid": 4731 + slot, "state": "idle", "queue": None, "deaths": 0}
    unknown = ("job_pid", "message_id", "attempt", "job_age", "lease_left", "waits")
    return {**about, **dict.fromkeys(unknown), **fields}


def working(slot: int, queue: str, **fields: Any) -> dict[str, Any]:
    job = {"job_pid": 4790, "message_id": "5f3c81aa-77", "attempt": 1, "job_age": 42.0}
    return dispatcher(slot, state="working", queue=queue, **job, lease_left=51.0) | fields


def queue(name: str, **fields: Any) -> dict[str, Any]:
    unknown = ("reason", "depth", "limit", "weight", "job_seconds")
    about = {"name": name, "state": "running", "busy": 0, "polling": 0, "counts": COUNTS}
    return {**about, **dict.fromkeys(unknown), **fields}


ONE: dict[str, Any] = {
    "name": "work:job@jobs",
    "pid": 4711,
    "app": "work:job",
    "queue": "jobs",
    "state": "degraded",
    "reason": "queue 'jobs': SQS answers 503",
    "uptime": 8054.0,
    "size": 8,
    "desired": 8,
    "min": 8,
    "max": 8,
    "busy": 2,
    "polling": 0,
    "idle": 6,
    "counts": {**COUNTS, "dispatcher_deaths": 0},
    "depth": DEPTH,
    "last_resize": None,
    "job_seconds": {"mean": 2.1, "recent": 2.4},
    "queues": [queue("jobs", busy=2, depth=DEPTH)],
    "dispatchers": [working(0, "jobs"), working(1, "jobs", deaths=1), dispatcher(2)],
}
ONE_TOLD = """\
work:job@jobs  degraded: queue 'jobs': SQS answers 503
  pid 4711, up 2 h 14 min, app work:job, queue jobs
  dispatchers: 8 (desired 8), 2 busy, 0 polling, 6 idle
  queue about 120 visible, 14 in flight, 0 delayed (8 s ago)
  a job takes 2.1 s, lately 2.4 s
  received 508 = deleted 500 + released 0 + dead-lettered 6 + left 0 + in hand 2
  jobs: 500 succeeded, 6 failed

slot   pid  state    message   try   job   age  lease  deaths
   0  4731  working  5f3c81aa    1  4790  42 s   51 s
   1  4732  working  5f3c81aa    1  4790  42 s   51 s       1
   2  4733  idle
"""
TWO: dict[str, Any] = {
    **ONE,
    "name": "work:job@high+1",
    "queue": "high, low",
    "state": "running",
    "reason": None,
    "queues": [
        queue("high", busy=1, depth=DEPTH, job_seconds={"mean": 2.1, "recent": 2.4}),
        queue("low", state="degraded", reason="SQS answers 503", busy=1, limit=2),
    ],
    "dispatchers": [working(0, "high"), working(1, "low"), dispatcher(2)],
}
TWO_TOLD = """\
work:job@high+1  running
  pid 4711, up 2 h 14 min, app work:job, 2 queues
  dispatchers: 8 (desired 8), 2 busy, 0 polling, 6 idle
  queues about 120 visible, 14 in flight, 0 delayed (8 s ago)
  a job takes 2.1 s, lately 2.4 s
  received 508 = deleted 500 + released 0 + dead-lettered 6 + left 0 + in hand 2
  jobs: 500 succeeded, 6 failed

queue  state     busy  limit  visible  in flight  a job
high   running      1             120         14  2.4 s
low    degraded     1      2
  low: SQS answers 503

slot   pid  state    queue  message   try   job   age  lease
   0  4731  working  high   5f3c81aa    1  4790  42 s   51 s
   1  4732  working  low    5f3c81aa    1  4790  42 s   51 s
   2  4733  idle
"""


class Told:
    """What the command prints of a status."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, pool: dict[str, Any]) -> str:
        place = RunningPool("x", 1, Path("/"))
        self._monkeypatch.setattr(status, "find_pool", lambda _: place)
        self._monkeypatch.setattr(status, "ask", lambda *_: {"status": deepcopy(pool)})
        cli(["status"], prog_name="fleet", standalone_mode=False)
        return self._capsys.readouterr().out


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(monkeypatch, capsys)


def test_of_one_queue(told: Told) -> None:
    assert told(ONE) == ONE_TOLD
    before = {name: value for name, value in ONE.items() if name != "queues"}
    assert told(before) == ONE_TOLD, "of a pool that was started before there were several"


def test_of_several_queues_each_has_a_line(told: Told) -> None:
    assert told(TWO) == TWO_TOLD


def test_weights_and_delayed_messages_have_a_column_where_there_are_any(told: Told) -> None:
    queues = [
        queue("a", weight=3.0, depth={**DEPTH, "delayed": 7}),
        queue("b", weight=0.5, state="paused", reason="an operator paused it"),
    ]
    lines = told({**TWO, "queues": queues}).splitlines()[8:12]
    assert lines == [
        "queue  state    busy  weight  visible  in flight  delayed  a job",
        "a      running     0       3      120         14        7",
        "b      paused      0     0.5",
        "",
    ]


def test_several_apps_are_counted(told: Told) -> None:
    assert ", 2 apps, 2 queues\n" in told({**TWO, "app": "web:job, work:job"})


def test_it_fits_80_columns_whatever_there_is(told: Told) -> None:
    names = ["orders-of-the-whole-company-and-all-of-its-branches-high", 80 * "b"]
    seconds = {"mean": 12345.6, "recent": 12345.6}
    depth = {"visible": 1234567, "in_flight": 120000, "delayed": 1234567, "sampled_ago": 3.0}
    full = {"state": "degraded", "reason": "no", "busy": 1024, "limit": 1024, "weight": 0.333333}
    ages = {"pid": 4194304, "job_pid": 4194304, "attempt": 1000, "job_age": 43199.0}
    pool = {
        **TWO,
        "queues": [queue(name, depth=depth, job_seconds=seconds, **full) for name in names],
        "dispatchers": [
            working(1000 + place, name, **ages, lease_left=43199.0, deaths=100000, state="settling")
            for place, name in enumerate(names)
        ],
    }
    text = told(pool)
    tables = [line for line in text.splitlines()[8:] if not line.startswith("  ")]
    assert max(map(len, tables)) <= 80
    assert any(line.startswith("ord") for line in tables), text
    assert "bbb…bb" in text


def test_the_name_of_a_queue_does_nothing_to_the_terminal(told: Told) -> None:
    """It is checked at the start; a program that stands at the socket in its place may say more."""
    pool = {**TWO, "queues": [queue("a\x1b[2J", state="degraded", reason="x\nslot"), queue("b")]}
    text = told(pool)
    assert "\x1b" not in text
    assert r"a\x1b[2J" in text
    assert r"x\nslot" in text
