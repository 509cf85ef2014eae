"""What a dispatcher knows of the message in hand, as one frozen record, and the rules for all.

machine.py tells how the record changes.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from fleet.core.config import LONGEST_VISIBILITY, Config
from fleet.core.delivery.actions import Action
from fleet.core.delivery.events import Event
from fleet.core.outcomes import Exit, Facts, Outcome, Settlement, Stop, Verdict


class IllegalDeliveryEvent(Exception):
    """The event does not fit the state: a fault of fleet itself."""


class DeliveryPhase(Enum):
    """Where a delivery stands; the package's docstring has the diagram."""

    WAITING = auto()
    RUNNING = auto()
    DOUBTFUL = auto()
    STOPPING = auto()
    FROZEN = auto()
    HANDLING = auto()
    KILLING = auto()
    JUDGING = auto()
    REPORTING = auto()
    HELD = auto()
    SETTLING = auto()
    DONE = auto()


class HandlerResult(Enum):
    """How the exit handler ended."""

    DONE = auto()
    FAILED = auto()
    TIMED_OUT_TWICE = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about a delivery: the options, and what is known of its queue and its code.

    `has_handler`: the job has an exit handler. `takes_whole_lease`: the receive call asks for the
    whole lease at once, because nobody can extend a short one.
    """

    config: Config = field(default_factory=Config)
    has_handler: bool = False
    is_fifo: bool = False
    takes_whole_lease: bool = False

    @property
    def first_lease(self) -> float:
        """Seconds for which a receive call hides the message."""
        if self.takes_whole_lease:
            return self.config.visibility_timeout
        return self.config.first_lease


@dataclass(frozen=True)
class Delivery:
    """One receipt of a message.

    Times are seconds on one clock; `received_at` is from before the call.
    """

    received_at: float
    lease_until: float
    extend_at: float
    phase: DeliveryPhase = DeliveryPhase.WAITING
    attempt: int = 1
    stop_at: float = inf
    timeout_at: float = inf
    kill_at: float = inf
    doubt_until: float = inf
    lost: bool = False
    stop: Stop | None = None
    exit: Exit | None = None
    outcome: Outcome | None = None
    handler_tries: int = 0
    handler_until: float = inf
    handler_runs: bool = False
    handler_result: HandlerResult | None = None
    ask_at: float = inf
    facts: Facts | None = None
    hook_until: float = inf
    verdict: Verdict | None = None
    sent: bool = False
    tries: int = 0
    settle_at: float = inf
    failing_since: float = inf  # what is asked for at present: the policy, or a delete
    denied_since: float = inf  # the delete
    # A release may have been done: after that another one could hit a newer owner.
    release_by: float = inf

    @property
    def settlement(self) -> Settlement | None:
        """What becomes of the message, once it is decided."""
        return self.verdict.settlement if self.verdict else None


Step = tuple[Delivery, tuple[Action, ...]]

# The phases in which the lease is extended; while a delete is repeated it is too.
LEASE_KEPT = frozenset(DeliveryPhase) - {DeliveryPhase.SETTLING, DeliveryPhase.DONE}


def room_left(delivery: Delivery, now: float) -> float:
    """Seconds for which SQS would still hide the message; its limit counts from the receive."""
    return delivery.received_at + LONGEST_VISIBILITY - now


def is_delete_next(delivery: Delivery) -> bool:
    """Whether what is asked for, or is to be, is the message's delete."""
    return delivery.sent or delivery.settlement is Settlement.DELETE


def is_repeating_delete(delivery: Delivery) -> bool:
    """Whether a delete has failed and is repeated: nobody else should get the message meanwhile."""
    settling = delivery.phase is DeliveryPhase.SETTLING
    return settling and is_delete_next(delivery) and delivery.failing_since < inf


def require_phase(delivery: Delivery, event: Event, *phases: DeliveryPhase) -> None:
    """Raises IllegalDeliveryEvent unless the delivery is in one of these phases."""
    if delivery.phase not in phases:
        raise IllegalDeliveryEvent(f"{event} in {delivery.phase.name}")


def prepend(actions: tuple[Action, ...], following: Step) -> Step:
    """The step `following`, with these actions before its own."""
    delivery, more = following
    return delivery, (*actions, *more)
