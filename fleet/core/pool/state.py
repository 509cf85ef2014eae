"""The pool's state, as one frozen record. The package tells how it changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from math import inf

from fleet.core.config import Config
from fleet.core.pool.queue_state import Counts, QueueState, new_queue
from fleet.core.pool.restarts import Restarts
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.slot import BUSY_STATES, Slot
from fleet.core.protocol import RELEASE_MARGIN
from fleet.core.queue_config import QueueConfig
from fleet.core.records import replace
from fleet.core.scheduling import Shares, new_shares
from fleet.core.scout_protocol import Recover
from fleet.core.sizing.memory import Memory
from fleet.core.sizing.rule import Sizing
from fleet.core.slot_state import State


class PoolPhase(Enum):
    """Where the pool stands; the diagram is in the package's docstring."""

    BOOTING = auto()
    RUNNING = auto()
    DRAINING = auto()
    STOPPED = auto()


class Level(IntEnum):
    """How hard a stop is: finish what runs, stop what runs, kill what runs."""

    DRAIN = 1
    NOW = 2
    KILL = 3


class Role(Enum):
    """The master's two helpers. Values are what people read."""

    TEMPLATE = "template"
    SCOUT = "scout"


@dataclass(frozen=True)
class HelperState:
    """The template or the scout.

    `proven`: it has been ready once since the pool started. `refused`: it says that it cannot do
    its part. Of the scout, `heard` is when it said something last, or was given something to do;
    `silent_since` when it was asked for a word; `full`: its channel has had no room since. Of the
    template, `silent_since` is when it was asked for its stack, because the app was not imported in
    time.
    """

    alive: bool = False
    ready: bool = False
    killed: bool = False
    proven: bool = False
    since: float = 0.0
    crashes: int = 0
    not_before: float = 0.0
    heard: float = 0.0
    silent_since: float = inf
    full: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """An order to the scout that is open: settle the message of a dead dispatcher.

    It is kept until the scout has answered it.

    `slot` and `attempt` are for the log. `given` counts how often the scout was given the order: a
    release is given once only, because the first scout may have done it before it died.
    """

    slot: int
    attempt: int
    order: Recover
    given: int = 0
    is_waiting: bool = False  # given to the present scout, and not answered yet
    denied: bool = False  # its delete is not allowed, and asked for again

    @property
    def last_moment(self) -> float:
        """From then on a release comes too late, or is not needed."""
        return self.order.lease_until - (0.0 if self.order.receive_id else RELEASE_MARGIN)


@dataclass(frozen=True, slots=True)
class Resize:
    """The last change of the size that was wanted, and why (a phrase for people)."""

    was: int
    to: int
    reason: str


@dataclass(frozen=True)
class PoolEnd:
    """Why the pool ends and with which exit status.

    `emptied`: because of --until-empty. `counted`: because of --max-jobs or --max-seconds.
    """

    code: int
    why: str
    emptied: bool = field(default=False, compare=False)
    counted: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Pool:
    """Everything the pool is decided by. `desired` dispatchers are wanted, `size` are there.

    `queues` keep their places; what is needed only to choose among them is not noted for one.
    Moments are seconds of the master's clock.
    """

    config: Config
    queues: tuple[QueueState, ...]
    slots: tuple[Slot, ...]
    desired: int
    several: bool = False  # there are queues to choose from
    phase: PoolPhase = PoolPhase.BOOTING
    template: HelperState = field(default_factory=HelperState)
    scout: HelperState = field(default_factory=HelperState)
    recoveries: tuple[Recovery, ...] = ()
    next_recovery: int = 0
    restarts: Restarts = field(default_factory=Restarts)
    spawning: Spawning = field(default_factory=Spawning)
    paused: bool = False  # all queues
    shares: Shares = field(default_factory=Shares)  # of the job time, with weights
    held: bool = False  # the size is an operator's, until `scale auto`
    last_resize: Resize | None = None
    sizing: Sizing = field(default_factory=Sizing)
    memory: Memory = field(default_factory=Memory)
    dispatcher_deaths: int = 0
    level: Level | None = None
    signalled_at: float = -inf  # when a signal asked for a stop last
    kill_at: float = inf  # when the longest stop is over
    jobs_have: float = 0.0  # seconds that a stop gives to running jobs
    jobs_until: float = inf  # when those are over
    ends_at: float = inf  # --max-seconds; known when the pool is ready
    stacks_at: float = inf  # when the stacks that everybody was asked for are told
    end: PoolEnd | None = None

    @property
    def size(self) -> int:
        """Dispatchers that exist or are on their way, the leaving ones too."""
        return len(self.slots) - self.count(State.VACANT)

    @property
    def busy(self) -> int:
        """Dispatchers with a message in hand."""
        return self.count(*BUSY_STATES)

    @property
    def counts(self) -> Counts:
        """What happened so far, in all queues together."""
        if not self.several:
            return self.queues[0].counts
        counted = [vars(queue.counts) for queue in self.queues]
        return Counts(**{name: sum(each[name] for each in counted) for name in counted[0]})

    @property
    def polls_until(self) -> float:
        """When the last open poll comes home if its queue answers; minus infinity without one."""
        polls = (slot for slot in self.slots if slot.state is State.POLLING)
        return max(
            (slot.since + queue_of(self, slot).config.wait_time for slot in polls), default=-inf
        )

    def longest_drain(self, seconds: float) -> float:
        """The longest that a drain can take that gives running jobs so many seconds."""
        return max(queue.config.longest_drain(seconds) for queue in self.queues)

    @property
    def longest_stop(self) -> float:
        """The longest that a requested stop can take before what is left is killed."""
        return self.longest_drain(self.config.drain_timeout)

    @property
    def own_drain(self) -> float:
        """Seconds that running jobs have when the pool ends by itself."""
        return max(queue.config.own_drain for queue in self.queues)

    def count(self, *states: State) -> int:
        """How many slots are in one of these states."""
        return len([slot for slot in self.slots if slot.state in states])


def new(config: Config, queues: Sequence[QueueConfig]) -> Pool:
    """The pool before anything has happened."""
    slots = tuple(Slot(number) for number in range(config.workers))
    return Pool(
        config,
        tuple(map(new_queue, queues)),
        slots,
        config.workers,
        several=len(queues) > 1,
        shares=new_shares(len(queues)),
    )


class IllegalEvent(Exception):
    """The event does not fit the state: a fault of fleet itself."""


def slot_of(pool: Pool, number: int, *states: State) -> Slot:
    """A slot that is not vacant, in one of the states if any are named. Raises IllegalEvent."""
    if not 0 <= number < len(pool.slots):
        raise IllegalEvent(f"there is no slot {number}")
    slot = pool.slots[number]
    if slot.is_vacant or (states and slot.state not in states):
        raise IllegalEvent(f"slot {number} is {slot.state.name}")
    return slot


def with_slot(pool: Pool, slot: Slot) -> Pool:
    """The pool with that slot in its place."""
    number = slot.number
    return replace(pool, slots=(*pool.slots[:number], slot, *pool.slots[number + 1 :]))


def with_slots(pool: Pool, changed: Iterable[Slot]) -> Pool:
    """The pool with those slots in their places."""
    by_number = {slot.number: slot for slot in changed}
    if not by_number:
        return pool
    return replace(pool, slots=tuple([by_number.get(slot.number, slot) for slot in pool.slots]))


def queue_of(pool: Pool, slot: Slot) -> QueueState:
    """The queue that the slot's dispatcher polls, or has its messages from; else the last one."""
    return pool.queues[slot.queue]


def size_for(pool: Pool, queue: QueueState) -> int:
    """How many of the pool's dispatchers the queue may have at once."""
    size = pool.size
    return size if size <= queue.limit else int(queue.limit)


def with_queue(pool: Pool, place: int, queue: QueueState) -> Pool:
    """The pool with that queue in its place."""
    if not pool.several:
        return replace(pool, queues=(queue,))
    queues = pool.queues
    return replace(pool, queues=(*queues[:place], queue, *queues[place + 1 :]))


def helper_of(pool: Pool, role: Role) -> HelperState:
    """The helper's record."""
    return pool.template if role is Role.TEMPLATE else pool.scout


def living_helper(pool: Pool, role: Role) -> HelperState:
    """The record of a helper that exists. Raises IllegalEvent."""
    helper = helper_of(pool, role)
    if not helper.alive:
        raise IllegalEvent(f"there is no {role.value}")
    return helper


def with_helper(pool: Pool, role: Role, helper: HelperState) -> Pool:
    """The pool with that record in its place."""
    return replace(pool, template=helper) if role is Role.TEMPLATE else replace(pool, scout=helper)
