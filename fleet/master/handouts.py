"""What the scout has found out, and the master hands to those who call the queues."""

import errno
import os

from fleet.core.protocol import Fork, FromHelper
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import Usable


class Handouts:
    """The newest places and keys, for dispatchers that are still to come.

    By queue: `places`, and in `dead_letters` the name of the dead-letter queue, empty without one.
    """

    def __init__(self, queues: int) -> None:
        self.places: list[QueuePlace | None] = [None] * queues
        self.keys: Keys | None = None
        self.dead_letters = [""] * queues

    def note(self, word: FromHelper) -> Keys | None:
        """Keep what a word says of that; new keys, which the living are to be given."""
        match word:
            case Usable(place, _, dead_letters, queue):
                self.places[queue], self.dead_letters[queue] = place, dead_letters
            case Keys():
                self.keys = word
                return word
        return None

    def fork_order(self, slot: int) -> Fork:
        """The order for a dispatcher of the slot. Raises OSError while there is nothing to hand."""
        places = [place for place in self.places if place is not None]
        if self.keys is None or len(places) < len(self.places):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return Fork(slot, places, self.keys)
