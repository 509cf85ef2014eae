"""A model that plays queue, kernel, master and clock against one delivery: what may never happen,
and that it ends.

The model keeps its own account of the world (which processes exist, what has SQS confirmed, which
request is under way) and holds every field of the delivery against it after every event. As in a
dispatcher, a request is answered before anything else happens to the delivery; but any time may
pass before the answer.
"""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.core.config import LONGEST_VISIBILITY, Config
from fleet.core.delivery import (
    LATE,
    LEASE_KEPT,
    Delivery,
    DeliveryPhase,
    HandlerResult,
    IllegalDeliveryEvent,
    Rules,
    begin,
    step,
    wakes_at,
)
from fleet.core.delivery.actions import (
    Action,
    AskForRelease,
    CheckForStop,
    EndDelivery,
    Extend,
    FreezeJob,
    KillHandler,
    KillHook,
    KillJob,
    ReadPolicy,
    RunHandler,
    RunHook,
    RunJob,
    Settle,
    TellLeaseLimit,
    TellLeaseLost,
    TerminateJob,
)
from fleet.core.delivery.events import (
    Arrived,
    DispatcherLeaves,
    Due,
    Event,
    Extended,
    ExtendFailed,
    FoundUnusable,
    HandlerExited,
    HookExited,
    JobExited,
    JobFrozen,
    JobNotStarted,
    PolicyNotRead,
    PolicyRead,
    ReleaseAllowed,
    SentBack,
    SettleDone,
    SettleFailed,
    StopBy,
    TurnCame,
)
from fleet.core.delivery.settling import pause_before
from fleet.core.outcomes import Exit, Facts, Outcome, Settlement, Stop, Verdict, verdict_for
from fleet.core.reasons import Reason
from tests.core.test_reasons import reason_of

JITTERS = st.floats(0, 1, exclude_max=True)
SHORT = st.floats(0, 5)
PAUSES = st.one_of(
    SHORT,
    st.floats(0, 100),
    st.sampled_from([0.0, 1000.0, LONGEST_VISIBILITY - 100.0, LONGEST_VISIBILITY]),
)
GOOD, KILLED = Exit(code=0), Exit(signal=9)
OUTSIDE = (Exit(signal=15), Exit(signal=2), Exit(code=143))  # as one ends whom a supervisor stops
EXITS = st.sampled_from(
    [GOOD, Exit(code=1), Exit(code=65), Exit(code=75), KILLED, Exit(signal=11), *OUTSIDE]
)
# A handler without time to run is refused by the options.
OPTIONS = st.builds(
    Rules,
    config=st.builds(
        Config,
        visibility_timeout=st.sampled_from([2.0, 2.9, 5.0, 20.0, 60.0, 600.0, LONGEST_VISIBILITY]),
        exit_timeout=st.sampled_from([0.0, 3.0, 30.0]),
        job_timeout=st.sampled_from([inf, inf, 0.1, 10.0]),
        on_failure=st.sampled_from([None, "app:told"]),
        on_lease_lost=st.sampled_from(["continue", "kill"]),
        retry_delay=st.sampled_from([(), (10.0, 60_000.0)]),
        delete_failed=st.booleans(),
        dead_letter=st.sampled_from(["native", "direct"]),
    ),
    has_handler=st.booleans(),
    is_fifo=st.booleans(),
).filter(
    lambda rules: (
        rules.config.exit_timeout > 0 or not (rules.has_handler or rules.config.on_failure)
    )
)
LATE_DELETE = 300.0  # seconds: for which a standard queue takes a delete without a lease
KEPT_FOR = 300.0  # seconds: for which a lease is kept while a delete fails
DENIED_FOR = 60.0  # seconds: for which a denied delete is asked for
POLICY_FOR = 60.0  # seconds: for which the queue's settings are asked for
LETTER_TRIES = 5  # of a denied letter

ENDING = {DeliveryPhase.JUDGING, DeliveryPhase.HELD, DeliveryPhase.SETTLING, DeliveryPhase.DONE}
FOLLOWING = {
    DeliveryPhase.WAITING: {DeliveryPhase.RUNNING, DeliveryPhase.HELD, DeliveryPhase.DONE},
    DeliveryPhase.RUNNING: {
        DeliveryPhase.DOUBTFUL,
        DeliveryPhase.STOPPING,
        DeliveryPhase.FROZEN,
        DeliveryPhase.HANDLING,
        *ENDING,
    },
    DeliveryPhase.DOUBTFUL: {DeliveryPhase.HANDLING, *ENDING},
    DeliveryPhase.STOPPING: ENDING,
    DeliveryPhase.FROZEN: {DeliveryPhase.DOUBTFUL, DeliveryPhase.HANDLING, *ENDING},
    DeliveryPhase.HANDLING: {DeliveryPhase.KILLING, *ENDING},
    DeliveryPhase.KILLING: ENDING,
    DeliveryPhase.JUDGING: {DeliveryPhase.REPORTING, *ENDING},
    DeliveryPhase.REPORTING: ENDING - {DeliveryPhase.JUDGING},
    DeliveryPhase.HELD: {DeliveryPhase.SETTLING, DeliveryPhase.DONE},
    DeliveryPhase.SETTLING: {
        DeliveryPhase.REPORTING,
        DeliveryPhase.HELD,
        DeliveryPhase.DONE,
    },  # held: a letter that cannot be sent
    DeliveryPhase.DONE: set[DeliveryPhase](),
}
LEGAL: dict[DeliveryPhase, set[Any]] = {
    DeliveryPhase.WAITING: {Arrived, TurnCame, SentBack, FoundUnusable},
    DeliveryPhase.RUNNING: {JobExited, JobNotStarted, StopBy},
    DeliveryPhase.DOUBTFUL: {DispatcherLeaves},
    DeliveryPhase.STOPPING: {JobExited},
    DeliveryPhase.FROZEN: {JobExited, JobFrozen},
    DeliveryPhase.HANDLING: {JobExited, HandlerExited},
    DeliveryPhase.KILLING: {JobExited},
    DeliveryPhase.JUDGING: {PolicyRead, PolicyNotRead},
    DeliveryPhase.REPORTING: {HookExited},
    DeliveryPhase.HELD: {ReleaseAllowed},
    DeliveryPhase.SETTLING: {SettleDone, SettleFailed},
    DeliveryPhase.DONE: set(),
}
LOST = Verdict(Settlement.LEAVE, "its lease was lost")
UNDECIDED = (DeliveryPhase.WAITING, DeliveryPhase.DOUBTFUL, DeliveryPhase.JUDGING)
FAILURES = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.SIGNALLED)


@dataclass(frozen=True)
class Answer:
    """What comes of the requests that an event may lead to, and how long each takes."""

    good: bool
    final: bool
    denied: bool
    unanswered: bool
    took: float
    jitter: float
    limit: int | None
    after: float | None
    finished: Exit | None  # the job, when it is to be frozen
    lingers: bool  # something of it that cannot be killed at once
    forks: bool  # the host has a process for the handler
    stops: bool | None  # everything, or this dispatcher alone; None: nothing was heard


ANSWERS = st.builds(
    Answer,
    good=st.booleans(),
    final=st.sampled_from([False, False, True]),
    denied=st.booleans(),
    unanswered=st.booleans(),
    took=st.just(0.0) | PAUSES,
    jitter=JITTERS,
    limit=st.sampled_from([None, 1, 3]),
    after=st.sampled_from([None, 0.0, 7.4, inf]),
    finished=st.none() | EXITS,
    lingers=st.booleans(),
    forks=st.sampled_from([True, True, True, False]),
    stops=st.none() | st.booleans(),
)


ARRIVALS = st.builds(
    Arrived,
    now=st.just(0.0),
    leaving=st.booleans(),
    orphan=st.booleans(),
    drain=st.none() | SHORT,
    is_last_attempt=st.booleans(),
)


class DeliveryModel(RuleBasedStateMachine):
    """One message in a hostile world."""

    delivery: Delivery
    options: Rules

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.received_at = self.now
        self.attempt = 1
        self.lease = 0.0  # until when SQS has confirmed it
        self.limit_said = self.lost = self.held = self.freed = False
        self.useless = False  # SQS has refused an extend for good
        self.ends_at = inf  # when the pool is killed
        self.failing_since = self.denied_since = inf
        self.stop_at = self.timeout_at = inf
        self.stop: Stop | None = None
        self.stopped_at = inf
        self.doubt_until = inf
        self.turn_came = self.unusable = False
        self.job = self.frozen = self.killed = False
        self.exited: Exit | None = None
        self.outcome: Outcome | None = None
        self.handler = self.handler_killed = self.handler_ended = False
        self.handler_tries = 0
        self.handler_until = inf
        self.handler_result: HandlerResult | None = None
        self.hook = self.hook_killed = self.hook_ran = False
        self.hook_until = inf
        self.facts: Facts | None = None
        self.decided: Verdict | None = None
        self.sent = False
        self.failures = 0
        self.release_by = (
            inf  # a release may have been done, and others can have the message from then on
        )
        self.confirmed: Settlement | None = None
        self.ends = 0

    # The beginning.

    @initialize(
        options=OPTIONS,
        attempt=st.integers(1, 4),
        jitter=JITTERS,
        took=SHORT,
        come=st.sampled_from([TurnCame, TurnCame, Arrived, SentBack, None]),
        stop_in=st.none() | SHORT,
        arrival=ARRIVALS,
        answer=ANSWERS,
    )
    def receive(
        self,
        options: Rules,
        attempt: int,
        jitter: float,
        took: float,
        come: type[TurnCame | Arrived | SentBack] | None,
        stop_in: float | None,
        arrival: Arrived,
        answer: Answer,
    ) -> None:
        """A message is received; mostly it is known at once whether it is worked on."""
        self.options, self.attempt = options, attempt
        self.received_at = self.now
        self.now += took
        self.lease = self.received_at + options.first_lease
        self.delivery = begin(self.received_at, jitter, options, attempt=attempt)
        if come is TurnCame:
            self.its_turn_comes(stop_in, answer)
        elif come is Arrived:
            self.it_arrives(arrival, answer)
        elif come is SentBack:
            self.it_is_sent_back(answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.WAITING)
    @rule(stop_in=st.none() | SHORT, answer=ANSWERS)
    def its_turn_comes(self, stop_in: float | None, answer: Answer) -> None:
        self.runs_until(inf if stop_in is None else self.now + stop_in)
        self.happens(TurnCame(self.now, self.stop_at), answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.WAITING)
    @rule(arrival=ARRIVALS, answer=ANSWERS)
    def it_arrives(self, arrival: Arrived, answer: Answer) -> None:
        """It goes back if the pool stops, unless that dead-letters it or nobody else is left."""
        arrival = replace(arrival, now=self.now)
        drain = inf if arrival.drain is None else arrival.drain
        if arrival.leaving and not arrival.orphan and not arrival.is_last_attempt:
            self.decided = LATE
        elif not arrival.leaving:
            self.runs_until(inf)
        elif arrival.orphan:
            self.runs_until(self.now + drain)
        else:
            self.runs_until(self.now + max(drain, self.options.config.exit_timeout))
        self.happens(arrival, answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.WAITING)
    @rule(answer=ANSWERS)
    def it_is_sent_back(self, answer: Answer) -> None:
        self.decided = LATE
        self.happens(SentBack(LATE), answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.WAITING)
    @rule(answer=ANSWERS)
    def it_is_unusable(self, answer: Answer) -> None:
        self.happens(FoundUnusable("its queue does not exist any more"), answer)
        assert self.delivery.verdict is not None
        assert self.delivery.verdict.reason is Reason.UNUSABLE
        self.unusable = True

    def runs_until(self, stop_at: float) -> None:
        self.stop_at, self.timeout_at = stop_at, self.now + self.options.config.job_timeout
        self.turn_came = True

    # One event, and what it asks for.

    def happens(self, event: Event, answer: Answer) -> tuple[Action, ...]:
        """One step; what it asks for is answered at once."""
        note(f"{self.now:.3f} {event}")
        before, now = self.delivery, self.now
        self.delivery, actions = step(before, event, self.options)
        after = self.delivery.phase
        assert after is before.phase or after in FOLLOWING[before.phase]
        assert before.phase is not DeliveryPhase.DONE or not actions
        kinds = [type(action) for action in actions]
        assert len(kinds) == len(set(kinds))
        for action in actions:
            self.asked(action, now, answer)
        return actions

    def asked(self, action: Action, now: float, answer: Answer) -> None:
        match action:
            case Extend(seconds):
                self.extend(seconds, answer)
            case RunJob():
                assert self.turn_came
                assert not self.anything_lives()
                assert self.exited is None
                self.job = True
            case Settle(request):
                self.settle(request, answer)
            case ReadPolicy():
                self.ask(answer)
            case TerminateJob() | FreezeJob():
                self.is_stopped(action, now, answer)
            case CheckForStop():
                assert not self.job
                if answer.stops is not None:
                    self.leaves(answer.stops, answer)
            case KillJob():
                self.is_killed(now)
            case RunHandler():
                self.run_handler(now, answer)
            case KillHandler():
                assert self.handler
                assert not self.handler_killed
                assert self.now >= self.handler_until
                self.handler_killed, self.handler_until = True, inf
            case RunHook():
                self.run_hook(now, answer)
            case KillHook():
                assert self.hook
                assert not self.hook_killed
                assert self.now >= self.hook_until
                self.hook_killed, self.hook_until = True, inf
            case AskForRelease():
                assert not self.held
                assert not self.anything_lives()
                self.held = True
            case TellLeaseLost():
                assert not self.lost
                assert self.now >= self.lease
                self.lost = True
            case TellLeaseLimit(left):
                assert not self.limit_said
                assert not self.lost
                assert 0 < left == self.lease - self.now
                assert (
                    self.lease + 2 > self.received_at + LONGEST_VISIBILITY
                    or left + 2 > self.received_at + LONGEST_VISIBILITY - self.now
                )
                self.limit_said = True
            case EndDelivery():
                assert not self.anything_lives()
                self.ends += 1

    def anything_lives(self) -> bool:
        return self.job or self.handler or self.hook

    def extend(self, seconds: int, answer: Answer) -> None:
        """SQS is asked to extend: only while the lease is ours and needed, and never past its
        limit.
        """
        assert not self.lost
        assert not self.useless
        assert self.lease > self.now
        if self.delivery.phase is DeliveryPhase.SETTLING:
            assert self.deletes()
            assert self.failing_since <= self.now < self.failing_since + KEPT_FOR
        assert 0 < seconds <= ceil(self.options.config.visibility_timeout)
        assert self.lease < self.now + seconds <= self.received_at + LONGEST_VISIBILITY
        asked_at = self.now
        self.now += answer.took
        if not answer.good:
            self.useless = answer.final
            assert self.happens(ExtendFailed(self.now, answer.jitter, answer.final), answer) == ()
            return
        if self.now < self.lease:
            self.lease = asked_at + seconds
        assert self.happens(Extended(asked_at, self.now, seconds, answer.jitter), answer) == ()

    def ask(self, answer: Answer) -> None:
        """The queue's settings are read: they have not been before, and it is not a success that
        waits for them.
        """
        assert not self.anything_lives()
        assert self.outcome is not Outcome.SUCCEEDED
        assert self.facts is None
        self.now += answer.took
        lost = self.lost or self.now >= self.lease
        if not answer.good:
            self.is_not_known(answer, lost)
            return
        self.is_settled_by(answer.limit, answer, lost)
        self.happens(
            PolicyRead(
                self.now, answer.limit, answer.limit is not None, answer.after, answer.jitter
            ),
            answer,
        )

    def is_not_known(self, answer: Answer, lost: bool) -> None:
        """It is asked for again, and not for ever."""
        self.failures += 1
        if lost or answer.final:
            self.decided = (
                LOST if lost else Verdict(Settlement.LEAVE, "its queue does not exist any more")
            )
        else:
            self.failing_since = min(self.failing_since, self.now)
            again = self.now + pause_before(self.failures, answer.jitter)
            if self.ends_at < inf or again >= self.failing_since + POLICY_FOR:
                self.is_settled_by(None, answer, lost, unsure=True)
        event = PolicyNotRead(self.now, answer.jitter, answer.after, answer.final, self.ends_at)
        self.happens(event, answer)
        assert (self.delivery.phase is DeliveryPhase.JUDGING) == (self.decided is None)

    def is_settled_by(
        self, limit: int | None, answer: Answer, lost: bool, *, unsure: bool = False
    ) -> None:
        self.failures, self.failing_since = 0, inf
        room = self.received_at + LONGEST_VISIBILITY - self.now
        self.facts = Facts(self.attempt, limit, limit is not None, answer.after, room, lost, unsure)
        self.decided = self.judged(self.facts, answer.jitter)

    def judged(self, facts: Facts, jitter: float) -> Verdict:
        assert self.outcome is not None
        if (
            self.handler_result is HandlerResult.TIMED_OUT_TWICE
            and facts.has_dead_letter_queue
            and not facts.lost
        ):
            return Verdict(Settlement.DEAD_LETTER, "its exit handler timed out twice")
        if self.handler_result in (HandlerResult.FAILED, HandlerResult.TIMED_OUT_TWICE):
            return Verdict(Settlement.LEAVE, "its exit handler failed")
        return verdict_for(self.outcome, facts, self.options.config, jitter)

    def settle(self, request: Verdict, answer: Answer) -> None:
        """SQS is asked to settle: with no process at work on the message, and what we may do."""
        assert not self.anything_lives()
        self.may_be_asked(request)
        visible_at = self.now + request.delay if answer.unanswered else inf
        self.now += answer.took
        if answer.good:
            if request.settlement is Settlement.DEAD_LETTER:
                self.sent, self.failures = True, 0
            else:
                self.confirmed = Settlement.DEAD_LETTER if self.sent else request.settlement
            self.happens(SettleDone(), answer)
            return
        self.failures += 1
        late = (
            LATE_DELETE
            if request.settlement is Settlement.DELETE and not self.options.is_fifo
            else 0
        )
        if request.settlement is not Settlement.RELEASE:
            visible_at = inf
        self.release_by = min(self.release_by, visible_at)
        if request.settlement is Settlement.DELETE:
            self.failing_since = min(self.failing_since, self.now)
            self.denied_since = (
                min(self.denied_since, self.now) if answer.denied else self.denied_since
            )
        ends = max(self.lease, self.failing_since) + late if late else self.lease
        until = min(ends, self.denied_since + DENIED_FOR if answer.denied else inf, self.ends_at)
        event = SettleFailed(
            self.now, answer.jitter, answer.final, visible_at, answer.denied, self.ends_at
        )
        if request.settlement is Settlement.DEAD_LETTER and self.letter_is_given_up(answer, until):
            self.is_no_letter(answer)
        self.happens(event, answer)
        insists = self.delivery.phase is DeliveryPhase.SETTLING
        assert not insists or not (answer.final or self.now >= until)
        if request.settlement is Settlement.DELETE and not answer.final and self.now + 5 < until:
            assert insists or self.now + 5 + 11 >= self.ends_at, "it was given up too early"
        if request.settlement is Settlement.DEAD_LETTER:
            assert not insists or not answer.denied or self.failures < LETTER_TRIES

    def letter_is_given_up(self, answer: Answer, until: float) -> bool:
        """And there is still time to do something else."""
        first_lease = self.options.first_lease
        pause = min(pause_before(self.failures, answer.jitter), first_lease / 6)
        until = min(until, self.ends_at - min(10.0, first_lease / 3) - 1.0)
        denied = answer.denied and self.failures >= LETTER_TRIES
        return self.now < self.lease and (answer.final or denied or self.now + pause >= until)

    def is_no_letter(self, answer: Answer) -> None:
        """It is settled as a failure, and not deleted."""
        assert self.facts is not None
        room = self.received_at + LONGEST_VISIBILITY - self.now
        self.facts = replace(self.facts, has_dead_letter_queue=False, unsure=True, room=room)
        self.decided, self.failures = self.judged(self.facts, answer.jitter), 0
        assert self.decided.settlement in (Settlement.RELEASE, Settlement.LEAVE)

    def deletes(self) -> bool:
        return self.sent or (
            self.decided is not None and self.decided.settlement is Settlement.DELETE
        )

    def may_be_asked(self, request: Verdict) -> None:
        """Nothing is released or sent without a lease; nothing is deleted but finished work, or by
        order.
        """
        assert self.decided is not None
        match request.settlement:
            case Settlement.DELETE if self.sent:
                assert self.decided.settlement is Settlement.DEAD_LETTER
            case Settlement.DELETE:
                failed = self.outcome in FAILURES or self.outcome is Outcome.REJECTED
                assert self.exited == GOOD or (failed and self.options.config.delete_failed)
            case Settlement.RELEASE:
                assert self.freed
                assert self.now < min(self.lease, self.release_by)
                room = int(self.received_at + LONGEST_VISIBILITY - self.now)
                assert request == replace(self.decided, delay=min(self.decided.delay, room))
            case Settlement.DEAD_LETTER:
                assert not self.sent
                assert self.now < self.lease
                assert request == self.decided
                assert self.facts is not None
                assert self.facts.has_dead_letter_queue
            case _:
                pytest.fail("there is nothing to ask for")

    # Stopping it.

    def is_stopped(self, how: TerminateJob | FreezeJob, now: float, answer: Answer) -> None:
        """For one reason, and once. When it is to be frozen it may have finished already."""
        assert self.job
        assert self.stop is None
        assert isinstance(how, FreezeJob) == self.options.has_handler
        if self.stop_at <= now:
            self.stop = Stop.INTERRUPTED
        elif self.timeout_at <= now:
            self.stop = Stop.TIMED_OUT
        else:
            assert self.lost
            assert self.options.config.kills_on_lease_lost
            self.stop = Stop.LEASE_LOST
        self.stop_at = self.timeout_at = inf
        if isinstance(how, TerminateJob):
            self.stopped_at = now
        elif answer.finished is None:
            self.frozen = True
            self.happens(JobFrozen(self.now), answer)
        elif not answer.lingers:
            self.dies(answer.finished, answer)

    def is_killed(self, now: float) -> None:
        assert self.job
        if self.frozen:
            assert self.handler_tries == 1 or self.handler_ended
            assert not self.handler or self.handler_killed
        else:
            assert not self.killed
            assert now >= self.stopped_at + self.options.config.exit_timeout
        self.killed = True

    def run_handler(self, now: float, answer: Answer) -> None:
        """For a job that is frozen, or has died by a signal; once more when the first was killed
        and all are gone. Its time counts from the step that asks for it: `now`.
        """
        assert self.options.has_handler
        assert not self.handler
        if self.handler_tries:
            assert self.handler_killed != self.handler_ended
            assert self.handler_ended or not self.job
        elif self.job:
            assert self.frozen
        else:
            assert self.outcome in (Outcome.SIGNALLED, Outcome.INTERRUPTED)
        self.handler_tries += 1
        assert self.handler_tries <= 2
        self.handler, self.handler_killed = True, False
        self.handler_until = now + self.options.config.exit_timeout
        if not answer.forks:
            self.handler_dies(Exit(code=1), answer)

    def run_hook(self, now: float, answer: Answer) -> None:
        """Once, for a failure, with nothing of the job left and before anything is settled."""
        no_letters = self.facts is not None and not self.facts.has_dead_letter_queue
        assert self.options.config.on_failure
        assert not self.hook_ran
        assert not self.anything_lives()
        assert self.outcome in FAILURES or (self.outcome is Outcome.REJECTED and no_letters)
        self.hook = self.hook_ran = True
        self.hook_until = now + self.options.config.exit_timeout
        if not answer.forks:
            self.hook_dies(answer)

    def hook_dies(self, answer: Answer) -> None:
        self.hook, self.hook_until = False, inf
        self.happens(HookExited(self.now), answer)

    def dies(self, how: Exit, answer: Answer) -> None:
        """The job is gone."""
        by_itself = not self.frozen and self.stopped_at == inf
        if by_itself:
            self.stop = None
        self.job, self.exited = False, how
        self.stop_at = self.timeout_at = inf
        if by_itself and how in OUTSIDE:
            self.doubt_until = self.now + 2
        else:
            self.outcome = self.meant(how)
        if self.outcome is Outcome.SUCCEEDED:
            self.decided = Verdict(Settlement.DELETE, "its job succeeded")
        self.happens(JobExited(self.now, how), answer)

    def leaves(self, stops: bool, answer: Answer) -> None:
        """The dispatcher is to leave, and perhaps everybody: the word of it, or that it was heard
        before.
        """
        if stops or self.now >= self.doubt_until:
            self.is_clear(Stop.INTERRUPTED)
        self.happens(DispatcherLeaves(self.now, stops), answer)

    def is_clear(self, stop: Stop | None) -> None:
        """Why the job has ended."""
        assert self.exited is not None
        self.doubt_until, self.stop = inf, stop
        self.outcome = self.meant(self.exited)

    def meant(self, how: Exit) -> Outcome:
        known = {0: Outcome.SUCCEEDED, 75: Outcome.RETRIED, 65: Outcome.REJECTED}
        if how.code in known:
            return known[how.code]
        if self.stop:
            return Outcome.TIMED_OUT if self.stop is Stop.TIMED_OUT else Outcome.INTERRUPTED
        return Outcome.SIGNALLED if how.signal else Outcome.FAILED

    def handler_dies(self, how: Exit, answer: Answer) -> None:
        by_itself = how.code is not None or not self.handler_killed
        if by_itself and self.handler_tries == 1 and how in OUTSIDE:
            self.handler_ended, self.handler_killed = True, False
        elif by_itself:
            self.handler_result = HandlerResult.DONE if how == GOOD else HandlerResult.FAILED
        elif self.handler_tries == 2:
            self.handler_result = HandlerResult.TIMED_OUT_TWICE
        self.handler, self.handler_until = False, inf
        self.happens(HandlerExited(self.now, how), answer)

    # Rules: the clock, the kernel, the master.

    @rule(seconds=PAUSES)
    def time_passes(self, seconds: float) -> None:
        """Nobody looks: a stopped process, a suspended host."""
        self.now += seconds

    @rule(late=st.just(0.0) | SHORT, answer=ANSWERS)
    def the_moment_comes(self, late: float, answer: Answer) -> None:
        """The dispatcher wakes when something is due."""
        at = wakes_at(self.delivery)
        if at < inf:
            self.now = max(self.now, at) + late
        self.looks(answer)

    @rule(answer=ANSWERS)
    def looks(self, answer: Answer) -> None:
        """The dispatcher wakes for whatever reason.

        Nothing that is due is forgotten, so it does not wake at once.
        """
        now, before = self.now, self.delivery
        due = wakes_at(before) <= now
        planned, asked = step(before, Due(now), self.options)
        assert wakes_at(planned) > now
        assert due or (not asked and planned == before)
        if now >= self.doubt_until:
            self.is_clear(None)
        if before.phase is DeliveryPhase.JUDGING and (self.lost or now >= self.lease):
            self.decided = LOST
        self.happens(Due(now), answer)

    @precondition(lambda self: self.job)
    @rule(how=EXITS, answer=ANSWERS)
    def the_job_exits(self, how: Exit, answer: Answer) -> None:
        self.dies(how, answer)

    @precondition(lambda self: self.handler)
    @rule(how=EXITS, answer=ANSWERS)
    def the_handler_exits(self, how: Exit, answer: Answer) -> None:
        self.handler_dies(how, answer)

    @precondition(lambda self: self.hook)
    @rule(answer=ANSWERS)
    def the_hook_exits(self, answer: Answer) -> None:
        self.hook_dies(answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.RUNNING)
    @rule(answer=ANSWERS)
    def the_job_cannot_be_forked(self, answer: Answer) -> None:
        self.job = False
        self.stop_at = self.timeout_at = inf
        lost = self.lost or self.now >= self.lease
        self.decided = Verdict(
            Settlement.LEAVE if lost else Settlement.RELEASE, "this host had no process for it"
        )
        self.happens(JobNotStarted(self.now), answer)

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.RUNNING)
    @rule(seconds=SHORT, answer=ANSWERS)
    def the_master_stops_it(self, seconds: float, answer: Answer) -> None:
        self.stop_at = min(self.stop_at, self.now + seconds)
        assert self.happens(StopBy(self.now + seconds), answer) == ()

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.DOUBTFUL)
    @rule(stops=st.booleans(), answer=ANSWERS)
    def the_dispatcher_is_told_to_leave(self, stops: bool, answer: Answer) -> None:
        self.leaves(stops, answer)

    @rule(seconds=PAUSES)
    def the_pool_stops(self, seconds: float) -> None:
        """From now on it is known when everybody is killed; what runs is another matter."""
        self.ends_at = self.now + seconds

    @precondition(lambda self: self.delivery.phase is DeliveryPhase.HELD)
    @rule(answer=ANSWERS)
    def the_master_frees_it(self, answer: Answer) -> None:
        self.freed = True
        self.happens(ReleaseAllowed(self.now), answer)

    @rule(data=st.data())
    def what_cannot_happen_raises(self, data: st.DataObject) -> None:
        events: list[Event] = [
            Arrived(self.now),
            TurnCame(self.now),
            SentBack(LATE),
            FoundUnusable("why"),
            JobExited(self.now, GOOD),
            JobNotStarted(self.now),
            JobFrozen(self.now),
            HandlerExited(self.now, GOOD),
            HookExited(self.now),
            PolicyRead(self.now, None, False, None, 0.5),
            PolicyNotRead(self.now, 0.5),
            StopBy(self.now),
            DispatcherLeaves(self.now, stops=True),
            ReleaseAllowed(self.now),
            SettleDone(),
            SettleFailed(self.now, 0.5),
        ]
        legal = LEGAL[self.delivery.phase]
        gone = {JobExited: not self.job, HandlerExited: not self.handler, HookExited: not self.hook}
        wrong = [
            event for event in events if type(event) not in legal or gone.get(type(event), False)
        ]
        with pytest.raises(IllegalDeliveryEvent):
            step(self.delivery, data.draw(st.sampled_from(wrong)), self.options)

    # Every field.

    @invariant()
    def the_books_are_right(self) -> None:
        self.the_receipt_and_the_lease_are_what_sqs_said()
        self.extend_at_leaves_time_before_the_end()
        self.the_deadlines_are_those_of_the_phase()
        self.the_phase_is_what_the_world_is()
        self.the_stop_the_exit_and_the_outcome_are_the_kernels()
        self.the_handler_is_as_it_ran()
        self.the_verdict_is_what_was_decided_or_came_of_it()
        self.the_tries_are_the_requests_that_failed()

    def the_receipt_and_the_lease_are_what_sqs_said(self) -> None:
        assert self.delivery.received_at == self.received_at
        assert self.delivery.attempt == self.attempt
        assert self.delivery.lease_until == self.lease
        assert self.delivery.lost == self.lost
        assert self.delivery.release_by == self.release_by
        assert self.delivery.failing_since == self.failing_since
        assert self.delivery.denied_since == self.denied_since
        assert self.lease <= self.received_at + LONGEST_VISIBILITY

    def extend_at_leaves_time_before_the_end(self) -> None:
        """While the lease is ours, the next try has a time, or SQS is known to allow no more."""
        insists = (
            self.delivery.phase is DeliveryPhase.SETTLING and self.deletes() and self.failures > 0
        )
        if not (self.delivery.phase in LEASE_KEPT or insists) or self.now >= self.lease:
            return
        enough = insists and self.now >= self.failing_since + KEPT_FOR
        assert self.delivery.extend_at < inf or self.limit_said or self.useless or enough

    def the_deadlines_are_those_of_the_phase(self) -> None:
        delivery = self.delivery
        assert delivery.stop_at == self.stop_at
        assert delivery.timeout_at == self.timeout_at
        stopping = delivery.phase is DeliveryPhase.STOPPING and not self.killed
        assert delivery.kill_at == (
            self.stopped_at + self.options.config.exit_timeout if stopping else inf
        )
        assert delivery.doubt_until == self.doubt_until
        assert (delivery.doubt_until < inf) == (delivery.phase is DeliveryPhase.DOUBTFUL)
        assert delivery.handler_until == self.handler_until
        assert delivery.hook_until == self.hook_until
        assert (delivery.ask_at < inf) == (
            delivery.phase is DeliveryPhase.JUDGING
        ) or delivery.phase is DeliveryPhase.DONE
        assert (delivery.settle_at < inf) == (delivery.phase is DeliveryPhase.SETTLING)

    def the_phase_is_what_the_world_is(self) -> None:
        match self.delivery.phase:
            case DeliveryPhase.RUNNING:
                assert self.job
                assert self.stop is None
            case DeliveryPhase.STOPPING:
                assert self.job
                assert self.stopped_at < inf
            case DeliveryPhase.FROZEN:
                assert self.job
                assert not self.frozen  # it lingers
            case DeliveryPhase.HANDLING:
                assert self.handler or (self.job and self.killed)
            case DeliveryPhase.KILLING:
                assert self.job
                assert self.killed
                assert not self.handler
            case DeliveryPhase.REPORTING:
                assert self.hook
                assert not self.job
                assert not self.handler
            case phase:
                assert not self.anything_lives()
                failed = self.outcome in FAILURES and self.options.config.on_failure
                assert (
                    self.hook_ran
                    or not failed
                    or phase in (DeliveryPhase.DOUBTFUL, DeliveryPhase.JUDGING)
                )
                assert phase is not DeliveryPhase.HELD or (
                    self.held and not self.freed and not self.lost
                )
        assert self.ends == (self.delivery.phase is DeliveryPhase.DONE)

    def the_stop_the_exit_and_the_outcome_are_the_kernels(self) -> None:
        assert self.delivery.stop == self.stop
        assert self.delivery.exit == self.exited
        assert self.delivery.outcome == self.outcome

    def the_handler_is_as_it_ran(self) -> None:
        assert self.delivery.handler_tries == self.handler_tries
        assert self.delivery.handler_runs == self.handler
        assert self.delivery.handler_result == self.handler_result

    def the_verdict_is_what_was_decided_or_came_of_it(self) -> None:
        delivery = self.delivery
        assert delivery.facts == self.facts
        assert delivery.sent == self.sent
        if delivery.phase is DeliveryPhase.DONE:
            assert delivery.settlement is (self.confirmed or Settlement.LEAVE)
            assert delivery.verdict is not None
            assert delivery.verdict.delay == 0 or self.confirmed
            expected = Reason.UNUSABLE if self.unusable else reason_of(delivery.verdict.why)
            assert delivery.verdict.reason is expected
        elif self.job or self.handler or delivery.phase in UNDECIDED:
            assert delivery.verdict is None
        else:
            assert delivery.verdict == self.decided

    def the_tries_are_the_requests_that_failed(self) -> None:
        """But for the last one, after which there was nothing more to try."""
        over = self.delivery.phase in (DeliveryPhase.REPORTING, DeliveryPhase.DONE)
        assert self.delivery.tries in (
            {self.failures, self.failures - 1} if over else {self.failures}
        )

    # It ends.

    def teardown(self) -> None:
        """Whatever happened: what is killed dies, the master frees, SQS refuses or confirms; or
        only time passes.
        """
        if not hasattr(self, "delivery"):
            return
        Aftermath(self, sqs_works=True).ends_within(400)
        Aftermath(self, master_frees=False).ends_within(100_000)  # up to 12 hours of tries
        longest = KEPT_FOR + self.options.config.visibility_timeout + LATE_DELETE
        for denied in (False, True):  # extends go through, nothing else does
            started = world_at(self.delivery, self.options)
            kept = Aftermath(self, extends_work=True, denied=denied)
            kept.ends_within(100_000)
            assert kept.now - self.now <= started + longest + POLICY_FOR
        for extends_work in (False, True):
            stopped = Aftermath(self, extends_work=extends_work, ends_in=200.0)
            stopped.ends_within(100_000)
            assert stopped.now <= self.now + 200.0, "a stop ends whatever SQS says"


def world_at(delivery: Delivery, options: Rules) -> float:
    """What stopping a job and its handlers may take before, and the lease that is left."""
    return (
        3 * options.config.exit_timeout
        + options.config.visibility_timeout
        + delivery.lease_until
        - delivery.received_at
    )


class Aftermath:
    """What follows when nobody does more than he must: jobs and handlers end only when they are
    killed.
    """

    def __init__(
        self,
        world: DeliveryModel,
        *,
        master_frees: bool = True,
        sqs_works: bool = False,
        extends_work: bool = False,
        denied: bool = False,
        ends_in: float = inf,
    ) -> None:
        self.delivery, self.options, self.now = world.delivery, world.options, world.now
        self.master_frees, self.sqs_works = master_frees, sqs_works
        self.extends_work, self.denied, self.ends_at = extends_work, denied, self.now + ends_in
        self.events: list[Event] = []
        # It lingers, but not for ever.
        if world.job and (world.killed or self.delivery.phase is DeliveryPhase.FROZEN):
            self.events.append(JobExited(self.now, KILLED))
        if world.handler_killed and world.handler:
            self.events.append(HandlerExited(self.now, KILLED))
        if world.hook_killed and world.hook:
            self.events.append(HookExited(self.now))
        if self.delivery.phase is DeliveryPhase.WAITING:  # no batch forgets one
            self.events.append(SentBack(LATE))
        if self.delivery.phase is DeliveryPhase.RUNNING:
            self.events.append(StopBy(self.now))

    def ends_within(self, steps: int) -> None:
        for _ in range(steps):
            if self.delivery.phase is DeliveryPhase.DONE:
                break
            if self.events:
                self.take(self.events.pop(0))
            elif self.delivery.phase is DeliveryPhase.HELD and self.master_frees:
                self.take(ReleaseAllowed(self.now))
            else:
                self.now = max(self.now, wakes_at(self.delivery))
                assert self.now < inf
                self.take(Due(self.now))
        assert self.delivery.phase is DeliveryPhase.DONE
        assert self.delivery.settlement is not None

    def take(self, event: Event) -> None:
        self.delivery, actions = step(self.delivery, event, self.options)
        for action in actions:
            self.events += self.follows(action)

    def follows(self, action: Action) -> list[Event]:
        match action:
            case Extend(seconds) if self.extends_work:
                return [Extended(self.now, self.now, seconds, 0.5)]
            case Extend():
                return [ExtendFailed(self.now, 0.5)]
            case FreezeJob():
                return [JobFrozen(self.now)]
            case KillJob() if self.delivery.exit is None:
                return [JobExited(self.now, KILLED)]
            case KillHandler():
                return [HandlerExited(self.now, KILLED)]
            case KillHook():
                return [HookExited(self.now)]
            case ReadPolicy():
                not_known = PolicyNotRead(self.now, 0.5, ends_at=self.ends_at)
                return [PolicyRead(self.now, 3, True, None, 0.5) if self.sqs_works else not_known]
            case Settle():
                failed = SettleFailed(self.now, 0.5, denied=self.denied, ends_at=self.ends_at)
                return [SettleDone() if self.sqs_works else failed]
        return []


TestDelivery = pytest.mark.slow(DeliveryModel.TestCase)


def test_a_lease_is_kept_for_ever_as_long_as_sqs_confirms() -> None:
    """No job that runs for an hour loses its lease, whatever the visibility timeout."""
    for visibility in (2.0, 2.9, 3.0, 4.5, 20.0, 60.0, 3000.0):
        rules = Rules(Config(visibility_timeout=visibility))
        delivery, _ = step(begin(0.0, 0.5, rules), TurnCame(0.0), rules)
        while (now := wakes_at(delivery)) < 3600:
            delivery, actions = step(delivery, Due(now), rules)
            assert [type(action) for action in actions] == [Extend]
            (extend,) = actions
            assert isinstance(extend, Extend)
            delivery, _ = step(delivery, Extended(now, now + 0.1, extend.seconds, 0.5), rules)
        assert not delivery.lost


def test_a_stop_ends_in_a_settlement_by_time_alone() -> None:
    """Nobody answers any more, and the kill works."""
    delivery, _ = step(begin(0.0, 0.5, Rules()), TurnCame(0.0, stop_at=1.0), Rules())
    delivery, actions = step(delivery, Due(1.0), Rules())
    assert actions == (TerminateJob(),)
    delivery, actions = step(delivery, Due(wakes_at(delivery)), Rules())
    assert delivery.phase is DeliveryPhase.STOPPING
    while KillJob() not in actions:
        delivery, actions = step(delivery, Due(wakes_at(delivery)), Rules())
    delivery, actions = step(delivery, JobExited(40.0, KILLED), Rules())
    assert actions == (ReadPolicy(),)
    delivery, actions = step(delivery, PolicyNotRead(41.0, 0.5), Rules())
    assert actions == (EndDelivery(),)
    assert delivery.settlement is Settlement.LEAVE
