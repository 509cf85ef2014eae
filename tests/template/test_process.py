"""What the template does once for all dispatchers, and when."""

import os
from dataclasses import replace
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Fork, NotForked, Plan, Word
from fleet.core.queue_place import QueuePlace
from fleet.sqs.pool_access import Keyring
from fleet.template import memory_image, process, small_blocks
from fleet.template.importing import ImportedApp
from fleet.template.process import Template
from tests.support.queues import one_queue

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
    """What calls to the queue need, and a list of what is done."""

    def __init__(self, done: list[str], place: QueuePlace, keyring: Keyring) -> None:
        self._done, self.place, self.keyring = done, place, keyring

    def prepare(self) -> None:
        self._done.append("prepare")


def test_all_is_prepared_then_holes_are_filled_then_all_is_frozen_before_a_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is done once; and again for another place, but for the holes."""
    done: list[str] = []

    def fill() -> list[object]:
        done.append("fill")
        return [b"kept"]

    monkeypatch.setattr(process, "PoolAccess", lambda _, *rest: Access(done, *rest))
    monkeypatch.setattr(small_blocks, "fill", fill)
    monkeypatch.setattr(memory_image, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(Template, "_fork", lambda *_: done.append("fork"))
    first = Fork(0, [PLACE], cast(Any, None))
    master = Master(first, first, replace(first, places=[replace(PLACE, region="eu-west-1")]))
    plan = Plan(Config(), one_queue(app="work:job"), os.getpid())
    Template(plan, ImportedApp([]), cast(Any, master), cast(Any, None)).serve()
    once, again = ["prepare", "fill", "freeze", "fork"], ["prepare", "freeze", "fork"]
    assert done == [*once, "fork", *again]


def test_no_dispatcher_is_forked_before_its_queue_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one's: another's place does not help."""
    monkeypatch.setattr(Template, "_fork", lambda *_: pytest.fail("it is forked"))
    master = Master(Fork(3, [None, PLACE], cast(Any, None)))
    plan = Plan(Config(), one_queue(app="work:job"), os.getpid())
    Template(plan, ImportedApp([]), cast(Any, master), cast(Any, None)).serve()
    assert master.told == [NotForked(3, "nobody knows yet where the queue is")]
