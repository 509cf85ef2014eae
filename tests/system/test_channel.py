"""What two processes of a pool say to each other, as packets."""

from collections.abc import Iterator

import pytest

from fleet.core.exits import Settlement
from fleet.core.messages import Execute, Word
from fleet.core.wills import AT_ONCE
from fleet.system import channel
from fleet.system.channel import Channel

LONG = Execute(1, "m" * 100, "h" * 1500, Settlement.DELETE, 0, 1e6)  # SQS's handles have some hundred characters


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = channel.pair()
    both = ours, Channel(theirs)
    yield both
    for end in both:
        end.close()


def test_what_is_said_is_heard_in_order(ends: tuple[Channel, Channel]) -> None:
    said: list[Word] = [LONG, Execute(2, "m", "h", Settlement.RELEASE, 3, 1e6, "call")]
    assert all(ends[0].send(word) for word in said)
    assert ends[1].receive() == said


def test_what_there_is_no_room_for_is_not_said(ends: tuple[Channel, Channel]) -> None:
    count = 0
    while ends[0].send(LONG):
        count += 1
    assert count > 2 * AT_ONCE
    assert len(ends[1].receive()) == count
    assert ends[0].send(LONG)


def test_who_is_gone_takes_everything(ends: tuple[Channel, Channel]) -> None:
    """Its death is noticed elsewhere."""
    ends[1].close()
    assert ends[0].send(LONG)
