"""What the scout tells its master before it has found the queue."""

from collections.abc import Iterator
from math import inf
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import Resolved, Trying
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.scout import process
from fleet.scout.process import MasterGone, Scout
from tests.support.queues import one_queue

KEYS = Keys("key", "secret")
PLACE = QueuePlace("jobs", "http://127.0.0.1:1/", "eu-west-1")
LOCAL = Plan(Config(), one_queue(), 1, "us-east-1", "http://127.0.0.1:1", "fleet", "fleet", 1)


class SlowSource:
    """Has an answer when it has been asked a few times."""

    wakes_at = inf

    def __init__(self, *answers: Resolved | QueueError | None) -> None:
        self._answers = list(answers)
        self.started = 0

    def start(self) -> None:
        self.started += 1

    def register(self, _poll: object) -> None:
        """Nothing to wait for."""

    def take(self) -> Resolved | None:
        answer = self._answers.pop(0)
        if isinstance(answer, QueueError):
            raise answer
        return answer


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = channel.make_pair()
    both = ours, Channel(theirs)
    yield both
    for end in both:
        end.close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ALIVE", 0.001)


def scout_with(end: Channel, source: SlowSource, plan: Plan | None = None) -> Scout:
    scout = Scout(plan or Plan(Config(), one_queue(), 1), end)
    scout._source = cast(Any, source)
    return scout


def test_while_it_waits_for_keys_it_says_that_it_lives(ends: tuple[Channel, Channel]) -> None:
    """A silent scout is killed. The keys come before the word that the queue is usable."""
    source = SlowSource(None, None, None, Resolved(PLACE, KEYS))
    queue, place = scout_with(ends[0], source)._open_queue()
    assert ends[1].receive() == [Trying(), Trying(), Trying(), KEYS]
    assert (place, queue.name, source.started) == (PLACE, "jobs", 1)


def test_a_master_that_goes_meanwhile_ends_the_wait(ends: tuple[Channel, Channel]) -> None:
    ends[1].close()
    with pytest.raises(MasterGone):
        scout_with(ends[0], SlowSource(None, None))._open_queue()


def test_why_there_are_no_keys_is_why_there_is_no_queue(ends: tuple[Channel, Channel]) -> None:
    refusal = QueueError(Trouble.SESSION, "no vault")
    with pytest.raises(QueueError, match="no vault"):
        scout_with(ends[0], SlowSource(None, refusal))._open_queue()


def test_the_embedded_servers_are_known(ends: tuple[Channel, Channel]) -> None:
    source = SlowSource()
    _, place = scout_with(ends[0], source, LOCAL)._open_queue()
    assert place.endpoint == "http://127.0.0.1:1/"
    assert ends[1].receive() == [Keys("fleet", "fleet")]
    assert source.started == 0
