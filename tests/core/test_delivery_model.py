"""A model that plays queue, kernel, master and clock against one delivery: what may never happen, and that it ends.

The model keeps its own account of the world (does the job's process exist, what has SQS confirmed, which request
is under way) and holds every field of the delivery against it after every event. As in a dispatcher, a request is
answered before anything else happens to the delivery; but any time may pass before the answer.
"""

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Any

import pytest
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.core.delivery import KEPT, LONGEST, Delivery, Illegal, Phase, Rules, hold, run, step, wakes_at
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
from fleet.core.exits import Exit, Outcome, Settlement

LUCK = st.floats(0, 1, exclude_max=True)
SHORT = st.floats(0, 5)
PAUSES = st.one_of(SHORT, st.floats(0, 100), st.sampled_from([0.0, 1000.0, LONGEST - 100.0, LONGEST]))
EXITS = st.sampled_from([Exit(code=0), Exit(code=1), Exit(signal=9), Exit(signal=11), Exit(signal=15)])
VISIBILITIES = st.sampled_from([2.0, 2.9, 5.0, 20.0, 60.0, 600.0, LONGEST])

FOLLOWING = {
    Phase.RUNNING: {Phase.STOPPING, Phase.HELD, Phase.SETTLING, Phase.DONE},
    Phase.STOPPING: {Phase.HELD, Phase.SETTLING, Phase.DONE},
    Phase.HELD: {Phase.SETTLING, Phase.DONE},
    Phase.SETTLING: {Phase.DONE},
    Phase.DONE: set(),
}


@dataclass(frozen=True)
class Answer:
    """What SQS makes of the request that an event may lead to, and how long it takes."""

    good: bool
    final: bool
    took: float
    luck: float


ANSWERS = st.builds(Answer, st.booleans(), st.booleans(), st.just(0.0) | PAUSES, LUCK)


class DeliveryModel(RuleBasedStateMachine):
    """One message in a hostile world."""

    delivery: Delivery
    options: Rules

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.received_at = self.now
        self.lease = 0.0  # until when SQS has confirmed it
        self.stop_at = inf
        self.stopped_at: float | None = None
        self.exited: Exit | None = None
        self.outcome: Outcome | None = None
        self.job = self.freed = self.lost = self.killed = self.held = False
        self.failures = 0
        self.confirmed: Settlement | None = None
        self.ends = 0

    # The beginning.

    @initialize(
        visibility=VISIBILITIES,
        exit_timeout=st.sampled_from([0.0, 3.0, 30.0]),
        luck=LUCK,
        took=SHORT,
        late=st.booleans(),
        stop_in=st.none() | SHORT,
    )
    def receive(
        self, visibility: float, exit_timeout: float, luck: float, took: float, late: bool, stop_in: float | None
    ) -> None:
        self.options = Rules(visibility, exit_timeout)
        self.received_at = self.now
        self.now += took
        self.lease = self.received_at + self.options.first_lease
        if late:
            self.delivery = hold(self.received_at, luck, self.options)
            self.held = True
        else:
            self.stop_at = inf if stop_in is None else self.now + stop_in
            self.delivery = run(self.received_at, luck, self.options, self.stop_at)
            self.job = True

    # One event, and what it asks for.

    def happens(self, event: Event, answer: Answer) -> tuple[Action, ...]:
        """One step; the request that it leads to, if any, is answered at once."""
        note(f"{self.now:.3f} {event}")
        before, now = self.delivery, self.now
        self.delivery, actions = step(before, event, self.options)
        after = self.delivery.phase
        assert after is before.phase or after in FOLLOWING[before.phase]
        assert before.phase is not Phase.DONE or not actions
        assert sum(isinstance(action, Extend | Settle) for action in actions) <= 1
        for action in actions:
            self.asked(action, before, now, answer)
        return actions

    def asked(self, action: Action, before: Delivery, now: float, answer: Answer) -> None:
        match action:
            case Extend(seconds):
                assert before.phase in KEPT
                self.extend(seconds, answer)
            case Settle(how):
                self.settle(how, answer)
            case Terminate():
                assert self.job
                assert self.stopped_at is None
                assert self.stop_at <= now
                self.stopped_at = now
            case Kill():
                assert self.job
                assert not self.killed
                assert self.stopped_at is not None
                assert now >= self.stopped_at + self.options.exit_timeout
                self.killed = True
            case Hold():
                assert not self.held
                assert not self.job
                self.held = True
            case LeaseLost():
                assert not self.lost
                assert now >= self.lease
                self.lost = True
            case End():
                self.ends += 1

    def extend(self, seconds: int, answer: Answer) -> None:
        """SQS is asked to extend: only while the lease is ours, and never past its limit."""
        assert not self.lost
        assert self.lease > self.now
        assert 0 < seconds <= ceil(self.options.visibility)
        assert self.lease < self.now + seconds <= self.received_at + LONGEST
        asked_at = self.now
        self.now += answer.took
        if not answer.good:
            assert self.happens(ExtendFailed(self.now, answer.luck), answer) == ()
            assert self.delivery.extend_at > self.now
            return
        if self.now < self.lease:
            self.lease = asked_at + seconds
        assert self.happens(Extended(asked_at, self.now, seconds, answer.luck), answer) == ()

    def settle(self, how: Settlement, answer: Answer) -> None:
        """SQS is asked to settle: with no process at work on the message, and what is ours to do."""
        assert not self.job
        if how is Settlement.RELEASE:
            assert self.freed
            assert self.now < self.lease
        else:
            assert how is Settlement.DELETE
            assert self.exited == Exit(code=0)
        self.now += answer.took
        if answer.good:
            self.confirmed = how
            self.happens(SettleDone(), answer)
            return
        self.failures += 1
        self.happens(SettleFailed(self.now, answer.luck, answer.final), answer)
        if answer.final or self.now >= self.lease:
            assert self.delivery.phase is Phase.DONE

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
        """The dispatcher wakes for whatever reason. Nothing that is due is forgotten, so it does not wake at once."""
        now, before = self.now, self.delivery
        due = wakes_at(before) <= now
        planned, asked = step(before, Due(now), self.options)
        assert wakes_at(planned) > now
        assert due or (not asked and planned == before)
        self.happens(Due(now), answer)

    @precondition(lambda self: self.job)
    @rule(how=EXITS, answer=ANSWERS)
    def the_job_exits(self, how: Exit, answer: Answer) -> None:
        self.job = False
        self.exited = how
        if how.code == 0:
            self.outcome = Outcome.SUCCEEDED
        elif self.stopped_at is not None:
            self.outcome = Outcome.INTERRUPTED
        else:
            self.outcome = Outcome.SIGNALLED if how.signal else Outcome.FAILED
        self.happens(Exited(self.now, how), answer)

    @precondition(lambda self: self.delivery.phase is Phase.RUNNING)
    @rule(answer=ANSWERS)
    def the_job_cannot_be_forked(self, answer: Answer) -> None:
        self.job = False
        self.happens(NotStarted(self.now), answer)

    @precondition(lambda self: self.delivery.phase is Phase.RUNNING)
    @rule(seconds=SHORT, answer=ANSWERS)
    def the_master_stops_it(self, seconds: float, answer: Answer) -> None:
        self.stop_at = min(self.stop_at, self.now + seconds)
        assert self.happens(StopBy(self.now + seconds), answer) == ()

    @precondition(lambda self: self.delivery.phase is Phase.HELD)
    @rule(answer=ANSWERS)
    def the_master_frees_it(self, answer: Answer) -> None:
        self.freed = True
        self.happens(Freed(self.now), answer)

    @rule(data=st.data())
    def what_cannot_happen_raises(self, data: st.DataObject) -> None:
        legal: dict[Phase, set[Any]] = {
            Phase.RUNNING: {Exited, NotStarted, StopBy},
            Phase.STOPPING: {Exited},
            Phase.HELD: {Freed},
            Phase.SETTLING: {SettleDone, SettleFailed},
            Phase.DONE: set(),
        }
        events: list[Event] = [
            Exited(self.now, Exit(code=0)),
            NotStarted(self.now),
            StopBy(self.now),
            Freed(self.now),
            SettleDone(),
            SettleFailed(self.now, 0.5),
        ]
        wrong = [event for event in events if type(event) not in legal[self.delivery.phase]]
        with pytest.raises(Illegal):
            step(self.delivery, data.draw(st.sampled_from(wrong)), self.options)

    # Every field.

    @invariant()
    def the_books_are_right(self) -> None:
        self.received_at_and_the_lease_are_what_sqs_said()
        self.extend_at_leaves_time_before_the_end()
        self.the_deadlines_are_those_of_the_phase()
        self.the_phase_is_what_the_world_is()
        self.the_lease_is_lost_when_it_was_said()
        self.exit_and_outcome_are_the_kernels()
        self.the_settlement_is_what_sqs_confirmed_or_left()
        self.the_tries_are_the_settlements_that_failed()

    def received_at_and_the_lease_are_what_sqs_said(self) -> None:
        assert self.delivery.received_at == self.received_at
        assert self.delivery.lease_until == self.lease
        assert self.lease <= self.received_at + LONGEST

    def extend_at_leaves_time_before_the_end(self) -> None:
        """While the lease is ours, the next try has a time, or SQS would allow no more."""
        if self.delivery.phase not in KEPT or self.now >= self.lease:
            return
        assert self.delivery.extend_at < inf or self.lease + 2 > self.received_at + LONGEST

    def the_deadlines_are_those_of_the_phase(self) -> None:
        delivery = self.delivery
        assert delivery.stop_at == (self.stop_at if delivery.phase in (Phase.RUNNING, Phase.STOPPING) else inf)
        if delivery.phase is Phase.STOPPING and not self.killed:
            assert self.stopped_at is not None
            assert delivery.kill_at == self.stopped_at + self.options.exit_timeout
        else:
            assert delivery.kill_at == inf

    def the_phase_is_what_the_world_is(self) -> None:
        phase = self.delivery.phase
        assert self.job == (phase in (Phase.RUNNING, Phase.STOPPING))
        assert (phase is Phase.STOPPING) == (self.job and self.stopped_at is not None)
        assert phase is not Phase.HELD or (self.held and not self.freed and not self.lost)
        assert (self.delivery.settle_at < inf) == (phase is Phase.SETTLING)
        assert self.ends == (phase is Phase.DONE)

    def the_lease_is_lost_when_it_was_said(self) -> None:
        assert self.delivery.lost == self.lost

    def exit_and_outcome_are_the_kernels(self) -> None:
        assert self.delivery.exit == self.exited
        assert self.delivery.outcome == self.outcome

    def the_settlement_is_what_sqs_confirmed_or_left(self) -> None:
        settlement, phase = self.delivery.settlement, self.delivery.phase
        if self.job:
            assert settlement is None
        elif phase is Phase.DONE:
            assert settlement is (self.confirmed or Settlement.LEAVE)
        elif phase is Phase.HELD:
            assert settlement is Settlement.RELEASE
        else:
            assert settlement is (Settlement.DELETE if self.outcome is Outcome.SUCCEEDED else Settlement.RELEASE)

    def the_tries_are_the_settlements_that_failed(self) -> None:
        delivery = self.delivery
        assert delivery.tries == self.failures - (
            delivery.phase is Phase.DONE and 0 < self.failures == delivery.tries + 1
        )

    # It ends.

    def teardown(self) -> None:
        """Whatever happened: the job exits, the master frees, SQS refuses or confirms; or only time passes."""
        if not hasattr(self, "delivery"):
            return
        for master_frees in (True, False):
            for sqs_works in (True, False):
                self.ends_within(1000, master_frees, sqs_works)

    def ends_within(self, steps: int, master_frees: bool, sqs_works: bool) -> None:
        delivery, now, answers = self.delivery, self.now, list[Event]()
        for _ in range(steps):
            if delivery.phase is Phase.DONE:
                break
            if answers:
                event = answers.pop()
            elif delivery.phase in (Phase.RUNNING, Phase.STOPPING):
                event = Exited(now, Exit(signal=9))
            elif delivery.phase is Phase.HELD and master_frees:
                event = Freed(now)
            else:
                now = max(now, wakes_at(delivery))
                assert now < inf
                event = Due(now)
            delivery, actions = step(delivery, event, self.options)
            for action in actions:
                if isinstance(action, Extend):  # a queue that confirms for ever needs twelve hours to end
                    answers.append(ExtendFailed(now, 0.5))
                elif isinstance(action, Settle):
                    answers.append(SettleDone() if sqs_works else SettleFailed(now, 0.5))
        assert delivery.phase is Phase.DONE
        assert delivery.settlement is not None


TestDelivery = DeliveryModel.TestCase


def test_a_lease_is_kept_for_ever_as_long_as_sqs_confirms() -> None:
    """No job that runs for an hour loses its lease, whatever the visibility timeout."""
    for visibility in (2.0, 2.9, 3.0, 4.5, 20.0, 60.0, 3000.0):
        rules = Rules(visibility=visibility)
        delivery = run(0.0, 0.5, rules)
        while (now := wakes_at(delivery)) < 3600:
            delivery, actions = step(delivery, Due(now), rules)
            assert [type(action) for action in actions] == [Extend]
            (extend,) = actions
            assert isinstance(extend, Extend)
            delivery, _ = step(delivery, Extended(now, now + 0.1, extend.seconds, 0.5), rules)
        assert not delivery.lost


def test_a_stop_ends_in_a_settlement_by_time_alone() -> None:
    """Nobody answers any more, and the kill works."""
    delivery = replace(run(0.0, 0.5, Rules()), stop_at=1.0)
    delivery, actions = step(delivery, Due(1.0), Rules())
    assert actions == (Terminate(),)
    delivery, actions = step(delivery, Due(wakes_at(delivery)), Rules())
    assert delivery.phase is Phase.STOPPING
    while Kill() not in actions:
        delivery, actions = step(delivery, Due(wakes_at(delivery)), Rules())
    delivery, actions = step(delivery, Exited(40.0, Exit(signal=9)), Rules())
    assert actions == (End(),)
    assert delivery.settlement is Settlement.LEAVE
