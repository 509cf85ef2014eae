"""A second account of the pool, kept out of nothing but what was told and asked: what every field
ought to be.

It follows one event at a time, with the effects that the pool asked for. Where a field is the work
of another part of the core that has tests of its own (polling, emptiness, restarts), the account
feeds that part itself, so that what is checked is that the pool feeds it rightly.
"""

from dataclasses import dataclass, field, replace
from math import inf

from fleet.core import polling
from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.polling import QUICK, Polling
from fleet.core.pool import emptiness, restarts, scarcity
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    KillDispatcher,
    KillHelper,
    OrderScout,
    Send,
    Spawn,
    SpawnHelper,
    TellStack,
    TerminateDispatcher,
)
from fleet.core.pool.emptiness import Emptiness
from fleet.core.pool.events import (
    Died,
    Ended,
    Event,
    HelperDied,
    HelperSaid,
    HelperSpawnFailed,
    Measured,
    OrderNotTaken,
    Paused,
    Resized,
    Said,
    Scaled,
    SpawnFailed,
    StacksAsked,
    StopAsked,
    Tick,
)
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.restarts import Restarts
from fleet.core.pool.scarcity import Spawning
from fleet.core.pool.slot import BUSY_STATES, State
from fleet.core.pool.state import Counts, Level, Pool, PoolPhase, Refusal, Resize, Role
from fleet.core.protocol import (
    DeleteTried,
    Denied,
    Drain,
    Empty,
    Failed,
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
    Recover,
    Recovered,
    RecoveryDenied,
    Report,
    SampleDepth,
    Settled,
    Troubled,
    TryDelete,
    Usable,
)
from fleet.core.sizing import memory, rule, workload
from fleet.core.sizing.memory import Memory
from fleet.core.sizing.rule import Scene, Sizing
from fleet.core.sizing.workload import Workload

FULL_LENGTH = 0.9
LEASE_FOR_A_RELEASE = 5  # seconds of it that must be left
BOOKED = {
    Settlement.DELETE: "deleted",
    Settlement.RELEASE: "released",
    Settlement.DEAD_LETTER: "dead_lettered",
    Settlement.LEAVE: "left",
}
COUNTED = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.FAILED: "failed",
    Outcome.SIGNALLED: "signalled",
    Outcome.INTERRUPTED: "stopped",
}


@dataclass
class Life:
    """One slot, and the dispatcher in it."""

    state: State = State.VACANT
    since: float = 0.0
    born: float = inf
    leaving: bool = False
    killed: bool = False
    ended: bool = False
    crashes: int = 0
    not_before: tuple[float, float] = (0.0, 0.0)
    deaths: int = 0
    asked: int = 0
    places: list[int] = field(default_factory=list)
    denied: dict[int, Denied] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    trouble: str = ""

    def becomes(self, state: State, now: float) -> None:
        self.state, self.since = state, now

    def is_vacant(self, now: float) -> None:
        crashes, deaths = self.crashes, self.deaths
        self.__init__(since=now, crashes=crashes, not_before=self.not_before, deaths=deaths)  # type: ignore[misc]


@dataclass
class HelperLife:
    """A helper, and how often it died in a row."""

    alive: bool = False
    ready: bool = False
    killed: bool = False
    proven: bool = False
    since: float = 0.0
    crashes: int = 0
    not_before: tuple[float, float] = (0.0, 0.0)
    heard: float = 0.0
    silent_since: float = inf
    full: bool = False
    refused: bool = False


@dataclass
class Trial:
    """The probe: between when it may be tried next."""

    message_id: str
    tries: int = 0
    at: tuple[float, float] = (0.0, 0.0)
    waiting: bool = False


@dataclass
class Order:
    """A recovery that is open."""

    number: int
    slot: int
    message_id: str
    lease_until: float
    settlement: Settlement
    receive_id: str = ""
    given: int = 0
    waiting: bool = False
    denied: bool = False

    @property
    def is_poll(self) -> bool:
        """To be repeated: whether it brought anything is not known."""
        return bool(self.receive_id)

    def is_hopeless(self, now: float) -> bool:
        """A release is tried once, and with enough of the lease left; a poll is repeated while it
        helps.
        """
        if self.settlement is not Settlement.RELEASE or self.waiting:
            return False
        if self.is_poll:
            return now >= self.lease_until
        return self.given > 0 or self.lease_until - now <= LEASE_FOR_A_RELEASE


@dataclass
class Account:
    """What ought to be in the books."""

    config: Config
    desired: int
    lives: list[Life]
    helpers: dict[Role, HelperLife] = field(
        default_factory=lambda: {role: HelperLife() for role in Role}
    )
    counts: Counts = field(default_factory=Counts)
    polling: Polling = field(default_factory=Polling)
    emptiness: Emptiness = field(default_factory=Emptiness)
    restarts: Restarts = field(default_factory=Restarts)
    spawning: Spawning = field(default_factory=Spawning)
    depth: Depth | None = None
    sampled_at: float | None = None
    sampled_received: int = 0
    trouble: str = ""
    refused: Refusal | None = None
    denial: Refusal | None = None
    probe: Trial | None = None
    unconfirmed: int = 0
    gone: str = ""
    paused: bool = False
    held: bool = False
    last_resize: Resize | None = None
    sizing: Sizing = field(default_factory=Sizing)
    memory: Memory = field(default_factory=Memory)
    jobs_have: float = 0.0
    jobs_until: float = inf
    kill_at: float = inf
    ends_at: float = inf
    dead_polls: list[float] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    recoveries: int = 0  # ever begun
    level: Level | None = None
    signalled_at: float = -inf
    stopping_since: float | None = None
    code: int | None = None
    emptied: bool = False  # why it stops
    counted: bool = False
    stacks_at: float = inf

    def follow(
        self,
        before: Pool,
        event: Event,
        after: Pool,
        effects: tuple[Effect, ...],
        now: float,
        jitter: float,
    ) -> None:
        """One step."""
        self.happened(before, event, now, jitter)
        if before.phase is PoolPhase.BOOTING and after.template.ready and after.scout.ready:
            self.ends_at = now + self.config.max_seconds
        self.stopped(before, event, after, now)
        while len(self.lives) < len(after.slots):
            self.lives.append(Life())
        for effect in effects:
            self.asked(effect, now)
        for order in list(self.orders):
            if after.level is Level.KILL or order.is_hopeless(now):
                self.orders.remove(order)
                if not order.is_poll:
                    self.is_left(after.level, order)
        if self.denial and not self.probe and not self.is_pending:
            self.denial = None
        if after.level is Level.KILL:  # a dispatcher that is not there yet is given up
            for life in self.lives:
                if life.state is State.SPAWNING:
                    life.is_vacant(now)
        self.dead_polls = [until for until in self.dead_polls if until > now]

    @property
    def is_pending(self) -> bool:
        """Somebody has a message in hand whose delete is denied."""
        return any(life.denied for life in self.lives) or any(order.denied for order in self.orders)

    def denies(self, why: str, now: float) -> None:
        self.denial = self.denial or Refusal(now, why)

    def gives_up(self, message_id: str) -> None:
        self.probe = self.probe or Trial(message_id)

    def count(self, **more: int) -> None:
        self.counts = replace(
            self.counts, **{name: getattr(self.counts, name) + by for name, by in more.items()}
        )

    # What has happened.

    def happened(self, before: Pool, event: Event, now: float, jitter: float) -> None:
        is_sample = isinstance(event, HelperSaid) and isinstance(event.word, Depth)
        is_time = isinstance(event, Tick) and before.phase is PoolPhase.RUNNING
        if isinstance(event, Said | Died) or is_sample or is_time:
            self.works(
                workload.pass_time(self.sizing.work, self.busy, now, self.config.target_wait)
            )
        if isinstance(event, Tick):
            self.listens(now)
        match event:
            case Said(slot, report):
                self.said(before, self.lives[slot], report, now, jitter)
            case HelperSaid(role, word):
                self.helper_said(before, role, word, now, jitter)
            case OrderNotTaken(Recover(number)):
                self.helpers[Role.SCOUT].full = True
                for order in self.orders:
                    if order.number == number:
                        order.given, order.waiting = order.given - 1, False
            case OrderNotTaken(TryDelete()):
                self.probe_is_denied(now)
            case SpawnFailed(slot):
                self.lives[slot].is_vacant(now)
                self.spawning = scarcity.note_failure(self.spawning, now, jitter)
            case HelperSpawnFailed(role):
                old = self.helpers[role]
                self.helpers[role] = HelperLife(proven=old.proven, crashes=old.crashes)
                self.spawning = scarcity.note_failure(self.spawning, now, jitter)
            case Ended(slot):
                self.lives[slot].ended = True
            case Died(slot):
                self.died(before, self.lives[slot], event, now, jitter)
            case HelperDied(role):
                self.helper_died(role, now)
            case Measured(available, total, taken):
                self.memory = replace(
                    self.memory, available=available, total=total, taken=taken, at=now
                )
                polls = sum(life.state is State.POLLING for life in self.lives)
                found = memory.jobs_that_fit(self.memory, self.busy, polls)
                asking = self.busy + polls > 0
                self.memory = replace(
                    self.memory, short=found is not None and found <= 0 and asking
                )
            case StacksAsked():
                self.stacks_at = min(self.stacks_at, now + 0.5)
            case Resized(by):
                self.held = True
                least, most = self.config.bounds or (1, 1024)
                self.wants(min(most, max(least, self.desired + by)), "a signal asked for it")
            case Scaled(to):
                least, most = self.config.bounds or (1, 1024)
                if to is None and self.config.bounds:
                    self.held = False
                if to is not None and least <= to <= most:
                    self.held = True
                    self.wants(to, "an operator asked for it")
            case Paused(wanted) if wanted is not self.paused:
                self.paused, self.refused = wanted, None

    def helper_said(
        self, before: Pool, role: Role, word: FromHelper, now: float, jitter: float
    ) -> None:
        if role is Role.SCOUT and not isinstance(word, Failed):
            scout = self.helpers[Role.SCOUT]
            scout.heard, scout.silent_since, scout.full = now, inf, False
        match word:
            case Forked(slot):
                life = self.lives[slot]
                life.born = now
                life.becomes(State.BOOTING, now)
                self.spawning = Spawning()
            case NotForked(slot):
                self.lives[slot].is_vacant(now)
                self.spawning = scarcity.note_failure(self.spawning, now, jitter)
            case Imported() | Usable():
                helper = self.helpers[role]
                helper.ready, helper.proven, helper.crashes = True, True, 0
                self.spawning = Spawning()
            case Failed() if self.helpers[role].proven or self.level is not None:
                self.helpers[role].refused = self.helpers[role].alive
            case Depth():
                self.polling = polling.note_answer(self.polling)
                self.depth, self.sampled_at = word, now
                self.sampled_received = before.counts.received
                self.polling = polling.note_sample(self.polling, word.visible, before.size)
                self.emptiness = emptiness.note_sample(self.emptiness, now, word.total)
                self.is_sized(before, word, now, jitter)
            case Recovered(number, how, message_id):
                for order in self.orders:
                    if order.number == number:
                        self.orders.remove(order)
                        if how is not Settlement.LEAVE:
                            self.polling = polling.note_answer(self.polling)
                        self.answered(order, how, message_id, before.level)
                        break
            case RecoveryDenied(number, why):
                for order in self.orders:
                    if order.number == number:
                        order.denied = True
                        self.denies(why, now)
            case DeleteTried(denied=False, deleted=deleted):
                self.unconfirmed -= bool(deleted and self.probe and self.unconfirmed)
                self.probe = None
            case DeleteTried():
                self.probe_is_denied(now)

    def probe_is_denied(self, now: float) -> None:
        if self.probe:
            least = min(30.0, 2.0**self.probe.tries) / 2
            self.probe.tries, self.probe.waiting = self.probe.tries + 1, False
            self.probe.at = (now + least, now + 2 * least)

    def listens(self, now: float) -> None:
        """For the scout: it samples, unless it has orders or a queue to find; then it says each
        time that it tries.
        """
        scout = self.helpers[Role.SCOUT]
        samples = scout.ready and not scout.full and not any(order.waiting for order in self.orders)
        patience = 20 + (self.config.sample_interval * 1.25 if samples else 0)
        if (
            scout.alive
            and not scout.killed
            and scout.silent_since == inf
            and now >= scout.heard + patience
        ):
            scout.silent_since = now

    @property
    def busy(self) -> int:
        return sum(life.state in BUSY_STATES for life in self.lives)

    def works(self, work: Workload) -> None:
        self.sizing = replace(self.sizing, work=work)

    def is_sized(self, before: Pool, depth: Depth, now: float, jitter: float) -> None:
        """The sample's consequence, in a pool with bounds."""
        config = self.config
        if config.bounds is None:
            return
        if self.held or before.phase is not PoolPhase.RUNNING:
            self.sizing = Sizing(self.sizing.work)
            return
        states = [(life.state, now - life.since) for life in self.lives]
        spare = any(
            state is State.IDLE or (state is State.POLLING and age >= QUICK)
            for state, age in states
        )
        held = sum(len(life.places) for life in self.lives)
        scene = Scene(
            self.desired,
            before.size,
            self.busy,
            spare,
            memory.jobs_that_fit(self.memory, self.busy),
            held,
        )
        self.sizing, size = rule.decide(self.sizing, depth, scene, config, now, jitter)
        self.wants(size, self.sizing.why)

    def polled(self, took: float | None) -> None:
        self.sizing = rule.note_poll(self.sizing, took)

    def wants(self, size: int, why: str) -> None:
        if size != self.desired:
            self.last_resize = Resize(self.desired, size, why)
            self.desired = size

    def said(self, before: Pool, life: Life, report: Report, now: float, jitter: float) -> None:
        match report:
            case Ready():
                life.born = min(life.born, now)
                life.becomes(State.IDLE, now)
                self.spawning = Spawning()
            case Received(took, count):
                self.is_answered(before)
                self.polling = polling.note_hit(self.polling, took, before.size)
                self.emptiness = emptiness.note_message()
                self.count(received=count, polls=1)
                life.asked, life.places = 0, list(range(count))
                self.polled(took)
                life.becomes(State.WORKING, now)
            case Empty(took):
                self.is_answered(before)
                self.polled(None)
                full = took >= min(self.config.wait_time, self.polling.cuts.longest) * FULL_LENGTH
                self.polling = polling.note_empty(self.polling, now, took)
                self.emptiness = emptiness.note_empty_poll(self.emptiness, life.since, full)
                self.count(polls=1)
                life.asked = 0
                life.becomes(State.IDLE, now)
            case PollFailed(error, unanswered, refused, answered, took):
                if refused:
                    self.refused = Refusal(self.refused.since if self.refused else now, error)
                if unanswered:
                    self.dead_polls.append(life.since + self.config.wait_time + 1)
                self.trouble = error
                self.polled(None)
                backed_off = self.polling.failures > 0 and now < self.polling.not_before
                self.polling = polling.note_failure(self.polling, now, jitter, answered=answered)
                if unanswered:
                    self.polling = polling.note_cut(self.polling, now, took, self.config.wait_time)
                self.count(polls=1, pauses=int(not backed_off))
                life.asked = 0
                life.becomes(State.IDLE, now)
            case Held():
                life.becomes(State.HOLDING, now)
            case Denied(error, place=place):
                life.denied[place] = report
                self.denies(error, now)
            case Troubled(error):
                life.trouble = error
            case Healed():
                life.trouble = ""
                self.polling = polling.note_answer(self.polling)
            case LeaseLost(place):
                life.lost.append(place)
            case Settled(
                how,
                what,
                _,
                bad,
                starved,
                lease_lost,
                hidden_for,
                used,
                place,
                unconfirmed,
                gone=gone,
            ):
                self.unconfirmed += unconfirmed
                self.gone = gone or self.gone
                if how is not Settlement.LEAVE:
                    self.polling = polling.note_answer(self.polling)
                if how in (Settlement.DELETE, Settlement.DEAD_LETTER) and self.probe:
                    self.probe.tries, self.probe.at = 0, (0.0, 0.0)
                elif (
                    how not in (Settlement.DELETE, Settlement.DEAD_LETTER) and place in life.denied
                ):
                    self.gives_up(life.denied[place].message_id)
                life.denied.pop(place, None)
                life.lost = [each for each in life.lost if each != place]
                self.works(workload.note_end(self.sizing.work, self.busy, hidden_for))
                if used is not None:
                    self.memory = memory.note_job(self.memory, used)
                self.count(**{BOOKED[how]: 1}, ended_badly=int(bad), lease_lost=int(lease_lost))
                if what:
                    self.count(**{COUNTED[what]: 1})
                    life.crashes = 0
                    self.restarts, self.polling = Restarts(), polling.end_starvation(self.polling)
                elif starved:
                    self.polling = polling.note_starvation(self.polling, now, jitter)
                    self.count(pauses=1)
                life.places.remove(place)
                if not life.places:
                    life.trouble = ""
                    life.becomes(State.IDLE, now)

    def is_answered(self, before: Pool) -> None:
        """A poll was; what was not confirmed until then is done again, or was: nobody asks any
        more.
        """
        self.trouble, self.refused, self.gone = "", None, ""
        if (
            before.phase is PoolPhase.RUNNING
            and self.config.max_jobs is None
            and self.config.max_seconds == inf
        ):
            self.unconfirmed = 0

    def died(self, before: Pool, life: Life, death: Died, now: float, jitter: float) -> None:
        orphans = {orphan.place: orphan for orphan in death.orphans}
        if life.state is State.POLLING and not orphans:
            over = life.since + self.config.wait_time + 1
            self.dead_polls.append(over)
            if death.receive_id:
                until, slot = over + self.config.first_lease, self.lives.index(life)
                self.orders.append(
                    Order(self.recoveries, slot, "", until, Settlement.RELEASE, death.receive_id)
                )
                self.recoveries += 1
        else:
            if life.state is State.POLLING:  # its poll had come home
                life.places = list(orphans)
                self.count(received=len(orphans), polls=1)
                self.emptiness = emptiness.note_message()
            for place in life.places:
                denied = life.denied.get(place)
                if place in orphans:
                    self.inherited(life, orphans[place], before.level, now, denied=bool(denied))
                    continue
                settled = death.settled[place]
                if denied and settled is Settlement.LEAVE:
                    self.gives_up(denied.message_id)
                    self.unconfirmed += 1
                    self.count(left=1)
                    continue
                self.ended_as(settled, before.level)
        if death.exit.code == 0:
            life.crashes = 0
            life.is_vacant(now)
            return
        if death.exit.code == 71:  # the host had too little of something
            life.is_vacant(now)
            self.spawning = scarcity.note_failure(self.spawning, now, jitter)
            return
        self.count(dispatcher_deaths=1)
        if before.level is Level.KILL and life.killed:
            life.is_vacant(now)
        else:
            self.crashed(life, death.cause, now)

    def inherited(
        self, life: Life, orphan: Orphan, level: Level | None, now: float, *, denied: bool = False
    ) -> None:
        """A message whose dispatcher died."""
        number, self.recoveries = self.recoveries, self.recoveries + 1
        slot, until = self.lives.index(life), orphan.lease_until
        done = orphan.intent is Settlement.DELETE or orphan.exit == Exit(code=0)
        untouched = orphan.intent is None and (orphan.exit is None or orphan.exit.signal)
        order = Order(number, slot, orphan.message_id, until, Settlement.DELETE, denied=denied)
        if done and level is Level.KILL:
            self.is_left(level, order)
        elif done:
            self.orders.append(order)
        elif level is not Level.KILL and untouched and until - now > LEASE_FOR_A_RELEASE:
            self.orders.append(Order(number, slot, orphan.message_id, until, Settlement.RELEASE))
        else:
            self.is_left(level)

    def answered(self, order: Order, how: Settlement, message_id: str, level: Level | None) -> None:
        """A poll that brought nothing was no message."""
        if order.is_poll and not message_id:
            return
        if order.is_poll:
            self.count(received=1)
            self.emptiness = emptiness.note_message()
        self.ended_as(how, level, order)

    def ended_as(self, how: Settlement, level: Level | None, order: Order | None = None) -> None:
        if how is Settlement.LEAVE:
            self.is_left(level, order)
        else:
            self.count(**{BOOKED[how]: 1})

    def is_left(self, level: Level | None, order: Order | None = None) -> None:
        """Its job may have been done: then only the delete is missing."""
        self.count(left=1)
        if order and order.settlement is Settlement.DELETE:
            self.unconfirmed += 1
            if order.denied:
                self.gives_up(order.message_id)
        elif level is Level.KILL:
            self.code = 7

    def crashed(self, life: Life, cause: str, now: float) -> None:
        life.crashes = 1 if now - life.born >= restarts.STABLE else life.crashes + 1
        life.deaths += 1
        life.not_before = (
            now + restarts.delay(life.crashes, 0),
            now + restarts.delay(life.crashes, 1),
        )
        life.is_vacant(now)
        self.restarts = restarts.note_crash(self.restarts, now, cause)

    def helper_died(self, role: Role, now: float) -> None:
        old = self.helpers[role]
        times = old.crashes + 1
        most = 2.0 if old.proven and not old.refused else inf
        wait = (
            now + min(most, restarts.delay(times, 0)),
            now + min(most, restarts.delay(times, 1)),
        )
        self.helpers[role] = HelperLife(proven=old.proven, crashes=times, not_before=wait)
        for life in self.lives:
            if role is Role.TEMPLATE and life.state is State.SPAWNING:
                life.is_vacant(now)
        if role is Role.SCOUT:
            for order in self.orders:
                order.waiting = False
            if self.probe:
                self.probe.waiting = False

    # The end.

    def stopped(self, before: Pool, event: Event, after: Pool, now: float) -> None:
        """How hard the pool stops now, and why it began to."""
        level_before = self.level
        if before.phase is not PoolPhase.STOPPED and isinstance(event, StopAsked):
            if event.by_signal:
                self.signalled(event.level, now)
            else:  # as hard as it says, however often
                self.level, self.code = max(event.level, self.level or event.level), self.code or 0
        if self.level is None and after.level is not None:  # it stops by itself
            self.level, self.code = Level.DRAIN, self.reason(before, event, now)
        if self.level is not None and self.stopping_since is None:
            self.stopping_since = now
        if before.phase is not PoolPhase.STOPPED:
            self.hurried(level_before, isinstance(event, StopAsked), now)
        if after.level is Level.KILL and now >= self.kill_at:
            self.level = Level.KILL
        if after.phase is PoolPhase.STOPPED and before.phase is not PoolPhase.STOPPED:
            self.ended()

    def ended(self) -> None:
        """What the last polls brought has its say about the exit status."""
        if self.emptied and self.code in (0, 6):
            self.code = 5 if self.denial else 6 if self.counts.ended_badly else 0
        if self.counted and self.code == 0 and (self.denial or self.gone):
            self.code = 5
        if self.code == 0 and self.unconfirmed:
            self.code = 8

    def hurried(self, level_before: Level | None, asked: bool, now: float) -> None:
        """What running jobs have now: what they had, or less if somebody asks for a stop."""
        config = self.config
        if self.level is None or (self.level == level_before and not asked):
            return
        seconds = config.drain_timeout if self.level is Level.DRAIN else 0.0
        if (
            level_before is None
            and self.code == 0
            and not asked
            and now >= self.ends_at
            and config.job_timeout < inf
        ):
            seconds = max(seconds, config.job_timeout)
        if self.level == level_before and now + seconds >= self.jobs_until:
            return
        self.jobs_have, self.jobs_until = seconds, now + seconds
        after = (
            2 + (config.on_failure is not None)
        ) * config.exit_timeout  # a handler's two tries, and the hook
        longest = config.wait_time + max(seconds, config.exit_timeout) + after + 10
        self.kill_at = min(self.kill_at, now + longest)

    def signalled(self, asked: Level, now: float) -> None:
        if self.signalled_at == -inf:
            level = max(asked, self.level or asked)
        elif self.level is not None and asked <= self.level and now - self.signalled_at <= 1:
            return
        else:
            level = max(asked, Level(min(3, (self.level or 0) + 1)))
        self.signalled_at, self.level = now, level
        self.code = self.code or 0

    def is_hopeless(self, now: float) -> bool:
        """It would not end by itself."""
        waits = (
            self.config.until_empty
            or self.config.max_jobs is not None
            or self.config.max_seconds < inf
        )
        return waits and any(
            each and now >= each.since + 60 for each in (self.denial, self.refused)
        )

    def reason(self, before: Pool, event: Event, now: float) -> int:
        match event:
            case HelperSaid(role, Failed(code)) if not self.helpers[role].proven:
                return code
            case HelperDied(role) if not self.helpers[role].proven:
                return 4 if role is Role.TEMPLATE else 1
            case Died() if restarts.is_hopeless(self.restarts, self.desired):
                return 3
        if self.is_hopeless(now) and now < before.ends_at:
            return 5
        emptied = self.config.until_empty and emptiness.is_reached(
            self.emptiness, self.config.empty_for
        )
        self.emptied, self.counted = emptied, not emptied
        return 6 if emptied and self.counts.ended_badly else 0

    # What was asked.

    def asked(self, effect: Effect, now: float) -> None:
        match effect:
            case SpawnHelper(role):
                old = self.helpers[role]
                self.helpers[role] = HelperLife(
                    alive=True, proven=old.proven, since=now, crashes=old.crashes, heard=now
                )
            case AskStack(Role() as role):
                self.helpers[role].silent_since = now
            case KillHelper(role):
                self.helpers[role].killed = True
            case Spawn(slot):
                self.lives[slot].becomes(State.SPAWNING, now)
            case OrderScout(Recover(number)):
                (order,) = (order for order in self.orders if order.number == number)
                if not any(each.waiting for each in self.orders):
                    self.helpers[Role.SCOUT].heard = now
                order.given, order.waiting = order.given + 1, True
            case OrderScout(TryDelete()) if self.probe:
                self.probe.waiting = True
            case OrderScout(SampleDepth()):
                self.sizing = replace(self.sizing, asked=True)
            case TellStack(None):
                self.stacks_at = inf
            case TerminateDispatcher(slot):
                life = self.lives[slot]
                life.leaving = True
                if life.state is State.IDLE:
                    life.becomes(State.IDLE, now)
            case KillDispatcher(slot):
                self.lives[slot].killed = True
            case Send(slot, Grant(most, longest)):
                assert longest == (
                    inf if now >= self.polling.cuts.again_at else self.polling.cuts.longest
                )
                self.polling = polling.note_grant(self.polling, now)
                self.lives[slot].becomes(State.POLLING, now)
                self.lives[slot].asked = most
            case Send(slot, Free()):
                self.lives[slot].becomes(State.WORKING, now)
            case Send(slot, Drain()):
                self.lives[slot].leaving = True
