"""One message, from the answer that brought it to its settlement.

                                            ┌── died by a signal of its own ──▶ HANDLING ──┐
    received ──run──▶ RUNNING ──exit──(DOUBTFUL)┴──────────────────────────────────────────┴▶ JUDGING
        │                │ stop                                                           ▲     │
        │                ├── no exit handler ──▶ STOPPING ──exit──────────────────────────┤     │ verdict
        │                └── exit handler ──▶ FROZEN ──▶ HANDLING ──▶ KILLING ──exit──────┘ (REPORTING)
        └──hold──▶ HELD ◀──────────────────────────── release ──────────────────────────────────┤
                    └──free──▶ SETTLING ◀───────────── delete, dead-letter ─────────────────────┤
                                   └──confirmed, or too late──▶ DONE ◀───────── leave ──────────┘

RUNNING   the job's process exists.
DOUBTFUL  the job has ended as one does whom a supervisor stops, and not by our doing. A stop of the whole control group
          reaches jobs too, often first: until `doubt_until` it is waited whether that is what
          happens. Then the job was stopped; else its end was its own.
STOPPING  it was told to stop (SIGTERM to its group) and is killed when `kill_at` comes.
FROZEN    everything of it was stopped (SIGSTOP), so that the exit handler sees it as it was. A job that had
          already finished is settled as finished.
HANDLING  the exit handler's process runs until `handler_until`. Too late: job and handler are killed, and when
          both are gone the handler runs once more.
KILLING   the handler has ended; the job is being killed.
JUDGING   nothing of the job exists any more; what the queue's settings say about the message is asked for, again
          and again while the lease lasts.
REPORTING the job has failed, and the --on-failure hook's process is told so; it runs until
`hook_until` and is killed
          then. The verdict waits for its end.
HELD      the message is to be released as soon as the master says that no poll of this host can swallow it.
SETTLING  the request is on its way, and repeated with backoff; insisting.py has the table. A dead-letter is two
          requests: send, and only when that is confirmed delete (`sent`). A letter that cannot be
          sent makes a failure of it, which is held. A release that was not answered may have been
          done: it is repeated only as long as its delay would still hide the message. While a
          delete is repeated the lease is kept.
DONE      `verdict` tells what became of the message.

So no message becomes visible while a process that worked on it exists.

The lease runs beside that: until `lease_until` SQS hides the message, counted on our own clock from
*before* the call that set it, moved by a confirmed answer only, asked for again at a third of it.
Once that time has passed the lease is lost: no extend and no release any more, because both could
hit a newer owner. The job then runs on (its success still deletes), or is stopped
(`--on-lease-lost kill`). SQS hides a message for 12 hours from its receive at the most; near that the
lease is no longer extended, which is said, and then it is lost.

`step(delivery, event, rules)` returns the next state and what to do. An event that the state does
not allow raises `Illegal` and changes nothing.
"""

from dataclasses import replace
from math import inf
from typing import assert_never

from fleet.core.delivery.events import (
    Action,
    Ask,
    Due,
    Event,
    Exited,
    Extended,
    ExtendFailed,
    Freed,
    Frozen,
    HandlerExited,
    HookExited,
    Kill,
    KillHandler,
    KillHook,
    Known,
    Leaving,
    NotKnown,
    NotStarted,
    Settle,
    SettleDone,
    SettleFailed,
    StopBy,
)
from fleet.core.delivery.failure_hook import decide, hook_exited
from fleet.core.delivery.interrupt import (
    ended_by_itself,
    exited,
    handle,
    handler_exited,
    leaving,
    stop_due,
    stop_job,
)
from fleet.core.delivery.lease import EXTEND_RETRY, checked, extension, kept, third
from fleet.core.delivery.retries import LATE_DELETE, facts_at, not_known, settle_by, try_later
from fleet.core.delivery.settling import enter, left, lost, settle_again, settle_done, within_limit
from fleet.core.delivery.state import (
    KEPT,
    LONGEST,
    Delivery,
    Handled,
    Illegal,
    Phase,
    Rules,
    Step,
    insists,
    only,
    then,
)
from fleet.core.outcomes import LOST, Settlement, Verdict
from fleet.core.reasons import Reason

__all__ = [
    "EXTEND_RETRY",
    "KEPT",
    "LATE",
    "LATE_DELETE",
    "LONGEST",
    "NO_PROCESS",
    "Delivery",
    "Handled",
    "Illegal",
    "Phase",
    "Rules",
    "Step",
    "begin",
    "hold",
    "run",
    "step",
    "wakes_at",
]

LATE = Verdict(Settlement.RELEASE, "it came too late to be worked on", reason=Reason.TOO_LATE)
NO_PROCESS = Verdict(
    Settlement.RELEASE, "this host had no process for it", reason=Reason.NO_PROCESS
)


def run(
    before: float,
    jitter: float,
    rules: Rules,
    *,
    now: float,
    attempt: int = 1,
    stop_at: float = inf,
) -> Delivery:
    """A message that a receive call, asked at `before`, brought; a job is started for it at once."""
    received = _received(before, jitter, rules, attempt)
    return replace(
        received, phase=Phase.RUNNING, stop_at=stop_at, timeout_at=now + rules.config.job_timeout
    )


def hold(
    before: float, jitter: float, rules: Rules, *, attempt: int = 1, back: Verdict = LATE
) -> Delivery:
    """A message that goes back, untouched: `back` is the release."""
    return replace(_received(before, jitter, rules, attempt), verdict=back)


def untouched(before: float, jitter: float, rules: Rules, *, attempt: int, why: str) -> Delivery:
    """A message that must not be worked on: it has ended, and its lease runs out."""
    return left(_received(before, jitter, rules, attempt), why, Reason.UNUSABLE)[0]


def begin(delivery: Delivery, now: float, rules: Rules, stop_at: float = inf) -> Delivery:
    """The turn of a message that was held behind others of its batch: a job is started for it at
    once.
    """
    return replace(
        delivery,
        phase=Phase.RUNNING,
        verdict=None,
        stop_at=stop_at,
        timeout_at=now + rules.config.job_timeout,
    )


def _received(before: float, jitter: float, rules: Rules, attempt: int) -> Delivery:
    lease = rules.first_lease
    return Delivery(before, before + lease, before + third(lease, jitter), Phase.HELD, attempt)


def wakes_at(delivery: Delivery) -> float:
    """The next moment at which something is due, or infinity."""
    match delivery.phase:
        case Phase.DONE:
            return inf
        case Phase.SETTLING if not insists(delivery):
            return delivery.settle_at
    lease = inf if delivery.lost else min(delivery.extend_at, delivery.lease_until)
    match delivery.phase:
        case Phase.SETTLING:
            return min(lease, delivery.settle_at)
        case Phase.RUNNING:
            return min(lease, delivery.stop_at, delivery.timeout_at)
        case Phase.DOUBTFUL:
            return min(lease, delivery.doubt_until)
        case Phase.STOPPING:
            return min(lease, delivery.kill_at)
        case Phase.HANDLING:
            return min(lease, delivery.handler_until)
        case Phase.JUDGING:
            return min(lease, delivery.ask_at)
        case Phase.REPORTING:
            return min(lease, delivery.hook_until)
        case _:
            return lease


def step(delivery: Delivery, event: Event, rules: Rules) -> Step:
    """The next state, and what to do. Raises Illegal for an event that the state does not allow."""
    match event:
        case Due(now):
            return _due(delivery, now, rules)
        case Exited(now, how):
            return exited(delivery, event, now, how, rules)
        case NotStarted(now):
            only(delivery, event, Phase.RUNNING)
            delivery, said = checked(delivery, now)
            how_to = Settlement.LEAVE if delivery.lost else Settlement.RELEASE
            return then(said, enter(delivery, replace(NO_PROCESS, settlement=how_to)))
        case Frozen(now):
            only(delivery, event, Phase.FROZEN)
            return handle(delivery, now, rules)
        case HandlerExited(now, how):
            only(delivery, event, Phase.HANDLING)
            if not delivery.handler_runs:
                raise Illegal(f"{event}, and no handler runs")
            return handler_exited(delivery, now, how, rules)
        case HookExited(now):
            only(delivery, event, Phase.REPORTING)
            return hook_exited(delivery, now)
        case Known(now, limit, has_dead_letter_queue, after, jitter):
            only(delivery, event, Phase.JUDGING)
            delivery, said = checked(delivery, now)
            facts = facts_at(delivery, now)
            facts = replace(
                facts, limit=limit, has_dead_letter_queue=has_dead_letter_queue, after=after
            )
            return then(said, settle_by(delivery, facts, now, rules, jitter))
        case NotKnown(now):
            only(delivery, event, Phase.JUDGING)
            delivery, said = checked(delivery, now)
            return then(said, not_known(delivery, event, rules))
        case Extended(before, now, seconds, jitter):
            if (
                not kept(delivery) or now >= delivery.lease_until
            ):  # too late: somebody else may have it by now
                return delivery, ()
            return replace(
                delivery, lease_until=before + seconds, extend_at=before + third(seconds, jitter)
            ), ()
        case ExtendFailed(final=True):
            return (replace(delivery, extend_at=inf) if kept(delivery) else delivery), ()
        case ExtendFailed(now, jitter):
            pause = (
                max(rules.first_lease, delivery.lease_until - now)
                * EXTEND_RETRY
                * (0.5 + jitter / 2)
            )
            return (replace(delivery, extend_at=now + pause) if kept(delivery) else delivery), ()
        case StopBy(at):
            only(delivery, event, Phase.RUNNING)
            return replace(delivery, stop_at=min(delivery.stop_at, at)), ()
        case Leaving(now, stops):
            only(delivery, event, Phase.DOUBTFUL)
            return leaving(delivery, now, stops, rules)
        case Freed(now):
            only(delivery, event, Phase.HELD)
            delivery, said = checked(delivery, now)
            if delivery.lost or delivery.verdict is None:
                return then(said, lost(delivery))
            return replace(delivery, phase=Phase.SETTLING), (Settle(within_limit(delivery, now)),)
        case SettleDone():
            only(delivery, event, Phase.SETTLING)
            return settle_done(delivery)
        case SettleFailed(visible_at=visible_at):
            only(delivery, event, Phase.SETTLING)
            delivery = replace(delivery, release_by=min(delivery.release_by, visible_at))
            return try_later(delivery, event, rules)
        case _:
            assert_never(event)


def _due(delivery: Delivery, now: float, rules: Rules) -> Step:
    """Most urgent first; one call does all that is due."""
    actions: list[Action] = []
    if kept(delivery):
        delivery, said = checked(delivery, now)
        actions.extend(said)
        if not delivery.lost and now >= delivery.extend_at:
            actions.extend(extension(delivery, now, rules))
            delivery = replace(delivery, extend_at=inf)
    if delivery.phase is Phase.SETTLING and delivery.settle_at <= now:
        return then(tuple(actions), settle_again(delivery, now))
    if delivery.phase is Phase.JUDGING and not delivery.lost and now >= delivery.ask_at:
        delivery = replace(delivery, ask_at=inf)
        actions.append(Ask())
    if delivery.phase is Phase.HELD and delivery.lost:
        return then(tuple(actions), lost(delivery))
    if delivery.phase is Phase.JUDGING and delivery.lost:
        return then(tuple(actions), decide(delivery, LOST, now, rules))
    if delivery.phase is Phase.RUNNING and (reason := stop_due(delivery, now, rules)):
        delivery, more = stop_job(delivery, now, reason, rules)
        actions.extend(more)
    if delivery.phase is Phase.DOUBTFUL and now >= delivery.doubt_until:
        return then(tuple(actions), ended_by_itself(delivery, now, None, rules))
    if delivery.phase is Phase.STOPPING and now >= delivery.kill_at:
        delivery = replace(delivery, kill_at=inf)
        actions.append(Kill())
    if delivery.phase is Phase.HANDLING and now >= delivery.handler_until:
        delivery = replace(delivery, handler_until=inf)
        actions += [KillHandler(), *(() if delivery.exit else (Kill(),))]
    if delivery.phase is Phase.REPORTING and now >= delivery.hook_until:
        delivery = replace(delivery, hook_until=inf)
        actions.append(KillHook())
    return delivery, tuple(actions)
