"""USR2: everybody writes down what he does, and a moment later it is told."""

from fleet.core.pool.effects import AskStack, TellStack
from fleet.core.pool.events import StacksAsked
from tests.core.pool.story import running


def test_everybody_is_asked_and_a_moment_later_it_is_told() -> None:
    story = running(2)
    assert story.happens(StacksAsked()) == [AskStack(None)]
    assert story.wakes_at() == 0.5
    assert story.tick(0.499) == []
    assert story.tick(0.5) == [TellStack(None)]
    assert story.tick(0.6) == []


def test_who_asks_again_and_again_does_not_put_it_off() -> None:
    story = running(2)
    story.happens(StacksAsked())
    story.now = 0.4
    assert story.happens(StacksAsked()) == [AskStack(None)]
    assert story.tick(0.5) == [TellStack(None)]
