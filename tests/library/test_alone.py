"""The ears of a dispatcher without a master: which signal means what."""

import os
import signal
from collections.abc import Iterator

import pytest

from fleet import alone
from fleet.alone import LoneEars
from fleet.core.messages import Held


class Clock:
    """The clock that the ears read."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(alone, "now", clock)
    return clock


@pytest.fixture
def ears() -> Iterator[LoneEars]:
    """Listening; what comes is raised in the end and does nothing."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    ears = LoneEars(30.0)
    ears.listen()
    yield ears
    ears.give_back()
    signal.signal(signal.SIGTERM, before)


def heard(ears: LoneEars) -> float | None:
    """What is left for a running job after one more signal, as it is told once."""
    os.kill(os.getpid(), signal.SIGTERM)
    ears.wait(0.0)
    drain, ears.drain = ears.drain, None
    return drain


def test_the_first_gives_time_the_same_again_nothing_and_a_later_one_takes_it(ears: LoneEars, clock: Clock) -> None:
    assert heard(ears) == 30.0
    clock.now += 1.0
    assert heard(ears) is None, "the same Ctrl-C, from the terminal and from a supervisor"
    clock.now += 0.1
    assert heard(ears) == 0.0


def test_a_release_is_free_at_once_and_once(ears: LoneEars, clock: Clock) -> None:
    ears.say(Held())
    free = []
    for moment in (clock.now + 3600, clock.now):  # at once: not in an hour
        ears.freed = False
        ears.wait(moment)
        free.append(ears.freed)
    assert free == [True, False]
