"""The inbox of a dispatcher without a master: which signal means what."""

import os
import signal
from collections.abc import Iterator

import pytest

from fleet.core.protocol import Held
from fleet.library import standalone
from fleet.library.standalone import StandaloneInbox


class Clock:
    """The clock that the inbox reads."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(standalone, "now", clock)
    return clock


@pytest.fixture
def inbox() -> Iterator[StandaloneInbox]:
    """Listening; what comes is raised in the end and does nothing."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    inbox = StandaloneInbox(30.0)
    inbox.listen()
    yield inbox
    inbox.give_back()
    signal.signal(signal.SIGTERM, before)


def heard(inbox: StandaloneInbox) -> float | None:
    """What is left for a running job after one more signal, as it is told once."""
    os.kill(os.getpid(), signal.SIGTERM)
    inbox.wait(0.0)
    drain, inbox.drain = inbox.drain, None
    return drain


def test_the_first_gives_time_the_same_again_nothing_and_a_later_one_takes_it(
    inbox: StandaloneInbox, clock: Clock
) -> None:
    assert heard(inbox) == 30.0
    clock.now += 1.0
    assert heard(inbox) is None, "the same Ctrl-C, from the terminal and from a supervisor"
    clock.now += 0.1
    assert heard(inbox) == 0.0


def test_a_release_is_free_at_once_and_once(inbox: StandaloneInbox, clock: Clock) -> None:
    inbox.say(Held())
    free = []
    for moment in (clock.now + 3600, clock.now):  # at once: not in an hour
        inbox.freed = False
        inbox.wait(moment)
        free.append(inbox.freed)
    assert free == [True, False]
