"""One delivery in a state that a test begins with.

The story's clock starts at 0, when the receive call was made. With jitter 0 an extend comes at
exactly a third.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core.config import Config
from fleet.core.delivery import LATE, Delivery, DeliveryPhase, Rules, begin, step, wakes_at
from fleet.core.delivery.actions import (
    Action,
    AskForRelease,
    EndDelivery,
    FreezeJob,
    KillJob,
    ReadPolicy,
    RunHandler,
    RunJob,
    Settle,
    TellLeaseLost,
    TerminateJob,
)
from fleet.core.delivery.events import (
    Due,
    Event,
    Extended,
    ExtendFailed,
    HandlerExited,
    JobExited,
    JobFrozen,
    PolicyRead,
    ReleaseAllowed,
    SentBack,
    SettleDone,
    StopBy,
    TurnCame,
)
from fleet.core.outcomes import Exit, Settlement, Verdict

RULES = Rules(Config(visibility_timeout=60.0, exit_timeout=30.0))
WITH_HANDLER = Rules(Config(exit_timeout=5.0), has_handler=True)
GOOD, BAD, SEGV, KILLED = Exit(code=0), Exit(code=1), Exit(signal=11), Exit(signal=9)
RETRY, REJECT = Exit(code=75), Exit(code=65)

DELETE = Settle(Verdict(Settlement.DELETE, "its job succeeded"))
SEND = Settle(Verdict(Settlement.DEAD_LETTER, "its job rejected it"))
DELETE_SENT = Settle(Verdict(Settlement.DELETE, "it was sent to the dead-letter queue"))
GIVE_BACK = Settle(Verdict(Settlement.RELEASE, "it came too late to be worked on"))
GIVE_BACK_STOPPED = Settle(Verdict(Settlement.RELEASE, "its job was stopped"))


@dataclass
class Story:
    """A delivery and the rules it lives under; every verb returns what the delivery asked for."""

    delivery: Delivery
    rules: Rules = RULES
    asked: list[Action] = field(default_factory=list)

    def happens(self, event: Event) -> list[Action]:
        """One step."""
        self.delivery, actions = step(self.delivery, event, self.rules)
        self.asked += actions
        return list(actions)

    def at(self, now: float) -> list[Action]:
        """Time passes."""
        return self.happens(Due(now))

    def extended(self, before: float, seconds: float = 60.0) -> list[Action]:
        """SQS confirms at once what was asked for at `before`."""
        return self.happens(Extended(before, before, seconds, 0.0))

    def known(
        self, now: float, *, limit: int | None = 3, queue: bool = True, after: float | None = None
    ) -> list[Action]:
        """The redrive policy is read, and what the job asked for."""
        return self.happens(PolicyRead(now, limit, queue, after, 0.5))

    @property
    def phase(self) -> DeliveryPhase:
        """Where the delivery stands."""
        return self.delivery.phase

    @property
    def wakes_at(self) -> float:
        """When something is due next."""
        return wakes_at(self.delivery)

    def ended_as(self, how: Settlement) -> bool:
        """Over, and settled that way."""
        return self.phase is DeliveryPhase.DONE and self.delivery.settlement is how


def waiting(
    rules: Rules = RULES, *, before: float = 0.0, jitter: float = 0.0, attempt: int = 1
) -> Story:
    return Story(begin(before, jitter, rules, attempt=attempt), rules)


def running(
    rules: Rules = RULES,
    *,
    now: float = 0.0,
    stop_at: float = inf,
    attempt: int = 1,
    jitter: float = 0.0,
) -> Story:
    story = waiting(rules, attempt=attempt, jitter=jitter)
    assert story.happens(TurnCame(now, stop_at)) == [RunJob()]
    story.asked.clear()
    return story


def stopping(rules: Rules = RULES) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [TerminateJob()]
    return story


def frozen(rules: Rules = WITH_HANDLER) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [FreezeJob()]
    return story


def handling(rules: Rules = WITH_HANDLER) -> Story:
    """The exit handler of a stopped job runs until 6."""
    story = frozen(rules)
    assert story.happens(JobFrozen(1.0)) == [RunHandler()]
    return story


def handling_after_death(rules: Rules = WITH_HANDLER) -> Story:
    """The exit handler of a job that died by a signal runs until 6."""
    story = running(rules)
    assert story.happens(JobExited(1.0, SEGV)) == [RunHandler()]
    return story


def killing(rules: Rules = WITH_HANDLER) -> Story:
    story = handling(rules)
    assert story.happens(HandlerExited(2.0, GOOD)) == [KillJob()]
    return story


def judging(rules: Rules = RULES, how: Exit = BAD) -> Story:
    story = running(rules)
    assert story.happens(JobExited(2.0, how)) == [ReadPolicy()]
    return story


def held(rules: Rules = RULES) -> Story:
    story = waiting(rules)
    assert story.happens(SentBack(LATE)) == [AskForRelease()]
    return story


def settling(rules: Rules = RULES) -> Story:
    story = running(rules)
    assert story.happens(JobExited(2.0, GOOD)) == [DELETE]
    return story


def releasing() -> Story:
    story = held()
    assert story.happens(ReleaseAllowed(2.0)) == [GIVE_BACK]
    return story


def retrying() -> Story:
    """Held, to be seen again in 600 s."""
    story = judging(how=RETRY)
    assert story.known(2.0, after=600.0) == [AskForRelease()]
    return story


def sending(rules: Rules = RULES) -> Story:
    """A dead letter is being sent."""
    story = judging(rules, REJECT)
    assert story.known(2.0) == [SEND]
    return story


def sent(rules: Rules = RULES) -> Story:
    """A dead letter was sent, and the message is being deleted."""
    story = sending(rules)
    assert story.happens(SettleDone()) == [DELETE_SENT]
    return story


def done() -> Story:
    story = settling()
    assert story.happens(SettleDone()) == [EndDelivery()]
    return story


def without_a_lease(rules: Rules = RULES) -> Story:
    """A running job whose lease ended at 20."""
    story = running(rules)
    story.at(7.0)
    story.happens(ExtendFailed(8.0, 0.0))
    assert story.at(20.0)[0] == TellLeaseLost()
    return story
