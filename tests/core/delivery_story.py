"""One delivery and its clock, told what happens: the stories of the delivery tests are written with it.

The clock starts at 0, when the receive call was made. With luck 0 an extend comes at exactly a third.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core.delivery import Delivery, Phase, Rules, hold, run, step, wakes_at
from fleet.core.delivery_events import (
    Action,
    Due,
    End,
    Event,
    Exited,
    Extended,
    ExtendFailed,
    Freed,
    LeaseLost,
    Settle,
    SettleDone,
    StopBy,
    Terminate,
)
from fleet.core.exits import Exit, Settlement

RULES = Rules(visibility=60.0, exit_timeout=30.0)
GOOD, BAD, SEGV, KILLED = Exit(code=0), Exit(code=1), Exit(signal=11), Exit(signal=9)
ALMOST_ONE = 0.999999


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


def running(rules: Rules = RULES, stop_at: float = inf) -> Story:
    return Story(run(0.0, 0.0, rules, stop_at), rules)


def stopping(rules: Rules = RULES) -> Story:
    story = running(rules)
    story.happens(StopBy(1.0))
    assert story.at(1.0) == [Terminate()]
    return story


def held(rules: Rules = RULES) -> Story:
    return Story(hold(0.0, 0.0, rules), rules)


def settling(rules: Rules = RULES) -> Story:
    story = running(rules)
    assert story.happens(Exited(2.0, GOOD)) == [Settle(Settlement.DELETE)]
    return story


def releasing() -> Story:
    story = held()
    assert story.happens(Freed(2.0)) == [Settle(Settlement.RELEASE)]
    return story


def done() -> Story:
    story = settling()
    assert story.happens(SettleDone()) == [End()]
    return story


def without_a_lease() -> Story:
    """A running job whose lease ended at 20."""
    story = running()
    story.at(7.0)
    story.happens(ExtendFailed(8.0, 0.0))
    assert story.at(20.0)[0] == LeaseLost()
    return story
