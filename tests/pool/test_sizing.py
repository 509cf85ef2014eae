"""A pool that sizes itself, on a real queue."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cgroups import group
from tests.support.control import status
from tests.support.eventually import eventually
from tests.support.pool import Event, Expected, Home, Pool, StartPool, run_fleet
from tests.support.processes import is_alive
from tests.support.proxy import FaultProxy
from tests.support.servers import EMPTY, LiveQueue

MIB = 1 << 20
QUICK = ("--min-workers", "1", "--depth-interval", "0.2", "--target-wait", "0.1")
"""Every waiting message is worth a dispatcher of its own: no job ends within a twentieth of a
second.
"""


def sizes(pool: Pool) -> list[tuple[int, int]]:
    """The changes of the size so far."""
    return [(event["from"], event["to"]) for event in pool.events("pool.resized")]


def is_what_its_reason_says(change: Event) -> bool:
    """A growth, reckoned again from the terms that the log gives, as far as the step goes; these
    are rounded.
    """
    terms, _, step = change["reason"].partition(", ")
    formula, _, need = terms.rpartition(" = ")
    if single := re.fullmatch(r"(\d+) visible \+ (\d+) busy", formula):
        asked = float(single[1]) + float(single[2])
    else:
        timed = re.fullmatch(r"(\d+) visible × ([\d.]+) s / ([\d.]+) s", formula)
        assert timed, change
        asked = float(timed[1]) * float(timed[2]) / float(timed[3])
    limit = re.fullmatch(r"(\d+) is the step", step)
    return asked - 0.5 <= int(need) <= asked + 1.5 and bool(
        change["to"] == int(limit[1] if limit else need)
    )


def test_a_burst_grows_the_pool_to_what_the_formula_says_and_it_shrinks_back(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate, long = home.gate("short"), home.gate("long")
    pool = start(*QUICK, "--max-workers", "16", "--shrink-after", "1", workers=1)
    pool.wait_ready(1)
    queue.send("hold long", *["hold short"] * 8)
    assert len(home.trace.wait("started", 9)) == 9
    grown = pool.events("pool.resized")
    # What is received while the counts are on their way is waiting and busy at once.
    assert 9 <= grown[-1]["to"] <= 9 + 4, "as many as there are messages"
    assert all(is_what_its_reason_says(change) for change in grown)
    assert all(change["to"] <= change["from"] + max(4, change["from"]) for change in grown)
    gate.open(8)
    shrunk = pool.wait_event("pool.resized", to=1)
    assert re.fullmatch(r"at most 1 needed for 1 s", shrunk[-1]["reason"])
    eventually(lambda: len(pool.titled("fleet: dispatcher")) == 1, what="one dispatcher is left")
    (job,) = (line for line in home.trace.lines("started") if line.body == "hold long")
    assert is_alive(job.pid), "no running job was killed by it"
    long.open()
    assert sorted(home.trace.bodies("done")[:8]) == ["hold short"] * 8
    home.trace.wait("done", 9)
    assert {line.attempt for line in home.trace.lines("started")} == {1}
    eventually(lambda: queue.depth() == EMPTY)


def test_one_message_of_a_long_job_is_worth_one_dispatcher(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Its job seconds by the target wait would be sixty and more."""
    gate = home.gate("hour")
    pool = start(*QUICK, "--max-workers", "64", workers=1)
    pool.wait_ready(1)
    for count in range(1, 4):
        queue.send("hold hour")
        home.trace.wait("started", count)
    grown = sizes(pool)
    assert all(after == before + 1 for before, after in grown)
    assert 3 <= grown[-1][1] <= 5, (
        "a message may be counted once more while it is taken, but never as sixty"
    )
    gate.open(3)


@pytest.mark.slow
def test_a_burst_does_not_wait_for_the_next_sample(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    """Which would come in more than half a minute."""
    options = (
        "--min-workers",
        "1",
        "--max-workers",
        "4",
        "--depth-interval",
        "48",
        "--target-wait",
        "0.1",
    )
    gate = home.gate("work")
    pool = start(*options, workers=1)
    pool.wait_ready(1)
    eventually(
        lambda: (status(home)["depth"] or {}).get("sampled_ago", 0) > 48 / 8,
        what="one more may be asked for",
    )
    queue.send(*["hold work"] * 3)
    pool.wait_event("pool.resized")
    home.trace.wait("started", 3)
    gate.open(3)


def test_samples_that_fail_hold_the_size(
    start: StartPool, home: Home, queue: LiveQueue, proxy: FaultProxy
) -> None:
    gate = home.gate("work")
    pool = start(
        *QUICK,
        "-v",
        "--max-workers",
        "4",
        "--shrink-after",
        "0.5",
        endpoint=proxy.endpoint,
        workers=1,
    )
    pool.wait_ready(1)
    queue.send(*["hold work"] * 3)
    home.trace.wait("started", 3)
    proxy.fail("GetQueueAttributes", times=10_000)
    pool.wait_event("sample.failed")
    grown = sizes(pool)
    gate.open(3)
    home.trace.wait("done", 3)
    pool.wait_event("sample.failed", count=len(pool.events("sample.failed")) + 8)
    assert sizes(pool) == grown
    assert grown[-1][1] >= 3
    assert status(home)["depth"]["sampled_ago"] > 1
    proxy.heal("GetQueueAttributes")
    pool.wait_event("pool.resized", to=1)


def test_messages_that_we_left_hidden_are_not_others_work(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("work")
    pool = start(*QUICK, "--max-workers", "4", workers=1)
    pool.wait_ready(1)
    assert run_fleet(home, "scale", "1").status == 0
    queue.send(*["end 1"] * 6)
    pool.wait_event("message.left", count=6)
    assert run_fleet(home, "scale", "auto").status == 0
    eventually(
        lambda: status(home)["depth"]["in_flight"] == 6,
        what="six are in flight, and nobody works on them",
    )
    queue.send(*["hold work"] * 3)
    home.trace.wait("started", 6 + 3)
    assert not [change for change in pool.events("pool.resized") if "ours" in change["reason"]]
    assert sizes(pool)
    gate.open(3)


def test_an_operators_size_is_held_until_auto(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("work")
    pool = start(*QUICK, "--max-workers", "8", "--shrink-after", "0.5", workers=1)
    pool.wait_ready(1)
    assert run_fleet(home, "scale", "2").status == 0
    queue.send(*["hold work"] * 4)
    home.trace.wait("started", 2)
    sampled = [status(home)["depth"]["visible"] for _ in range(3)]
    eventually(lambda: status(home)["depth"]["visible"] == 2, what=lambda: f"two wait: {sampled}")
    assert sizes(pool) == [(1, 2)]
    assert run_fleet(home, "scale", "9").status == 2
    assert run_fleet(home, "scale", "auto").status == 0
    home.trace.wait("started", 4)
    assert sizes(pool)[0] == (1, 2)
    assert sizes(pool)[-1][1] >= 4
    gate.open(4)


def test_status_tells_what_was_learned_and_decided(
    start: StartPool, home: Home, queue: LiveQueue
) -> None:
    gate = home.gate("work")
    pool = start(*QUICK, "--max-workers", "2", workers=1)
    pool.wait_ready(1)
    assert status(home)["job_seconds"] is None
    queue.send(*["hold work"] * 3)
    pool.wait_event("pool.resized", to=2)
    found = status(home)
    assert (found["min"], found["max"], found["desired"]) == (1, 2, 2)
    assert found["last_resize"]["from"] == 1
    assert "visible" in found["last_resize"]["reason"]
    assert 0 < found["job_seconds"]["recent"] <= found["job_seconds"]["mean"] * 1.1
    text = run_fleet(home, "status").output
    assert "last resize 1 → 2: " in text
    assert "a job takes " in text
    gate.open(3)
    home.trace.wait("done", 3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--min-workers", "4"), "--workers is 2, fewer than --min-workers, 4"),
        (("--max-workers", "1"), "--workers is 2, more than --max-workers, 1"),
        (("--min-workers", "0"), "--min-workers is '0'"),
        (
            ("--min-workers", "9", "--max-workers", "8"),
            "--min-workers is 9, more than --max-workers, 8",
        ),
    ],
)
def test_bounds_that_cannot_be(start: StartPool, options: tuple[str, ...], line: str) -> None:
    pool = start(*options, workers=2, expected=Expected(exit=2, noise=True, ledger=False))
    assert pool.wait() == 2
    assert line in pool.refusal()


def test_auto_is_a_size_within_the_bounds(home: Home) -> None:
    for options, then in (
        (("--max-workers", "1"), [1, 1, 1]),
        (("--min-workers", "900"), [900, 900, 900]),
    ):
        told = json.loads(run_fleet(home, "config", "--json", *options).output)
        assert [told[name]["value"] for name in ("workers", "min_workers", "max_workers")] == then


@pytest.fixture
def small_memory(
    home: Home,  # noqa: ARG001 - the group is left before what is in it is ended
) -> Iterator[Path]:
    """A control group with little memory."""
    with group("memory") as path:
        yield path


@pytest.mark.needs("memory")
def test_without_memory_for_one_more_job_no_message_is_taken(
    small_memory: Path, start: StartPool, home: Home, queue: LiveQueue
) -> None:
    us = str(os.getpid())
    (small_memory / "cgroup.procs").write_text(us)
    gate = home.gate("work")
    try:
        pool = start("--depth-interval", "0.2", app="endings:job", workers=3)
    finally:
        (small_memory.parent / "cgroup.procs").write_text(us)
    pool.wait_ready(3)
    queue.send("eat 100")
    (large,) = pool.wait_event("job.succeeded")
    queue.send("after work eat 1")
    home.trace.wait("started", 2)
    used = int((small_memory / "memory.usage_in_bytes").read_text())
    (small_memory / "memory.limit_in_bytes").write_text(str(used + 128 * MIB))
    (short,) = pool.wait_event("memory.short")
    assert short["job_mib"] == large["max_rss_mib"]
    eventually(lambda: status(home)["polling"] == 0, what="the poll that was open has come home")
    queue.send(*["after work eat 1"] * 3)
    eventually(lambda: status(home)["depth"]["visible"] == 3, what="three wait")
    assert (status(home)["busy"], status(home)["idle"]) == (1, 2)
    gate.open()
    home.trace.wait("started", 3)  # the first job is always allowed
    eventually(lambda: status(home)["depth"]["visible"] == 2, what="two wait")
    assert (status(home)["busy"], status(home)["idle"]) == (1, 2)
    (small_memory / "memory.limit_in_bytes").write_text(str(used + 1024 * MIB))
    pool.wait_event("memory.enough")
    home.trace.wait("started", 5)
    gate.open(3)
    home.trace.wait("done", 5)
    assert {line.attempt for line in home.trace.lines("started")} == {1}
