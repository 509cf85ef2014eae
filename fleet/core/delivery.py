"""One message, from the answer that brought it to its settlement.

    received ──run──▶ RUNNING ──exit──▶ SETTLING ──confirmed, or too late──▶ DONE
        │                │                 ▲
        │              stop                │ free
        │                ▼                 │
        │            STOPPING ──exit──▶  HELD
        └──hold───────────────────────────▶┘

RUNNING   the job's process exists.
STOPPING  it was told to stop (SIGTERM to its group) and is killed when `kill_at` comes.
HELD      no process works on the message; it is to be released as soon as the master says that no poll of
          this host can swallow it (`Free`).
SETTLING  the request is on its way, and repeated with backoff until the lease ends.
DONE      `settlement` tells what became of the message.

Two clocks run beside that. The lease: until `lease_until` SQS hides the message, counted on our own clock
from *before* the call that set it, moved by a confirmed answer only, asked for again at a third of it. Once
that time has passed the lease is lost: no extend and no release any more, because both could hit a newer
owner. A job runs on then; that is the policy `continue`. And the drain: `stop_at` is when a running job
must be told to stop.

`step(delivery, event, rules)` returns the next state and what to do. An event that the state does not
allow raises `Illegal` and changes nothing. The lease is kept in every phase but SETTLING and DONE.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from math import ceil, inf
from typing import assert_never

from fleet.core.delivery_events import (
    Action,
    Due,
    End,
    Event,
    Exited,
    Extend,
    Extended,
    ExtendFailed,
    Freed,
    Hold,
    Kill,
    LeaseLost,
    NotStarted,
    Settle,
    SettleDone,
    SettleFailed,
    StopBy,
    Terminate,
)
from fleet.core.exits import Exit, Outcome, Settlement, outcome, settlement

FIRST_LEASE = 20.0  # seconds: what a poll that dies with its client can hide a message for
LONGEST = 43_200.0  # seconds from the receive: SQS's limit on how long a message can be hidden
EXTEND_RETRY = 1 / 12  # of the lease: the pause after a failed extend
SETTLE_RETRY_FIRST, SETTLE_RETRY_MOST = 0.1, 5.0  # seconds


class Illegal(Exception):
    """The event does not fit the state: a fault of fleet itself."""


class Phase(Enum):
    """Where a delivery stands; see the diagram above."""

    RUNNING = auto()
    STOPPING = auto()
    HELD = auto()
    SETTLING = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the options say about every delivery, in seconds."""

    visibility: float = 60.0
    exit_timeout: float = 30.0

    @property
    def first_lease(self) -> float:
        """What a receive call asks for: short, so that it bounds every accident."""
        return min(self.visibility, FIRST_LEASE)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of a message. Times are seconds on one clock; `received_at` is from before the call."""

    received_at: float
    lease_until: float
    extend_at: float
    phase: Phase
    stop_at: float = inf
    kill_at: float = inf
    lost: bool = False
    exit: Exit | None = None
    outcome: Outcome | None = None
    settlement: Settlement | None = None
    tries: int = 0
    settle_at: float = inf


Step = tuple[Delivery, tuple[Action, ...]]

KEPT = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.HELD})  # the phases in which the lease is extended


def run(before: float, luck: float, rules: Rules, stop_at: float = inf) -> Delivery:
    """A message that a receive call, asked at `before`, brought; a job is started for it at once."""
    return replace(_received(before, luck, rules), phase=Phase.RUNNING, stop_at=stop_at)


def hold(before: float, luck: float, rules: Rules) -> Delivery:
    """A message that came too late to be worked on: it goes back, untouched."""
    return replace(_received(before, luck, rules), settlement=Settlement.RELEASE)


def _received(before: float, luck: float, rules: Rules) -> Delivery:
    lease = rules.first_lease
    return Delivery(before, before + lease, before + _third(lease, luck), Phase.HELD)


def _third(lease: float, luck: float) -> float:
    """When to extend a lease of that length: a third of it, up to a tenth earlier, so that hosts spread."""
    return lease / 3 * (1 - luck / 10)


def wakes_at(delivery: Delivery) -> float:
    """The next moment at which something is due, or infinity."""
    if delivery.phase is Phase.DONE:
        return inf
    if delivery.phase is Phase.SETTLING:
        return delivery.settle_at
    lease = inf if delivery.lost else min(delivery.extend_at, delivery.lease_until)
    match delivery.phase:
        case Phase.RUNNING:
            return min(lease, delivery.stop_at)
        case Phase.STOPPING:
            return min(lease, delivery.kill_at)
        case _:
            return lease


def step(delivery: Delivery, event: Event, rules: Rules) -> Step:
    """The next state, and what to do. Raises Illegal for an event that the state does not allow."""
    match event:
        case Due(now):
            return _due(delivery, now, rules)
        case Exited(now, how):
            _only(delivery, event, Phase.RUNNING, Phase.STOPPING)
            what = outcome(how, stopped=delivery.phase is Phase.STOPPING)
            delivery, said = _checked(replace(delivery, exit=how, outcome=what), now)
            return _then(said, _decided(delivery, settlement(what, lease_lost=delivery.lost)))
        case NotStarted(now):
            _only(delivery, event, Phase.RUNNING)
            delivery, said = _checked(delivery, now)
            return _then(said, _decided(delivery, settlement(Outcome.INTERRUPTED, lease_lost=delivery.lost)))
        case Extended(before, now, seconds, luck):
            if not _kept(delivery) or now >= delivery.lease_until:  # too late: somebody else may have it by now
                return delivery, ()
            return replace(delivery, lease_until=before + seconds, extend_at=before + _third(seconds, luck)), ()
        case ExtendFailed(now, luck):
            pause = rules.first_lease * EXTEND_RETRY * (0.5 + luck / 2)
            return (replace(delivery, extend_at=now + pause) if _kept(delivery) else delivery), ()
        case StopBy(at):
            _only(delivery, event, Phase.RUNNING)
            return replace(delivery, stop_at=min(delivery.stop_at, at)), ()
        case Freed(now):
            _only(delivery, event, Phase.HELD)
            delivery, said = _checked(delivery, now)
            return _then(said, _settle(delivery, Settlement.LEAVE if delivery.lost else Settlement.RELEASE))
        case SettleDone():
            _only(delivery, event, Phase.SETTLING)
            return replace(delivery, phase=Phase.DONE), (End(),)
        case SettleFailed(now, luck, final):
            _only(delivery, event, Phase.SETTLING)
            return _try_later(delivery, now, luck, final)
        case _:
            assert_never(event)


def _only(delivery: Delivery, event: Event, *phases: Phase) -> None:
    if delivery.phase not in phases:
        raise Illegal(f"{event} in {delivery.phase.name}")


def _kept(delivery: Delivery) -> bool:
    """Whether the lease is ours and still needed."""
    return delivery.phase in KEPT and not delivery.lost


def _checked(delivery: Delivery, now: float) -> Step:
    """The lease is lost once its time has passed; that is said once."""
    if delivery.lost or now < delivery.lease_until:
        return delivery, ()
    return replace(delivery, lost=True), (LeaseLost(),)


def _then(first: tuple[Action, ...], step_: Step) -> Step:
    delivery, actions = step_
    return delivery, (*first, *actions)


def _due(delivery: Delivery, now: float, rules: Rules) -> Step:
    """Whatever time alone brings, most urgent first; one call does all that is due."""
    if delivery.phase is Phase.SETTLING and delivery.settle_at <= now and delivery.settlement is not None:
        if delivery.settlement is Settlement.RELEASE and now >= delivery.lease_until:
            return replace(delivery, phase=Phase.DONE, settlement=Settlement.LEAVE, settle_at=inf), (End(),)
        return replace(delivery, settle_at=inf), (Settle(delivery.settlement),)
    actions: list[Action] = []
    if _kept(delivery):
        delivery, said = _checked(delivery, now)
        actions.extend(said)
        if not delivery.lost and now >= delivery.extend_at:
            actions.extend(_extension(delivery, now, rules))
            delivery = replace(delivery, extend_at=inf)
    if delivery.phase is Phase.HELD and delivery.lost:
        return replace(delivery, phase=Phase.DONE, settlement=Settlement.LEAVE), (*actions, End())
    if delivery.phase is Phase.RUNNING and now >= delivery.stop_at:
        delivery = replace(delivery, phase=Phase.STOPPING, kill_at=now + rules.exit_timeout)
        actions.append(Terminate())
    if delivery.phase is Phase.STOPPING and now >= delivery.kill_at:
        delivery = replace(delivery, kill_at=inf)
        actions.append(Kill())
    return delivery, tuple(actions)


def _extension(delivery: Delivery, now: float, rules: Rules) -> tuple[Action, ...]:
    """The extend that is due, never past SQS's limit: beyond it SQS refuses, it does not clamp."""
    room = delivery.received_at + LONGEST - now
    seconds = int(min(ceil(rules.visibility), room))
    pointless = room < rules.visibility and now + seconds <= delivery.lease_until + 1  # ever less, near the limit
    return (Extend(seconds),) if seconds > 0 and not pointless else ()


def _decided(delivery: Delivery, how: Settlement) -> Step:
    if how is Settlement.RELEASE:
        return replace(delivery, phase=Phase.HELD, settlement=how, stop_at=inf, kill_at=inf), (Hold(),)
    return _settle(delivery, how)


def _settle(delivery: Delivery, how: Settlement) -> Step:
    delivery = replace(delivery, settlement=how, stop_at=inf, kill_at=inf)
    if how is Settlement.LEAVE:
        return replace(delivery, phase=Phase.DONE), (End(),)
    return replace(delivery, phase=Phase.SETTLING), (Settle(how),)


def _try_later(delivery: Delivery, now: float, luck: float, final: bool) -> Step:
    """A settlement that failed is asked for again until the lease ends; then the message is left."""
    tries = delivery.tries + 1
    pause = luck * min(SETTLE_RETRY_MOST, SETTLE_RETRY_FIRST * 2 ** min(tries - 1, 16))
    if final or now + pause >= delivery.lease_until:
        return replace(delivery, phase=Phase.DONE, settlement=Settlement.LEAVE, settle_at=inf), (End(),)
    return replace(delivery, tries=tries, settle_at=now + pause), ()
