"""What the processes of a pool say to each other. `ipc/channel.py` carries it.

    master → everyone     Plan, once, first of all
    master → dispatcher   Grant · Drain · Free
    dispatcher → master   Ready · Received | Empty | PollFailed · Held · Settled
                          Denied · Troubled · Healed · LeaseLost
    master → template     Fork (with the dispatcher's end of its channel)
    template → master     Imported | Failed · Forked | NotForked
    scout → master        Late · Usable | Failed · Depth | SampleFailed · Trying · Served
                          Recovered · RecoveryDenied · DeleteTried
    master → scout        Recover · SampleDepth · TryDelete
    everyone → master     Tell: a line for the log

A conversation about one message is Grant, Received, (Held, Free,) Settled. A dispatcher that has
said nothing since its Grant has an open poll. Denied may come before a Settled. With --batch-size
there is one Settled for each message received.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.queue_names import is_fifo

# Seconds of lease, by our clock, that a release by the scout needs.
RELEASE_MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the helpers and the dispatchers are told first: the options, and what this run is.

    `queue`: its name, URL or ARN, as given. `master`: its pid. The rest says how the queue's server
    is spoken to; None is boto3's own choice.
    """

    config: Config
    app: str
    queue: str
    master: int
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    local_port: int | None = None  # of the embedded server, if that is used

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of a group's messages."""
        return is_fifo(self.queue)


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one receive call, for up to `most` messages, of `longest` seconds at the most."""

    most: int = 1
    longest: float = inf


@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing more; a job that runs has this many seconds left, and in `left` seconds
    everybody is killed.
    """

    seconds: float
    left: float = field(default=inf, compare=False)


@dataclass(frozen=True, slots=True)
class Free:
    """No poll of this host can swallow what is released now."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The dispatcher's handlers are installed and it waits for a grant."""

    pid: int


@dataclass(frozen=True, slots=True)
class Received:
    """The poll brought `count` messages, `took` seconds after it was asked for; their places are 0
    to count - 1.
    """

    took: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Empty:
    """The poll came home without a message after `took` seconds."""

    took: float


@dataclass(frozen=True, slots=True)
class PollFailed:
    """The receive call failed; `error` is one line for people, without any body.

    `unanswered`: it was asked, and the server may not know that nobody listens any more. `refused`:
    it does not heal by itself: receiving is not allowed, or the queue is gone. `answered`: somebody
    said no. `took`: seconds until it failed.
    """

    error: str
    unanswered: bool = False
    refused: bool = False
    answered: bool = True
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """A message is to be released, with no process at work on it; waiting for Free.

    One that has several may say it while a job runs for another one, and does not say it again
    before Free.
    """


@dataclass(frozen=True, slots=True)
class Denied:
    """The delete of a message is not allowed, and is asked for again until its Settled: done or
    not.

    `error` is one line for people, with the permission that is missing. `place`: as in Settled.
    `message_id` and `handle`: what to delete, should the dispatcher give it up.
    """

    error: str
    place: int = 0
    message_id: str = ""
    handle: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Troubled:
    """A call about a message in hand has failed: the queue does not answer, or not as it should."""

    error: str


@dataclass(frozen=True, slots=True)
class Healed:
    """Such a call has succeeded again."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The lease of a message in hand is over: others may get it too. `place`: as in Settled."""

    place: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """A line for the log, as an event of its table: the master tells it for all who meet the same
    trouble.
    """

    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """The delivery has ended; `job_seconds` is None when no job ran, `bad` as in exits.ended_badly.

    `starved`: the host had no process to give to the job. `lease_lost`: others may have got the
    message too. `hidden_for`: seconds until somebody can receive the message again. `max_rss_mib`:
    what the job needed. `place`: which of the messages that one poll brought. `unconfirmed`: it is
    left because its delete was asked for in vain, by a queue that exists: what is done may be done
    again. `redriven`: the queue itself dead-letters it at its next receive. `gone`: it is left
    because its queue does not exist any more; what was said of that.
    """

    settlement: Settlement
    outcome: Outcome | None
    job_seconds: float | None
    bad: bool
    starved: bool = False
    lease_lost: bool = False
    hidden_for: float = 0.0
    max_rss_mib: float | None = None
    place: int = 0
    unconfirmed: bool = False
    redriven: bool = False
    gone: str = ""


@dataclass(frozen=True, slots=True)
class Fork:
    """Fork a dispatcher for the slot; its channel's end comes with this."""

    slot: int
    queue_url: str


@dataclass(frozen=True, slots=True)
class Imported:
    """The app is in memory; `warnings` are reasons why it will not survive a fork well."""

    seconds: float
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """A helper cannot do its part: the exit status that this means, why, and the app's own
    traceback.
    """

    code: int
    why: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Forked:
    """The slot's dispatcher is now the master's child."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class NotForked:
    """It is not: the host has no process to give."""

    slot: int
    why: str


@dataclass(frozen=True, slots=True)
class Late:
    """The queue does not answer yet; it is tried for `left` more seconds."""

    why: str
    left: float


@dataclass(frozen=True, slots=True)
class Usable:
    """The queue answers; `advice` is what its settings will make people suffer from.

    `dead_letters`: the name of its dead-letter queue, empty without one.
    """

    url: str
    advice: list[str]
    dead_letters: str = ""


@dataclass(frozen=True, slots=True)
class SampleDepth:
    """Count the queue's messages now, not when it is time. The answer is a Depth or SampleFailed."""


@dataclass(frozen=True, slots=True)
class SampleFailed:
    """The counts could not be read."""

    why: str


@dataclass(frozen=True, slots=True)
class Served:
    """The embedded server was gone, and is started again as this process."""

    pid: int


@dataclass(frozen=True, slots=True)
class Recover:
    """Delete or release the message of a dead dispatcher.

    With a `receive_id` nobody knows which message: whatever a receive call with that id brings.
    `delay`: seconds that a release is to wait. `lease_until`: when the message's lease ends, or with
    a `receive_id` the latest moment until which the message can be hidden.
    """

    number: int
    message_id: str
    handle: str = field(repr=False)
    settlement: Settlement
    delay: int
    lease_until: float
    receive_id: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """The order of that number is done, or could not be done (LEAVE).

    `message_id` and `attempt`: of the message that a repeated poll has brought, empty when it brought
    none.
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
    """Try once to delete a message that is left: whether that is allowed. The answer is
    DeleteTried.
    """

    message_id: str
    handle: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteTried:
    """`denied`: it is still not allowed, or nobody knows. `deleted`: the message is."""

    denied: bool
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Trying:
    """A sign of life: what the scout does has failed, and is tried again."""


DispatcherOrder = Grant | Drain | Free
Report = (
    Ready | Received | Empty | PollFailed | Held | Denied | Troubled | Healed | LeaseLost | Settled
)
ScoutOrder = Recover | SampleDepth | TryDelete
FromTemplate = Imported | Failed | Forked | NotForked
FromScout = (
    Late
    | Usable
    | Failed
    | Depth
    | SampleFailed
    | Recovered
    | RecoveryDenied
    | DeleteTried
    | Served
    | Trying
)
FromHelper = FromTemplate | FromScout
Word = Plan | DispatcherOrder | Report | Tell | Fork | FromHelper | ScoutOrder
