"""The seam between fleet and a queue.

What a queue must be able to do, what a message is, and how a call fails.

docs/decisions/0027 has the reasons.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol

from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Settlement
from fleet.core.reasons import Reason


class Trouble(Enum):
    """What a failed call means for whoever made it."""

    PASSING = auto()  # heals by itself: network, throttling, a fault of the service
    SESSION = auto()  # heals with a new session: credentials that were not there or have expired
    DENIED = auto()  # heals when somebody gives a permission: the text names it
    GONE = auto()  # the queue does not exist
    MESSAGE = auto()  # this message only: its handle is no good any more
    FINAL = auto()  # cannot heal, and is none of these: no dead-letter queue, a body refused
    USAGE = auto()  # cannot heal, and it was the command that asked for it: no such region


@dataclass(frozen=True)  # without slots: a job forker makes one of its fields at once
class Message:
    """One delivery. `attempt` is SQS's ApproximateReceiveCount; `body` is private: never logged.

    `unusable`: why it must not be worked on, if it must not; then the rest is what could be read of
    it.
    """

    id: str
    handle: str
    body: str = field(repr=False)
    attempt: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    system_attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    unusable: str = ""


class QueueError(Exception):
    """A call to the queue failed; the text is one line for people and holds no message body.

    `unanswered`: it was asked, and no answer came; whether it is done, or is still being done,
    nobody knows. `answered`: somebody said no, if not SQS then a gateway on the way; False where
    nobody did, or could. `message`, `exit`, `settlement` and `reason` are set by `Dispatcher`,
    where the call was about a message.
    """

    def __init__(
        self, trouble: Trouble, text: str, *, unanswered: bool = False, answered: bool = True
    ) -> None:
        super().__init__(text)
        self.trouble, self.unanswered, self.answered = trouble, unanswered, answered
        self.message: Message | None = None
        self.exit: Exit | None = None
        self.settlement: Settlement | None = None
        self.reason: Reason | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """It pickles."""
        return type(self), (self.trouble, str(self)), self.__dict__


class MessageQueue(Protocol):
    """What fleet needs of a queue. Every call is tried once and raises QueueError when it fails."""

    def receive(self, wait: float, visibility: float) -> Message | None:
        """One long poll of `wait` seconds for one message, hidden for `visibility` seconds."""

    def extend(self, message: Message, seconds: int) -> None:
        """Hide the message for `seconds` from now on."""

    def delete(self, message: Message) -> None:
        """The work is done."""

    def release(self, message: Message, delay: int = 0) -> None:
        """Let others see the message, in `delay` seconds."""

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        """Send a copy to the dead-letter queue, with attributes if they fit; delete nothing."""

    def depth(self) -> Depth:
        """The three approximate counts."""

    def max_receive_count(self) -> int | None:
        """After how many deliveries a message is dead-lettered; None: there is no such queue."""


class RepeatableQueue(MessageQueue, Protocol):
    """A queue whose receive call another process can repeat.

    The pool does so for a dispatcher that died in the call.
    """

    def receive(self, wait: float, visibility: float, receive_id: str = "") -> Message | None:
        """FIFO only: receive once more what the call of this name has brought.

        `receive_id` names the call; repeated within five minutes it brings the same message again.
        """


class BatchQueue(RepeatableQueue, Protocol):
    """One that can hand out several messages at once, too."""

    def receive_many(self, wait: float, visibility: float, most: int) -> list[Message]:
        """As `receive`, for up to `most` messages (10 at the most)."""
