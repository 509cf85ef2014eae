"""A scout that is stopped or hangs is asked for a word, and started again; what it was ordered is
ordered again.
"""

from dataclasses import dataclass, field, replace

import pytest

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Settlement
from fleet.core.pool import machine, state
from fleet.core.pool.deadlines import wakes_at
from fleet.core.pool.effects import Effect, KillHelper, Log, OrderScout, Spawn, SpawnHelper
from fleet.core.pool.events import Event, HelperDied, Tick
from fleet.core.pool.state import Pool, PoolPhase, Role
from fleet.core.scout_protocol import Recovered, Sampled, SampleDepth, Trying
from tests.core.pool.story import helper_ready, recovery_orders, scout_says
from tests.core.pool.test_recovery import Host
from tests.support.queues import one_queue

ASKED = (OrderScout(SampleDepth()),)
KILLED = (KillHelper(Role.SCOUT),)
INTERVAL = 15 * 1.25  # the longest between two samples


@dataclass
class Listening:
    """A pool without dispatchers, whose scout has just found the queue."""

    pool: Pool = field(default_factory=lambda: state.new(Config(1, boot_timeout=1e6), one_queue()))
    logged: list[Log] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at(0.0)
        self.at(0.0, helper_ready(Role.SCOUT))

    def at(self, now: float, event: Event | None = None) -> tuple[Effect, ...]:
        """It happens then; time passes if nothing else does."""
        self.pool, effects = machine.step(self.pool, event or Tick(), now, 0.5)
        self.logged += [effect for effect in effects if isinstance(effect, Log)]
        return tuple(each for each in effects if not isinstance(each, Log))


@pytest.fixture
def listening() -> Listening:
    """At second 0."""
    return Listening()


def test_who_is_silent_is_asked_and_then_killed(listening: Listening) -> None:
    due = INTERVAL + 20
    assert listening.at(due - 0.001) == ()
    assert wakes_at(listening.pool, due - 0.001) == due
    assert listening.at(due) == ASKED
    assert wakes_at(listening.pool, due) == due + 40
    assert listening.at(due + 39.999) == ()
    assert listening.at(due + 40) == KILLED
    assert listening.at(due + 41) == (), "once"
    assert listening.at(due + 41, HelperDied(Role.SCOUT, "SIGKILL")) == (SpawnHelper(Role.SCOUT),)
    assert listening.logged[-1].fields == {
        "role": "scout",
        "cause": "SIGKILL: it said nothing any more",
    }
    assert listening.at(due + 60.9) == ()
    assert listening.at(due + 61) == ASKED, "the new one has not found the queue yet"


@pytest.mark.parametrize(
    "word",
    [
        scout_says(Trying()),
        scout_says(Sampled(0, Depth(0, 0, 0))),
        scout_says(Recovered(9, Settlement.DELETE)),
        helper_ready(Role.SCOUT),
    ],
)
def test_any_word_will_do(listening: Listening, word: Event) -> None:
    listening.at(INTERVAL + 20)
    listening.at(70.0, word)
    assert listening.at(70.0 + INTERVAL + 19.9) == ()
    assert listening.at(70.0 + INTERVAL + 20) == ASKED


def test_a_master_that_was_stopped_itself_blames_nobody(listening: Listening) -> None:
    """What was said meanwhile is heard before a Tick; and who was stopped as well has time to say
    something.
    """
    assert listening.at(1000.0, scout_says(Trying())) == ()
    assert listening.at(1000.0) == ()
    assert listening.at(2000.0) == ASKED
    assert listening.at(2000.0) == ()
    assert listening.at(2000.1, scout_says(Sampled(0, Depth(0, 0, 0)))) == ()
    assert listening.at(2000.1) == ()


def test_silence_is_judged_when_time_passes_only(listening: Listening) -> None:
    assert listening.at(1000.0, helper_ready(Role.TEMPLATE)) == (Spawn(0),)
    assert listening.at(1000.0) == ASKED


def test_one_that_never_found_the_queue_is_not_waited_for() -> None:
    started = Listening(state.new(Config(1, boot_timeout=1e6), one_queue()))
    started.pool = replace(started.pool, scout=replace(started.pool.scout, ready=False))
    assert started.at(19.999) == ()
    assert started.at(20.0) == ASKED
    assert started.at(60.0) == KILLED
    assert started.pool.phase is PoolPhase.BOOTING


def test_an_order_is_given_again_to_the_successor_of_one_that_was_silent() -> None:
    """It is waited for from the order on, however long its interval is."""
    host = Host()
    host.pool = replace(host.pool, config=replace(host.pool.config, depth_interval=100_000.0))
    host.works(0)
    host.now = 1000.0
    assert recovery_orders(host.dies(0, intent=Settlement.DELETE))
    for moment, asked in ((1019.9, False), (1020.0, True)):
        host.now = moment
        assert (OrderScout(SampleDepth()) in host.take(Tick())) is asked
    for moment, killed in ((1059.9, False), (1060.0, True)):
        host.now = moment
        assert (KillHelper(Role.SCOUT) in host.take(Tick())) is killed
    host.take(HelperDied(Role.SCOUT, "SIGKILL"))
    host.now = 1070.0
    host.take(Tick())
    assert recovery_orders(host.take(helper_ready(Role.SCOUT)))
    assert host.pool.recoveries[0].given == 2


def test_one_that_tries_an_order_again_and_again_is_left_alone() -> None:
    host = Host()
    host.works(0)
    host.dies(0, intent=Settlement.DELETE)
    for _ in range(30):
        host.now += 15.0
        assert not [
            each for each in host.take(scout_says(Trying()), Tick()) if each in (*ASKED, *KILLED)
        ]
