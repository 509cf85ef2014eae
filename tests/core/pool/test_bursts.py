"""--batch-size in a burst that no depth sample has seen: what it saves, and what it may cost.

A burst is played on a pool: the queue has so many messages, a receive takes 10 ms, each job the
same time, and a poll that finds nothing stays open.
"""

import heapq
from dataclasses import dataclass, field, replace

import pytest

from fleet.core.protocol import Received
from fleet.core.slot_state import State
from tests.core.pool.story import DONE, Story, running

RECEIVE = 0.01  # seconds


@dataclass
class Burst:
    """So many messages in the queue. `ended` is when the last job was done, in seconds."""

    story: Story
    left: int
    job: float
    receives: int = 0
    ended: float = 0.0
    # Per busy slot: when its next thing happens, and what: a place whose job ends, or None, a poll.
    coming: list[tuple[float, int, int | None]] = field(default_factory=list)
    polling: set[int] = field(default_factory=set)

    def play(self) -> "Burst":
        """Until every message is done."""
        self._note_grants()
        while self.coming:
            self.story.now, slot, place = heapq.heappop(self.coming)
            if place is None:
                self._receive(slot)
            else:
                self._end_job(slot, place)
            self._note_grants()
        assert self.left == 0
        assert self.story.pool.counts.in_hand == 0
        return self

    def _note_grants(self) -> None:
        """Polls that were granted; those that find nothing stay open and are noted once."""
        for slot in self.story.pool.slots:
            if slot.state is State.POLLING and slot.number not in self.polling:
                self.polling.add(slot.number)
                self._expect(slot.number, RECEIVE, None)

    def _expect(self, slot: int, seconds: float, place: int | None) -> None:
        heapq.heappush(self.coming, (self.story.now + seconds, slot, place))

    def _receive(self, slot: int) -> None:
        count = min(self.left, self.story.slot(slot).asked)
        if not count:
            return
        self.left -= count
        self.receives += 1
        self.polling.remove(slot)
        self.story.says(slot, Received(RECEIVE, count))
        self._expect(slot, self.job, 0)

    def _end_job(self, slot: int, place: int) -> None:
        self.story.says(slot, replace(DONE, place=place))
        self.ended = self.story.now
        if self.story.slot(slot).places:
            self._expect(slot, self.job, place + 1)


def play(workers: int, messages: int, job: float, batch_size: int = 10) -> Burst:
    return Burst(running(workers, batch_size=batch_size), messages, job).play()


@pytest.mark.parametrize(("workers", "most"), [(1, 34), (8, 58)])
def test_a_burst_of_three_hundred_fills_batches(workers: int, most: int) -> None:
    """Thirty receives would do if each brought ten."""
    assert play(workers, 300, 0.005).receives <= most


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_message_for_each_dispatcher_goes_to_each(workers: int) -> None:
    """Once polls are open: the first one alone says that there is more than it brought."""
    burst = play(workers, workers, 2.0)
    assert burst.receives == workers
    assert burst.ended == play(workers, workers, 2.0, batch_size=1).ended


@pytest.mark.parametrize("job", [0.005, 2.0])
@pytest.mark.parametrize("rounds", [1.5, 3.6, 10])
@pytest.mark.parametrize("workers", [1, 3, 16])
def test_a_burst_that_ends_unseen_takes_less_than_twice_as_long(
    workers: int, rounds: float, job: float
) -> None:
    """The last to receive hold what idle ones could have had, but no more than they have done."""
    messages = int(workers * rounds)
    singly = play(workers, messages, job, batch_size=1)
    assert play(workers, messages, job).ended < 2 * singly.ended
