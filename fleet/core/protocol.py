"""What the processes of a pool say to each other. `ipc/channel.py` carries it.

    master → everyone     Plan, once, first of all
    master → dispatcher   Grant · Drain · Free · Keys
    dispatcher → master   Ready · Received | Empty | PollFailed · Held · Settled
                          Denied · Troubled · Healed · LeaseLost
    master → template     Fork (with the dispatcher's end of its channel)
    template → master     Imported | Failed · Forked | NotForked
    master ↔ scout        scout_protocol.py · Failed
    dispatcher → master   Tell: a line for the log · KeysRefused, for the scout

A conversation about one message is Grant, Received, (Held, Free,) Settled. A dispatcher that has
said nothing since its Grant has an open poll. Denied, Troubled, Healed and LeaseLost may come
before a Settled. With --batch-size there is one Settled for each message received.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any

from fleet.core.config import Config
from fleet.core.outcomes import Outcome, Settlement
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import Keys, KeysRefused, QueuePlace
from fleet.core.scout_protocol import Resolved, ScoutOrder, ScoutWord, Unresolved

# Seconds of lease, by our clock, that a release by the scout needs.
RELEASE_MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What the helpers and the dispatchers are told first: the options, and what this run is.

    `queues`: at least one; a queue is its place in this list, in every word. `master`: its pid. The
    rest says how the server of the queues is spoken to; None is boto3's own choice.
    """

    config: Config
    queues: list[QueueConfig]
    master: int
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    local_port: int | None = None  # of the embedded server, if that is used


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to make one receive call, for up to `most` messages, of at most `longest` seconds.

    What a dispatcher says until its next Grant is about that queue.
    """

    most: int = 1
    longest: float = inf
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Drain:
    """Receive nothing more, and leave.

    A job that runs has `seconds` left; in `left` seconds every dispatcher that is still there is
    killed.
    """

    seconds: float
    left: float = field(default=inf, compare=False)


@dataclass(frozen=True, slots=True)
class Free:
    """Messages may be released: no open poll of this host can swallow one now."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The dispatcher's handlers are installed and it waits for a grant."""

    pid: int


@dataclass(frozen=True, slots=True)
class Received:
    """The poll brought `count` messages after `took` seconds; their places are 0 to count - 1."""

    took: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class Empty:
    """The poll came home without a message after `took` seconds."""

    took: float


@dataclass(frozen=True, slots=True)
class PollFailed:
    """The receive call failed; `error` is one line for people, without any body.

    `unanswered`: the call was sent, and the server may not know that nobody listens any more.
    `refused`: it does not heal by itself: receiving is not allowed, or the queue is gone.
    `answered`: it was refused by an answer, not by silence. `took`: seconds until it failed.
    """

    error: str
    unanswered: bool = False
    refused: bool = False
    answered: bool = True
    took: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """A message is to be released, no process works on it, and the dispatcher waits for Free.

    A dispatcher that has several messages may say it while a job runs for another one, and does
    not say it again before Free.
    """


@dataclass(frozen=True, slots=True)
class Denied:
    """The delete of a message is not allowed. It is asked for again until its Settled, done or not.

    `error` is one line for people, with the permission that is missing. `place`: as in Settled.
    `message_id` and `handle`: what to delete, should the dispatcher give up.
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
    """A call about a message in hand has succeeded again."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """The lease of a message in hand is over: others may receive it too. `place`: as in Settled."""

    place: int = 0


@dataclass(frozen=True, slots=True)
class Tell:
    """A line for the log, as an event of its table.

    The master logs it once for all dispatchers that meet the same trouble.
    """

    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Settled:
    """The delivery of a message has ended.

    `job_seconds` is None when no job ran; `bad` as `ended_badly` in outcomes.py.

    `starved`: the host had no process to give to the job. `lease_lost`: others may have received
    the message too. `hidden_for`: seconds until the message can be received again. `max_rss_mib`:
    the memory that the job needed. `place`: which of the messages that one poll brought.
    `unconfirmed`: the message is left because its delete was asked for in vain, of a queue that
    exists: what is done may be done again. `redriven`: the queue itself dead-letters the message at
    its next receive. `gone`: the message is left because its queue does not exist any more; the
    error that said so.
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
    """Fork a dispatcher for the slot; its channel's end comes with this.

    `places`: of the queues.
    """

    slot: int
    places: list[QueuePlace]
    keys: Keys


@dataclass(frozen=True, slots=True)
class Imported:
    """The app is in memory; `warnings` are reasons why it will not survive a fork well."""

    seconds: float
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class Failed:
    """A helper cannot do its part: the exit status it means, why, and the app's traceback."""

    code: int
    why: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Forked:
    """The slot's dispatcher has that pid, and is the master's child."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class NotForked:
    """The slot has no dispatcher: the host has no process to give."""

    slot: int
    why: str


DispatcherOrder = Grant | Drain | Free
Report = (
    Ready | Received | Empty | PollFailed | Held | Denied | Troubled | Healed | LeaseLost | Settled
)
FromTemplate = Imported | Failed | Forked | NotForked
FromScout = ScoutWord | Failed
FromHelper = FromTemplate | FromScout
FromResolver = Resolved | Unresolved
Word = (
    Plan
    | DispatcherOrder
    | Report
    | Tell
    | KeysRefused
    | Fork
    | FromHelper
    | ScoutOrder
    | FromResolver
)
