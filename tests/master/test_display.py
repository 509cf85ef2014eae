"""What people see of a pool of several queues, and of one."""

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.exit_codes import DONE
from fleet.core.pool import Counts, Pool, PoolEnd, PoolPhase, Slot, new
from fleet.core.protocol import Plan
from fleet.core.queue_config import QueueConfig
from fleet.core.slot_state import State
from fleet.ipc import scoreboard
from fleet.ipc.scoreboard import Scoreboard
from fleet.master.display import Display
from fleet.system import log
from tests.support.queues import change_queue

URL = "http://127.0.0.1/000/low"


class Shown:
    """A pool with these queues and apps, and what is told of it."""

    def __init__(self, capfd: pytest.CaptureFixture[str], **apps: str) -> None:
        self._capfd = capfd
        config = Config(2, name="p")
        queues = [QueueConfig(URL if name == "low" else name, apps[name], config) for name in apps]
        self.pool: Pool = replace(new(config, queues), phase=PoolPhase.RUNNING)
        log.configure("info", "json")
        board = Scoreboard(scoreboard.create(1))
        self.display = Display(Plan(config, queues, os.getpid(), None, None), board)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._capfd.readouterr().err.splitlines()]

    def ledgers(self, *dead_letters: str) -> list[dict[str, Any]]:
        self.display.log_start(self.pool)
        self.display.log_end(self.pool, PoolEnd(DONE, "it was told to"), dead_letters)
        told = self.told()
        assert told[-1]["event"] == "master.stopped"
        assert "queue" not in told[-1]
        return [each for each in told if each["event"] == "drain.finished"]


def test_of_one_queue_there_is_one_ledger(capfd: pytest.CaptureFixture[str]) -> None:
    shown = Shown(capfd, low="app:job")
    counts = Counts(received=3, deleted=2, left=1, left_last=1)
    shown.pool = change_queue(shown.pool, 0, counts=counts)
    (ledger,) = shown.ledgers("low-dlq")
    assert ledger["message"] == (
        "received 3 = deleted 2 + released 0 + dead-lettered 0 + left 1 (1 of them goes to low-dlq)"
    )
    assert "queue" not in ledger


def test_of_several_each_has_its_ledger_and_then_the_pool(
    capfd: pytest.CaptureFixture[str],
) -> None:
    shown = Shown(capfd, high="app:job", low="app:job")
    for place, counts in enumerate(
        (Counts(received=3, deleted=3), Counts(received=4, deleted=2, left=2, left_last=2))
    ):
        shown.pool = change_queue(shown.pool, place, counts=counts)
    ledgers = shown.ledgers("", "low-dlq")
    assert [(each.get("queue"), each["received"], each["left"]) for each in ledgers] == [
        ("high", 3, 0),
        ("low", 4, 2),
        (None, 7, 2),
    ]
    assert [each["redriven"] for each in ledgers] == [
        "",
        " (2 of them go to low-dlq)",
        " (2 of them go to their dead-letter queues)",
    ]


def test_the_first_line_names_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    one = Shown(capfd, low="app:job")
    one.display.log_start(one.pool)
    (told,) = one.told()
    assert (told["queue"], told["app"], told.get("queues")) == (URL, "app:job", None)
    several = Shown(capfd, high="web:job", low="app:job", last="web:job")
    several.display.log_start(several.pool)
    (told,) = several.told()
    assert (told["queues"], told["app"]) == ("high, low, last", "web:job, app:job")
    assert "queue" not in told, "it is about the pool"


def test_the_status_names_what_there_is(capfd: pytest.CaptureFixture[str]) -> None:
    for shown, queue in (
        (Shown(capfd, low="app:job"), URL),
        (Shown(capfd, high="app:job", low="app:job"), "high, low"),
    ):
        status = shown.display.status(shown.pool, {})
        assert (status["queue"], status["app"]) == (queue, "app:job")


def test_the_table_of_slots_says_for_which_queue(capfd: pytest.CaptureFixture[str]) -> None:
    slots = (Slot(0, State.POLLING, queue=1), Slot(1, State.IDLE, queue=1))
    shown = Shown(capfd, high="app:job", low="app:job")
    first, second = shown.display.table(replace(shown.pool, slots=slots), {}).split("\n")
    assert first.endswith(" queue low")
    assert "queue" not in second
    alone = Shown(capfd, low="app:job")
    slots = (Slot(0, State.POLLING), Slot(1, State.IDLE))
    assert "queue" not in alone.display.table(replace(alone.pool, slots=slots), {})


def test_the_title_says_that_nothing_is_received(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    monkeypatch.setattr("fleet.system.titles.show", titles.append)
    shown = Shown(capfd, high="app:job", low="app:job")
    for place in (0, 1):
        shown.pool = change_queue(shown.pool, place, paused=True)
        shown.display.retitle(shown.pool)
    assert titles == ["fleet: master p [0/2 busy]", "fleet: master p [0/2 busy] paused"]
