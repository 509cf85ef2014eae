"""What an operator asks of one queue of a pool: pauses and limits."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from fleet.core.pool import state
from fleet.core.pool.effects import Effect, Log, Send
from fleet.core.pool.events import Event, LimitAsked, PauseAsked
from fleet.core.pool.queue_state import Refusal
from fleet.core.pool.state import IllegalEvent
from fleet.core.protocol import Empty, PollFailed, Received
from fleet.core.queue_config import QueueConfig
from fleet.core.slot_state import State
from tests.core.pool.story import DONE, GRANT, running, sends, working
from tests.core.pool.test_queue_state import HIGH, NOW, Host
from tests.support.queues import change_queue

LOW_PAUSED = (PauseAsked(True, 1), Log("queue.paused", {"queue": "low"}))
LOW_RESUMED = (PauseAsked(False, 1), Log("queue.resumed", {"queue": "low"}))


def logs(effects: list[Effect]) -> list[Log]:
    return [each for each in effects if isinstance(each, Log)]


def test_a_queue_is_paused_and_resumed_once() -> None:
    host = Host(State.WORKING, State.WORKING)
    for asked, log in (LOW_PAUSED, LOW_RESUMED):
        assert logs(host.take(asked)) == [log]
        assert [each.paused for each in host.pool.queues] == [False, asked.paused]
        assert logs(host.take(asked)) == []
    assert not host.pool.paused


def test_nothing_is_received_from_a_paused_queue() -> None:
    story = running(2)
    story.happens(PauseAsked(True, 0))
    assert story.says(0, Empty(10.0)) == []
    assert story.happens(PauseAsked(True)) == []
    assert story.happens(PauseAsked(False, 0)) == [], "the whole pool is paused, too"
    assert sends(story.happens(PauseAsked(False)), GRANT) == [0]


def test_a_paused_queue_stays_so_when_the_pool_is_resumed() -> None:
    story = running(1)
    for asked in (PauseAsked(True, 0), PauseAsked(True), PauseAsked(False)):
        story.happens(asked)
    assert story.says(0, Empty(10.0)) == []


def test_to_pause_a_queue_forgets_its_own_refusal() -> None:
    host = Host(State.POLLING, State.POLLING)
    for place in (0, 1):
        host.says(place, PollFailed("denied", refused=True))
    host.take(PauseAsked(True, 1))
    assert [each.refused for each in host.pool.queues] == [Refusal(NOW, "denied"), None]


@pytest.mark.parametrize("asked", [PauseAsked(False, 1), LimitAsked(1, 5), PauseAsked(False)])
def test_a_queue_starves_only_from_when_it_could_be_polled_again(asked: Event) -> None:
    host = Host(State.WORKING, State.WORKING)
    host.pool = replace(change_queue(host.pool, 1, paused=True), paused=True)
    host.take(asked)
    assert host.pool.queues[1].evidence.granted_at == NOW


def test_a_limit_is_changed_and_lifted_once() -> None:
    host = Host(State.WORKING, State.WORKING)
    changes: list[tuple[float, int | str, int | str]] = [
        (3, "none", 3),
        (1, 3, 1),
        (inf, 1, "none"),
    ]
    for limit, before, after in changes:
        log = Log("queue.limited", {"queue": "low", "from": before, "to": after})
        assert logs(host.take(LimitAsked(1, limit))) == [log]
        assert [each.limit for each in host.pool.queues] == [inf, limit]
        assert logs(host.take(LimitAsked(1, limit))) == []


@pytest.mark.parametrize(
    "asked", [LimitAsked(1, 0), LimitAsked(2, 5), PauseAsked(True, 2), PauseAsked(True, -1)]
)
def test_what_cannot_be_is_refused(asked: Event) -> None:
    host = Host(State.WORKING, State.WORKING)
    with pytest.raises(IllegalEvent):
        host.take(asked)


def test_the_only_queue_heeds_its_limit_too() -> None:
    story = working(4, 1)
    story.happens(LimitAsked(0, 2))
    story.sample(100)
    assert story.states() == [State.WORKING, State.POLLING, State.IDLE, State.IDLE]
    assert story.says(1, Received(0.1)) == []
    assert story.says(1, DONE) == [Send(1, GRANT)]
    assert sends(story.happens(LimitAsked(0, 3)), GRANT) == [2]


def test_a_poll_that_fell_silent_may_still_bring_a_job() -> None:
    story = running(2)
    story.happens(LimitAsked(0, 1))
    assert sends(story.tick(22.0), GRANT) == []


def test_jobs_that_are_more_than_a_new_limit_go_on() -> None:
    story = working(3, 3)
    assert story.happens(LimitAsked(0, 1)) == []
    for slot in (0, 1):
        assert story.says(slot, DONE) == []
    assert story.says(2, DONE) == [Send(0, GRANT)]


@pytest.mark.parametrize("given", [{"limit": 2.0}, {"weight": 3.0}])
def test_limit_and_weight_are_as_the_options_say(given: dict[str, Any]) -> None:
    (queue,) = state.new(HIGH, [QueueConfig("high", "app:job", HIGH, **given)]).queues
    assert {name: getattr(queue, name) for name in given} == given
