"""The size that an operator wants, and a pause."""

from fleet.core.pool.effects import Send, Spawn, TerminateDispatcher
from fleet.core.pool.events import PauseAsked, ScaleAsked, StopAsked
from fleet.core.pool.state import Level, PoolPhase, Resize
from fleet.core.protocol import Empty, Ready
from tests.core.pool.story import DONE, GRANT, Story, named, running, sends, working


def level_of(story: Story) -> Level | None:
    """Asked anew each time: a type checker would take it for unchanged."""
    return story.pool.level


def test_scale_spawns_what_is_missing() -> None:
    story = running(2)
    assert story.happens(ScaleAsked(4)) == [Spawn(2), Spawn(3)]
    assert story.pool.last_resize == Resize(2, 4, "an operator asked for it")
    assert story.log("pool.resized").fields == {
        "from": 2,
        "to": 4,
        "reason": "an operator asked for it",
    }
    assert story.pool.held


def test_scale_retires_idle_ones_only() -> None:
    story = working(3, busy=1)  # 1 polls, 2 is idle
    assert story.happens(ScaleAsked(1)) == [TerminateDispatcher(2)]
    assert story.says(1, Empty(10.0)) == [TerminateDispatcher(1)]
    assert story.says(0, DONE) == [Send(0, GRANT)]


def test_the_same_size_is_no_news() -> None:
    story = running(2)
    assert story.happens(ScaleAsked(2)) == []
    assert "pool.resized" not in story.events()
    assert story.pool.last_resize is None
    assert story.pool.held  # by hand all the same


def test_a_refused_size_changes_nothing() -> None:
    story = running(2)
    before = story.pool
    assert story.happens(ScaleAsked(0)) == []
    assert story.happens(ScaleAsked(1025)) == []
    assert story.happens(ScaleAsked(None)) == []
    assert story.pool == before


def test_signals_go_as_far_as_they_can() -> None:
    story = running(3, min_workers=2, max_workers=4)
    for _ in range(3):
        story.resize(1)
    assert story.pool.desired == 4
    for _ in range(5):
        story.resize(-1)
    assert story.pool.desired == 2
    assert story.pool.held


def test_auto_gives_the_size_back() -> None:
    story = running(3, min_workers=2, max_workers=4)
    story.happens(ScaleAsked(4))
    story.happens(ScaleAsked(None))
    assert not story.pool.held


def test_a_paused_pool_grants_nothing() -> None:
    story = running(2)
    story.happens(PauseAsked(True))
    assert story.says(0, Empty(10.0)) == []
    assert story.events()[-1] == "pool.paused"
    assert story.happens(PauseAsked(True)) == []
    assert story.events().count("pool.paused") == 1
    assert sends(story.happens(PauseAsked(False)), GRANT) == [0]
    assert story.events()[-1] == "pool.resumed"


def test_a_paused_pool_finishes_and_stops() -> None:
    story = working(1, busy=1)
    story.happens(PauseAsked(True))
    assert story.says(0, DONE) == []
    story.stop()
    story.dies(0)
    assert story.is_in(PoolPhase.STOPPED)


def test_a_command_to_stop_means_what_it_says_however_often() -> None:
    story = working(1, busy=1)
    for now in (0.0, 2.0, 4.0):
        story.now = now
        story.happens(StopAsked(Level.DRAIN, "an operator stopped it", by_signal=False))
    assert level_of(story) is Level.DRAIN
    story.happens(StopAsked(Level.NOW, "an operator stopped it", by_signal=False))
    assert level_of(story) is Level.NOW
    assert story.why == "an operator stopped it"


def test_a_signal_after_a_command_is_the_first_of_its_kind() -> None:
    story = working(1, busy=1)
    story.happens(StopAsked(Level.DRAIN, "an operator stopped it", by_signal=False))
    story.now = 5.0
    story.stop()
    assert level_of(story) is Level.DRAIN
    story.now = 10.0
    story.stop()
    assert level_of(story) is Level.NOW


def test_the_template_is_asked_for_a_few_at_once() -> None:
    """An order that does not fit into its channel would be lost."""
    story = running(1)
    assert story.happens(ScaleAsked(40)) == [Spawn(slot) for slot in range(1, 17)]
    assert story.happens(named(1, 200)) == [Spawn(17)]
    assert story.says(1, Ready(200)) == []
    assert story.says(2, Ready(300)) == [Spawn(18)]
