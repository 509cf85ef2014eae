"""What the master and the scout say to each other, but for Plan and Failed (`protocol.py`).

    master → scout    SampleDepth · Recover · TryDelete · KeysRefused
    scout → master    Keys, then of each queue Late | Usable, before all else about it
                      of a queue that the scout cannot do anything with: Unusable
                      of a queue: Sampled | SampleFailed · DeleteTried
                      of an order: Recovered · RecoveryDenied
                      Trying · Served · Keys, whenever there are new ones
    scout → resolver  Plan
    resolver → scout  Resolved | Unresolved

`queue` is which of the plan's queues a word is about, by its place.

Every Recover is answered by one Recovered, every TryDelete by one DeleteTried. Until then Trying
and RecoveryDenied tell that the scout still works at it.
"""

from dataclasses import dataclass, field

from fleet.core.depth import Depth
from fleet.core.outcomes import Settlement
from fleet.core.queue_place import Keys, QueuePlace


@dataclass(frozen=True, slots=True)
class Late:
    """The queue does not answer yet; it is tried for `left` more seconds."""

    why: str
    left: float
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Usable:
    """The queue answers; `advice` is what its settings will make people suffer from.

    `place` has the queue's URL. `dead_letters`: the name of its dead-letter queue, empty without
    one.
    """

    place: QueuePlace
    advice: list[str]
    dead_letters: str = ""
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Unusable:
    """The queue cannot be used, and others can: the scout goes on with those, and tries it again.

    `code` and `why` are those of a Failed. A Usable follows when it can be used.
    """

    queue: int
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class SampleDepth:
    """Count the messages of each queue now. The answer for each is a Sampled or SampleFailed."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """The counts of a queue."""

    queue: int
    depth: Depth


@dataclass(frozen=True, slots=True)
class SampleFailed:
    """The counts could not be read."""

    why: str
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Recover:
    """Delete or release the message of a dead dispatcher.

    With a `receive_id` nobody knows which message: whatever a receive call with that id brings.
    `delay`: seconds that a release is to wait. `lease_until`: when the message's lease ends, or
    with a `receive_id` the latest moment until which the message can be hidden.
    """

    number: int
    message_id: str
    handle: str = field(repr=False)
    settlement: Settlement
    delay: int
    lease_until: float
    receive_id: str = ""
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Recovered:
    """The order of that number is done, or could not be done (LEAVE).

    `message_id` and `attempt`: of the message that a repeated poll has brought, empty when it
    brought none.
    """

    number: int
    settlement: Settlement
    message_id: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RecoveryDenied:
    """The ordered delete is not allowed, and is tried again. `why` is one line for people."""

    number: int
    why: str


@dataclass(frozen=True, slots=True)
class TryDelete:
    """Try once to delete a message that is left: whether that is allowed.

    The answer is DeleteTried.
    """

    message_id: str
    handle: str = field(repr=False)
    queue: int = 0


@dataclass(frozen=True, slots=True)
class DeleteTried:
    """`denied`: it is still not allowed, or nobody knows. `deleted`: the message is."""

    denied: bool
    deleted: bool = False
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Trying:
    """A sign of life: what the scout does has failed, and is tried again."""


@dataclass(frozen=True, slots=True)
class Served:
    """The embedded server was gone, and is started again as this process."""

    pid: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """Where the queues are, and the keys that the chain of credentials has given."""

    places: list[QueuePlace]
    keys: Keys


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why place and keys are not to be had: `trouble` is the name of a Trouble (queue.py)."""

    trouble: str
    why: str


ScoutOrder = SampleDepth | Recover | TryDelete
ScoutWord = (
    Late
    | Usable
    | Unusable
    | Sampled
    | SampleFailed
    | Recovered
    | RecoveryDenied
    | DeleteTried
    | Trying
    | Served
    | Keys
)
