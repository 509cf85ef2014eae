"""One delivery in a state that a test begins with.

The story's clock starts at 0, when the receive call was made. With luck 0 an extend comes at
exactly a third.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core.config import Config
from fleet.core.delivery.events import (
    Action,
    Ask,
    Due,
    End,
    Event,
    Exited,
    Extended,
    ExtendFailed,
    Freed,
    Freeze,
    Frozen,
    HandlerExited,
    Hold,
    Kill,
    Known,
    LeaseLost,
    RunHandler,
    Settle,
    SettleDone,
    StopBy,
    Terminate,
)
from fleet.core.delivery.machine import Delivery, Phase, Rules, hold, run, step, wakes_at
from fleet.core.outcomes import Exit, Settlement, Verdict

RULES = Rules(Config(visibility_timeout=60.0, exit_timeout=30.0))
HANDLED = Rules(Config(exit_timeout=5.0), has_handler=True)
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
        return self.happens(Known(now, limit, queue, after, 0.5))

    @property
    def phase(self) -> Phase:
        """Where the delivery stands."""
        return self.delivery.phase

    @property
    def wakes_at(self) -> float:
        """When something is due next."""
        return wakes_at(self.delivery)

    def ended_as(self, how: Settlement) -> bool:
        """Over, and settled that way."""
        return self.phase is Phase.DONE and self.delivery.settlement is how


def running(
    rules: Rules = RULES, *, now: float = 0.0, stop_at: float = inf, attempt: int = 1
) -> Story:
    return Story(run(0.0, 0.0, rules, now=now, stop_at=stop_at, attempt=attempt), rules)


def stopping(rules: Rules = RULES) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [Terminate()]
    return story


def frozen(rules: Rules = HANDLED) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [Freeze()]
    return story


def handling(rules: Rules = HANDLED) -> Story:
    """The exit handler of a stopped job runs until 6."""
    story = frozen(rules)
    assert story.happens(Frozen(1.0)) == [RunHandler()]
    return story


def mourning(rules: Rules = HANDLED) -> Story:
    """The exit handler of a job that died by a signal runs until 6."""
    story = running(rules)
    assert story.happens(Exited(1.0, SEGV)) == [RunHandler()]
    return story


def killing(rules: Rules = HANDLED) -> Story:
    story = handling(rules)
    assert story.happens(HandlerExited(2.0, GOOD)) == [Kill()]
    return story


def judging(rules: Rules = RULES, how: Exit = BAD) -> Story:
    story = running(rules)
    assert story.happens(Exited(2.0, how)) == [Ask()]
    return story


def held(rules: Rules = RULES) -> Story:
    return Story(hold(0.0, 0.0, rules), rules)


def settling(rules: Rules = RULES) -> Story:
    story = running(rules)
    assert story.happens(Exited(2.0, GOOD)) == [DELETE]
    return story


def releasing() -> Story:
    story = held()
    assert story.happens(Freed(2.0)) == [GIVE_BACK]
    return story


def retrying() -> Story:
    """Held, to be seen again in 600 s."""
    story = judging(how=RETRY)
    assert story.known(2.0, after=600.0) == [Hold()]
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
    assert story.happens(SettleDone()) == [End()]
    return story


def without_a_lease(rules: Rules = RULES) -> Story:
    """A running job whose lease ended at 20."""
    story = running(rules)
    story.at(7.0)
    story.happens(ExtendFailed(8.0, 0.0))
    assert story.at(20.0)[0] == LeaseLost()
    return story
