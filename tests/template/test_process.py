"""What the template does once for all dispatchers, and when."""

import os
from dataclasses import replace
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Fork, Plan, Word
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import Keys, QueuePlace
from fleet.job import bodies
from fleet.sqs import foresight, pool_access
from fleet.sqs.address import Address
from fleet.template import memory_image, process, small_blocks
from fleet.template.importing import ImportedApp, Importer
from fleet.template.process import Template
from tests.support.queues import one_queue

KEYS = Keys("key", "secret")
PLACE = QueuePlace("jobs", "http://127.0.0.1:1", "us-east-1")


class Master:
    """The channel of a master that asks for these dispatchers and hangs up."""

    def __init__(self, *requests: Fork) -> None:
        self._requests = [*requests]
        self.fds = [os.open(os.devnull, os.O_RDONLY) for _ in requests]
        self.told: list[Word] = []

    def wait(self) -> Fork | None:
        return self._requests.pop(0) if self._requests else None

    def send(self, word: Word) -> None:
        self.told.append(word)


class Access:
    """What calls to a queue need, and a list of what is done."""

    def __init__(self, done: list[str], address: Address, place: QueuePlace) -> None:
        self._done, self._name, self.place = done, address.name, place

    def prepare(self) -> None:
        self._done.append(f"prepare {self._name}")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done, in its order; nothing of it really is."""
    done: list[str] = []

    def fill() -> list[object]:
        done.append("fill")
        return [b"kept"]

    monkeypatch.setattr(
        pool_access, "PoolAccess", lambda address, place, *_: Access(done, address, place)
    )
    monkeypatch.setattr(small_blocks, "fill", fill)
    monkeypatch.setattr(memory_image, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(Template, "_fork", lambda *_: done.append("fork"))
    return done


def serve(plan: Plan, *requests: Fork) -> None:
    master = Master(*requests)
    Template(plan, ImportedApp([]), cast(Any, master), cast(Any, None)).serve()
    assert master.told == []


def test_all_is_prepared_then_holes_are_filled_then_all_is_frozen_before_a_fork(
    done: list[str],
) -> None:
    """It is done once; and again for another place, but for the holes."""
    first = Fork(0, [PLACE], KEYS)
    elsewhere = replace(first, places=[replace(PLACE, region="eu-west-1")])
    serve(Plan(Config(), one_queue(app="work:job"), os.getpid()), first, first, elsewhere)
    once, again = ["prepare jobs", "fill", "freeze", "fork"], ["prepare jobs", "freeze", "fork"]
    assert done == [*once, "fork", *again]


def test_the_access_to_each_queue_is_prepared_and_all_is_frozen_once(done: list[str]) -> None:
    queues = one_queue(queue="high") + one_queue(queue="low")
    places = [replace(PLACE, name="high"), replace(PLACE, name="low")]
    serve(Plan(Config(), queues, os.getpid()), Fork(0, places, KEYS), Fork(1, places, KEYS))
    assert done == ["prepare high", "prepare low", "fill", "freeze", "fork", "fork"]


def test_what_each_queue_needs_is_loaded_before_the_import(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(foresight, "preload", lambda address, *_: done.append(address.name))
    monkeypatch.setattr(bodies, "prepare", lambda config: done.append(config.body))
    monkeypatch.setattr(Importer, "load", lambda _: done.append("import"))
    queues = [
        QueueConfig("high", "app:job", Config()),
        QueueConfig("low", "app:job", Config(body="sns")),
    ]
    plan = Plan(Config(), queues, os.getpid())
    assert process.prepare(plan, cast(Any, None), set(), cast(Any, None)) is None
    assert done == ["high", "low", Config().body, "sns", "import"]
