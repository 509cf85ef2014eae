"""What the pool was told and what it has asked for, kept beside the pool; and what must hold then.

The account knows no rule of the pool: no pause, no size, no exit status. It knows what a slot's
dispatcher and a helper have said and were told, and the messages that came and ended. Every other
field is held to what is true of it whatever the rules are: when it may change, and between what
bounds. The rules themselves have tables and stories of their own.
"""

from dataclasses import dataclass, field
from math import inf

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Settlement
from fleet.core.pool.effects import (
    Effect,
    KillDispatcher,
    KillHelper,
    OrderScout,
    Send,
    Spawn,
    SpawnHelper,
    TerminateDispatcher,
)
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Ended,
    Event,
    HelperDied,
    HelperSaid,
    HelperSpawnFailed,
    LimitAsked,
    MemoryMeasured,
    PauseAsked,
    SpawnFailed,
)
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.queue_state import QueueState
from fleet.core.pool.slot import Slot
from fleet.core.pool.state import HelperState, Level, Pool, Role
from fleet.core.protocol import (
    Denied,
    Drain,
    Empty,
    Forked,
    Free,
    FromHelper,
    Grant,
    Healed,
    Held,
    Imported,
    LeaseLost,
    NotForked,
    PollFailed,
    Ready,
    Received,
    Report,
    Settled,
    Troubled,
)
from fleet.core.queue_config import QueueConfig
from fleet.core.scout_protocol import Recover, Recovered, RecoveryDenied, Sampled, Unusable, Usable
from fleet.core.slot_state import State
from tests.core.pool.choosing import open_polls


@dataclass
class Life:
    """What the dispatcher of one slot has said, and was told."""

    state: State = State.VACANT
    since: float = 0.0
    leaving: bool = False
    killed: bool = False
    ended: bool = False
    queue: int = 0  # of its last grant
    asked: int = 0
    places: list[int] = field(default_factory=list)
    denied: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    trouble: str = ""

    def becomes(self, state: State, now: float) -> None:
        self.state, self.since = state, now

    def ends_poll(self, count: int, now: float) -> None:
        self.asked, self.places = 0, list(range(count))
        self.becomes(State.WORKING if count else State.IDLE, now)

    def check(self, slot: Slot) -> None:
        """The slot is as it was told."""
        assert (slot.state, slot.since) == (self.state, self.since)
        assert (slot.leaving, slot.killed, slot.ended) == (self.leaving, self.killed, self.ended)
        assert (slot.asked, list(slot.places)) == (self.asked, self.places)
        assert [each.place for each in slot.denied] == self.denied
        assert (list(slot.lost), slot.trouble) == (self.lost, self.trouble)
        assert slot.queue == self.queue or slot.state is State.VACANT


@dataclass
class HelperLife:
    """What a helper has said, and was told."""

    alive: bool = False
    ready: bool = False
    killed: bool = False
    proven: bool = False
    since: float = 0.0

    def check(self, helper: HelperState) -> None:
        """The helper is as it was told."""
        assert (helper.alive, helper.ready) == (self.alive, self.ready)
        assert (helper.killed, helper.proven) == (self.killed, self.proven)
        assert helper.since == self.since


@dataclass
class Ledger:
    """Messages that came, and how they and their jobs ended, as far as somebody said so."""

    received: int = 0
    polls: int = 0
    settled: dict[Settlement, int] = field(default_factory=lambda: dict.fromkeys(Settlement, 0))
    outcomes: dict[str, int] = field(default_factory=dict)
    ended_badly: int = 0
    lease_lost: int = 0

    def settle(self, report: Settled) -> None:
        self.settled[report.settlement] += 1
        if report.outcome:
            self.outcomes[report.outcome] = self.outcomes.get(report.outcome, 0) + 1
        self.ended_badly += report.bad
        self.lease_lost += report.lease_lost

    def check(self, queue: QueueState) -> None:
        """Messages of the dead end without a word of theirs, so the pool may know of more ends."""
        counts = queue.counts
        assert (counts.received, counts.polls) == (self.received, self.polls)
        assert counts.deleted >= self.settled[Settlement.DELETE]
        assert counts.released >= self.settled[Settlement.RELEASE]
        assert counts.dead_lettered >= self.settled[Settlement.DEAD_LETTER]
        assert counts.left >= self.settled[Settlement.LEAVE]
        assert (counts.ended_badly, counts.lease_lost) == (self.ended_badly, self.lease_lost)
        for name in ("succeeded", "retried", "rejected", "failed", "timed_out", "signalled"):
            assert getattr(counts, name) == self.outcomes.get(name, 0), name
        assert counts.stopped == self.outcomes.get("stopped", 0)


@dataclass
class QueueLife:
    """What was told of one queue, and asked of it.

    `newest`: what its newest poll came home with, at `home_at`; "none" is nothing, or outdated.
    `answered`: the present scout has said whether it is usable.
    """

    config: QueueConfig
    limit: float
    ledger: Ledger = field(default_factory=Ledger)
    depth: Depth | None = None
    sampled_at: float | None = None
    sampled_received: int = 0
    trouble: str = ""
    usable: bool = False
    answered: bool = False
    paused: bool = False
    newest: str = "none"
    home_at: float = -inf
    granted_at: float = -inf

    def ends_poll(self, newest: str, now: float, *, trouble: str = "") -> None:
        self.ledger.polls += 1
        self.newest, self.home_at, self.trouble = newest, now, trouble

    def known(self) -> int:
        """What the last sample counted, less what came since; negative: so many more came."""
        visible = self.depth.visible if self.depth else 0
        return visible - (self.ledger.received - self.sampled_received)

    def check(self, queue: QueueState) -> None:
        """The queue is as it was told."""
        assert (queue.name, queue.config) == (self.config.name, self.config.config)
        assert (queue.weight, queue.limit) == (self.config.weight, self.limit)
        assert (queue.depth, queue.sampled_at) == (self.depth, self.sampled_at)
        assert queue.sampled_received == self.sampled_received
        assert queue.trouble == self.trouble
        assert (queue.usable, queue.answered) == (self.usable, self.answered)
        assert queue.paused == self.paused
        self.ledger.check(queue)


@dataclass
class Account:
    """Everything that was told and asked for."""

    config: Config
    lives: list[Life]
    queues: list[QueueLife]
    helpers: dict[Role, HelperLife] = field(
        default_factory=lambda: {role: HelperLife() for role in Role}
    )
    orphans: dict[str, Orphan] = field(default_factory=dict)  # of dead dispatchers, by message
    denied: set[str] = field(default_factory=set)  # messages whose delete was denied once
    deaths: int = 0
    measured: tuple[float, float] = (inf, inf)
    paused: bool = False

    def follow(
        self, before: Pool, event: Event, after: Pool, effects: tuple[Effect, ...], now: float
    ) -> None:
        """One step: what has happened, then what the pool asks for."""
        match event:
            case DispatcherSaid(slot, report):
                self._said(self.lives[slot], report, now)
            case HelperSaid(role, word):
                self._helper_said(before, role, word, now)
            case SpawnFailed(slot):
                self.lives[slot] = Life(since=now)
            case HelperSpawnFailed(role) | HelperDied(role):
                self.helpers[role] = HelperLife(proven=self.helpers[role].proven)
                for queue in self.queues if role is Role.SCOUT else ():
                    queue.answered = False
                if event == HelperDied(role, getattr(event, "cause", "")) and role is Role.TEMPLATE:
                    self._gives_up_spawns(now)
            case Ended(slot):
                self.lives[slot].ended = True
            case Died(slot):
                self._died(self.lives[slot], event, now)
                self.lives[slot] = Life(since=now)
            case MemoryMeasured(available, total):
                self.measured = (available, total)
            case PauseAsked(paused, None):
                self.paused = paused
            case PauseAsked(paused, int(place)):
                self.queues[place].paused = paused
            case LimitAsked(place, limit):
                self.queues[place].limit = limit
            case _:
                pass
        while len(self.lives) < len(after.slots):
            self.lives.append(Life())
        for effect in effects:
            self._asked(effect, now)
        if after.level is Level.KILL:
            self._gives_up_spawns(now)

    def _gives_up_spawns(self, now: float) -> None:
        """A dispatcher that is not there yet is not waited for."""
        for number, life in enumerate(self.lives):
            if life.state is State.SPAWNING:
                self.lives[number] = Life(since=now)

    def _said(self, life: Life, report: Report, now: float) -> None:
        queue = self.queues[life.queue]
        match report:
            case Ready():
                life.becomes(State.IDLE, now)
            case Received(_, count):
                queue.ledger.received += count
                queue.ends_poll("message", now)
                life.ends_poll(count, now)
            case Empty():
                queue.ends_poll("empty", now)
                life.ends_poll(0, now)
            case PollFailed(error):
                queue.ends_poll("none", now, trouble=error)
                life.ends_poll(0, now)
            case Held():
                life.becomes(State.HOLDING, now)
            case Denied(_, place, message_id):
                life.denied.append(place)
                self.denied.add(message_id)
            case Troubled(error):
                life.trouble = error
            case Healed():
                life.trouble = ""
            case LeaseLost(place):
                life.lost.append(place)
            case Settled(place=place):
                queue.ledger.settle(report)
                for places in (life.places, life.denied, life.lost):
                    if place in places:
                        places.remove(place)
                if not life.places:
                    life.trouble = ""
                    life.becomes(State.IDLE, now)

    def _helper_said(self, before: Pool, role: Role, word: FromHelper, now: float) -> None:
        match word:
            case Forked(slot):
                self.lives[slot].becomes(State.BOOTING, now)
            case NotForked(slot):
                self.lives[slot] = Life(since=now)
            case Imported():
                self.helpers[role].ready = self.helpers[role].proven = True
            case Usable():
                queue = self.queues[word.queue]
                queue.trouble = queue.trouble if queue.usable else ""
                self._looked_up(queue, usable=True)
            case Unusable(place, _, why) if self.helpers[role].proven:  # else it ends the pool
                self.queues[place].trouble = why
                self._looked_up(self.queues[place], usable=False)
            case RecoveryDenied(number):
                orders = [each.order for each in before.recoveries if each.order.number == number]
                self.denied |= {order.message_id for order in orders}
            case Sampled(place, depth):
                self._sampled(before, place, depth, now)
            case Recovered(number, _, message_id):
                repeated = [each for each in before.recoveries if each.order.number == number]
                for each in repeated:
                    came = bool(each.order.receive_id and message_id)
                    self.queues[each.order.queue].ledger.received += came
            case _:
                pass

    def _looked_up(self, queue: QueueLife, *, usable: bool) -> None:
        """The first scout is ready when it has looked for all queues, others with the first."""
        queue.usable, queue.answered = usable, True
        scout = self.helpers[Role.SCOUT]
        if scout.proven or all(each.answered for each in self.queues):
            scout.ready = scout.proven = True

    def _sampled(self, before: Pool, place: int, depth: Depth, now: float) -> None:
        queue = self.queues[place]
        queue.depth, queue.sampled_at = depth, now
        queue.sampled_received = queue.ledger.received
        if depth.visible and not open_polls(before, place) and queue.newest == "empty":
            queue.newest = "none"

    def _died(self, life: Life, death: Died, now: float) -> None:
        self.deaths += death.exit.code != 0
        self.orphans |= {orphan.message_id: orphan for orphan in death.orphans}
        if life.state is not State.POLLING:
            return
        queue = self.queues[life.queue]
        queue.newest, queue.home_at = "none", now
        if death.orphans:  # its poll had come home
            queue.ledger.received += len(death.orphans)
            queue.ledger.polls += 1

    def _asked(self, effect: Effect, now: float) -> None:
        match effect:
            case SpawnHelper(role):
                self.helpers[role] = HelperLife(
                    alive=True, proven=self.helpers[role].proven, since=now
                )
            case KillHelper(role):
                self.helpers[role].killed = True
            case Spawn(slot):
                self.lives[slot].becomes(State.SPAWNING, now)
            case TerminateDispatcher(slot):
                life = self.lives[slot]
                life.leaving = True
                if life.state is State.IDLE:
                    life.becomes(State.IDLE, now)
            case KillDispatcher(slot):
                self.lives[slot].killed = True
            case Send(slot, Grant(most, queue=place)):
                self.lives[slot].becomes(State.POLLING, now)
                self.lives[slot].queue, self.lives[slot].asked = place, most
                self.queues[place].granted_at = now
            case Send(slot, Free()):
                self.lives[slot].becomes(State.WORKING, now)
            case Send(slot, Drain()):
                self.lives[slot].leaving = True
            case OrderScout(Recover() as order) if not order.receive_id:
                self.check_order(order)
            case _:
                pass

    # What must hold.

    def check_order(self, order: Recover) -> None:
        """Work that is done is never given back, and nothing is deleted that is not done."""
        orphan = self.orphans[order.message_id]
        is_done = orphan.intent is Settlement.DELETE or (
            orphan.exit is not None and orphan.exit.code == 0
        )
        assert is_done == (order.settlement is Settlement.DELETE)
        assert is_done or orphan.intent is None

    def check(self, pool: Pool) -> None:
        """What is told is in the pool's state."""
        assert [slot.number for slot in pool.slots] == list(range(len(self.lives)))
        for slot, life in zip(pool.slots, self.lives, strict=True):
            life.check(slot)
        self.helpers[Role.TEMPLATE].check(pool.template)
        self.helpers[Role.SCOUT].check(pool.scout)
        for told, queue in zip(self.queues, pool.queues, strict=True):
            told.check(queue)
        assert pool.dispatcher_deaths <= self.deaths
        assert pool.paused == self.paused
        assert (pool.memory.available, pool.memory.total) == self.measured
