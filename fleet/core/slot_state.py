"""What the dispatcher of a slot does: as the pool knows it, and as it is on the scoreboard.

`pool/slot.py` has the diagram. It is a file of its own because every job is forked from processes
that know this much of the pool, and no more.
"""

from enum import Enum, auto


class State(Enum):
    """What a slot's dispatcher does, in one word."""

    VACANT = auto()
    SPAWNING = auto()
    BOOTING = auto()
    IDLE = auto()
    POLLING = auto()
    WORKING = auto()
    HOLDING = auto()
