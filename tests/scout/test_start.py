"""What the scout tells its master before it has found the queue."""

from collections.abc import Iterator
from dataclasses import replace
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
from fleet.scout.late_queue import LateQueue
from fleet.scout.process import MasterGone, Scout
from fleet.scout.watched_queue import WatchedQueue
from fleet.sqs.pool_access import PoolAccess
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


def opened(scout: Scout) -> list[WatchedQueue]:
    plan = scout._plan
    return scout._open_queues([LateQueue(3.0, 0.0, place) for place in range(len(plan.queues))])


def test_while_it_waits_for_keys_it_says_that_it_lives(ends: tuple[Channel, Channel]) -> None:
    """A silent scout is killed. The keys come before the word that the queue is usable."""
    source = SlowSource(None, None, None, Resolved([PLACE], KEYS))
    (queue,) = opened(scout_with(ends[0], source))
    assert ends[1].receive() == [Trying(), Trying(), Trying(), KEYS]
    assert (queue._found, queue._queue.name, source.started) == (PLACE, "jobs", 1)


def test_all_queues_are_reached_with_the_keys_of_one_answer(ends: tuple[Channel, Channel]) -> None:
    plan = Plan(Config(), one_queue(queue="high") + one_queue(queue="low"), 1)
    places = [replace(PLACE, name="high"), replace(PLACE, name="low", region="eu-north-1")]
    source = SlowSource(Resolved(places, KEYS))
    scout = scout_with(ends[0], source, plan)
    queues = opened(scout)
    assert ends[1].receive() == [KEYS]
    assert [(each._queue.name, each._queue.region) for each in queues] == [
        ("high", "eu-west-1"),
        ("low", "eu-north-1"),
    ]
    accesses = [cast(PoolAccess, each._queue.access) for each in queues]
    assert all(each.keyring is scout._keyring for each in accesses)
    assert [each.config.queue for each in queues] == ["high", "low"]


def test_a_master_that_goes_meanwhile_ends_the_wait(ends: tuple[Channel, Channel]) -> None:
    ends[1].close()
    with pytest.raises(MasterGone):
        opened(scout_with(ends[0], SlowSource(None, None)))


def test_why_there_are_no_keys_is_why_there_is_no_queue(ends: tuple[Channel, Channel]) -> None:
    refusal = QueueError(Trouble.SESSION, "no vault")
    with pytest.raises(QueueError, match="no vault"):
        opened(scout_with(ends[0], SlowSource(None, refusal)))


def test_the_embedded_servers_are_known(ends: tuple[Channel, Channel]) -> None:
    source = SlowSource()
    (queue,) = opened(scout_with(ends[0], source, LOCAL))
    assert queue._found.endpoint == "http://127.0.0.1:1/"
    assert ends[1].receive() == [Keys("fleet", "fleet")]
    assert source.started == 0
