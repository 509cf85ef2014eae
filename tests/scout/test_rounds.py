"""The scout's rounds: all queues are counted in each, and orders do not wait for their ends."""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.outcomes import Settlement
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError
from fleet.core.queue_place import KeysRefused
from fleet.core.scout_protocol import Recover, SampleDepth, TryDelete
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout import process
from fleet.scout.process import Scout
from fleet.system import jitter
from tests.support.queues import one_queue

ORDER = Recover(7, "id", "handle", Settlement.DELETE, 0, 1e6, queue=1)


class Looked:
    """A queue that writes down what is done with it; `then` happens at its looks, one each."""

    def __init__(self, name: str, done: list[str], *then: Callable[[], object]) -> None:
        self.name, self.done, self._then = name, done, list(then)
        self.config = one_queue(queue=name)[0]
        self.tries_at = inf
        self.orders = self
        self.wakes_at = inf
        self.error: QueueError | None = None

    def look(self, *, in_round: bool) -> QueueError | None:
        if not in_round:
            if self.tries_at < inf:
                self.done.append(f"try {self.name}")
                self.tries_at = inf
            return None
        self.done.append(f"look {self.name}")
        if self._then:
            self._then.pop(0)()
        return self.error

    def take(self, word: Recover | TryDelete) -> None:
        self.done.append(f"{type(word).__name__} {self.name}")

    def work(self) -> None:
        """Nothing is due."""


class Source:
    """Keys that need nothing."""

    wakes_at = inf

    def __init__(self) -> None:
        self.refused: list[str] = []

    def register(self, _poll: object) -> None:
        """Nothing to wait for."""

    def note_refusal(self, access_key: str) -> None:
        self.refused.append(access_key)

    def start_if_due(self) -> None:
        """It never is."""

    def take(self) -> None:
        """There is nothing."""


class Stage:
    """A scout with two queues, its master's end, and what was done."""

    def __init__(self, ours: Channel, master: Channel) -> None:
        plan = Plan(Config(), one_queue(queue="high") + one_queue(queue="low"), 1)
        self.master, self.source = master, Source()
        self.done: list[str] = []
        self.scout = Scout(plan, ours)
        self.scout._source = cast(Any, self.source)

    def watch(self, high: list[Callable[[], object]], low: list[Callable[[], object]]) -> None:
        """Until the master is gone: the last of these hangs up."""
        queues = [Looked("high", self.done, *high), Looked("low", self.done, *low)]
        self.scout._queues = cast(Any, queues)
        self.scout._find_queues = lambda: True  # type: ignore[method-assign]
        self.scout.run()

    def hang_up(self) -> None:
        """The master is gone, and the scout has heard it."""
        self.master.close()
        self.scout._master.receive()

    def say(self, *words: Any) -> Callable[[], object]:
        return lambda: [self.master.send(word) for word in words]


@pytest.fixture
def stage() -> Iterator[Stage]:
    ours, theirs = channel.make_pair()
    stage = Stage(ours, Channel(theirs))
    yield stage
    ours.close()
    stage.master.close()


def test_an_order_is_its_queues_and_does_not_wait_for_the_end_of_a_round(stage: Stage) -> None:
    stage.watch([stage.say(ORDER, TryDelete("id", "handle"))], [stage.hang_up])
    assert stage.done == ["look high", "Recover low", "TryDelete high", "look low"]


def test_a_sample_that_is_asked_for_is_a_round_of_all_queues(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and the next one is an interval later."""
    waits: list[float] = []

    def hear(until: float) -> list[object]:
        if until == 100.0:
            return []
        waits.append(until - 100.0)
        if len(waits) == 2:
            stage.hang_up()
        return [SampleDepth()]

    monkeypatch.setattr(process, "now", lambda: 100.0)
    monkeypatch.setattr(jitter, "draw", lambda: 0.5)
    monkeypatch.setattr(stage.scout, "_hear", hear)
    stage.watch([], [])
    assert stage.done == ["look high", "look low"] * 2
    assert waits == [Config().sample_interval] * 2


def test_the_next_round_waits_for_its_time_and_a_late_queue_does_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, waits = [100.0], []

    def hear(until: float) -> list[object]:
        if until > clock[0]:
            waits.append(until - clock[0])
            clock[0] = until
        return []

    def be_late() -> None:
        cast(Any, stage.scout)._queues[1].tries_at = 101.0

    monkeypatch.setattr(process, "now", lambda: clock[0])
    monkeypatch.setattr(jitter, "draw", lambda: 0.5)
    monkeypatch.setattr(stage.scout, "_hear", hear)
    stage.watch([], [be_late, stage.hang_up])
    assert stage.done == ["look high", "look low", "try low", "look high", "look low"]
    assert waits == [1.0, Config().sample_interval - 1.0]


def test_refused_keys_are_the_sources(stage: Stage) -> None:
    stage.watch([stage.say(KeysRefused("key"))], [stage.hang_up])
    assert stage.source.refused == ["key"]
