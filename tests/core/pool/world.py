"""A host for the pool's model: kernel, helpers, dispatchers, clock; and the master's shell.

The shell decides nothing. What a word or a death means for the children is the registry's to say
(`fleet/core/pool/children.py`), as it is in `fleet/master/children.py`; the order is that of
`fleet/master/loop.py`: words of one channel in their order, then deaths, signals, a Tick after all
the rest, and the sweep. Whatever the kernel may do is the model's choice: how late a word or a
death is heard, how long what is killed takes to go, how much time passes, who dies.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from fleet.core.config import Config
from fleet.core.depth import Depth
from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool import births, machine, reaping, state
from fleet.core.pool.children import (
    ChildEffect,
    Children,
    HangUp,
    HearLast,
    KillJobs,
    PendingDeath,
    Source,
)
from fleet.core.pool.deadlines import wakes_at
from fleet.core.pool.effects import (
    AskStack,
    Effect,
    Inspect,
    KillDispatcher,
    KillHelper,
    Log,
    LogHung,
    OrderScout,
    Send,
    Spawn,
    SpawnHelper,
    TellStack,
    TerminateDispatcher,
)
from fleet.core.pool.events import (
    Died,
    DispatcherSaid,
    Event,
    HelperSaid,
    HelperSpawnFailed,
    OrderNotTaken,
    RecordRead,
    ResizeAsked,
    SpawnFailed,
    StacksAsked,
    StopAsked,
    Tick,
)
from fleet.core.pool.state import Level, Pool, PoolPhase, Role
from fleet.core.protocol import Failed, Forked, FromHelper, Grant, Imported, NotForked, Ready, Word
from fleet.core.queue_config import QueueConfig
from fleet.core.queue_place import QueuePlace
from fleet.core.scout_protocol import (
    DeleteTried,
    Recover,
    Recovered,
    RecoveryDenied,
    Sampled,
    SampleDepth,
    ScoutOrder,
    TryDelete,
    Trying,
    Unusable,
    Usable,
)
from fleet.core.slot_state import State
from tests.core.pool.dispatchers import Channel, Choice, Dispatcher, Record, Stage

KILLED = Exit(signal=9)

Watch = Callable[[Pool, Event, Pool, tuple[Effect, ...]], None]


@dataclass
class Helper:
    """The template's or the scout's process."""

    pid: int
    words: list[FromHelper] = field(default_factory=list)
    ready: bool = False
    alive: bool = True
    asked: list[tuple[int, Channel]] = field(default_factory=list)  # the template's orders
    unnamed: list[Forked] = field(default_factory=list)  # forked, and not said yet
    orders: list[Recover] = field(default_factory=list)  # the scout's
    probes: list[TryDelete] = field(default_factory=list)
    looked_up: int = 0  # queues, by the scout
    unusable: set[int] = field(default_factory=set)  # of those

    def said(self) -> list[FromHelper]:
        """What it has said since the last time."""
        words, self.words = self.words, []
        return words

    def takes(self, order: ScoutOrder) -> None:
        """The scout is given an order."""
        match order:
            case Recover():
                self.orders.append(order)
            case TryDelete():
                self.probes.append(order)


@dataclass
class World:
    """Everything there is."""

    queues: Sequence[QueueConfig]
    config: Config
    watch: Watch
    jitter: float = 0.5
    now: float = 1000.0
    room: int = 8  # orders that a helper's channel holds
    starving: bool = False  # the host has no process to give to the master

    def __post_init__(self) -> None:
        self.pool = state.new(self.config, self.queues)
        self.judged = self.now
        self.processes: dict[int, Dispatcher] = {}
        self.helpers: dict[Role, Helper] = {}
        self.dead: list[tuple[int, Exit]] = []  # zombies, oldest first
        # By pid, the queue, and until when the server serves it.
        self.polls_of_the_dead: dict[int, tuple[int, float]] = {}
        self.signals: list[Event] = []
        self.channels: dict[int, Channel] = {}
        self.known = Children(queues=len(self.queues))
        self.told: dict[int, int] = {}  # slot → pid, of the dispatchers that the pool was told of
        self.last_pid = 100
        self.take(Tick())

    # The clock.

    def wakes_at(self) -> float:
        """Until when the master would sleep."""
        return wakes_at(self.pool, self.judged)

    def new_pid(self) -> int:
        self.last_pid += 1
        return self.last_pid

    # The kernel.

    def dies(self, pid: int, how: Exit, record: Record | None = None) -> None:
        """A process ends; its parent may look later.

        `record`: the last it wrote, if it was more than it had said.
        """
        if process := self.processes.get(pid):
            process.leaves_behind(record or Record(), self.now)
            process.receive_id = process.asks_by()
            if process.stage is Stage.POLLING and not process.orphans:
                self.polls_of_the_dead[pid] = (process.queue, process.poll_until)
            process.stage = Stage.GONE
        for helper in self.helpers.values():
            if helper.pid == pid:
                helper.alive = False
        self.dead.append((pid, how))

    def dispatcher_moves(self, process: Dispatcher, choice: Choice) -> None:
        if process.moves(choice, self.now):
            self.dies(process.pid, Exit(code=0))

    def running(self) -> list[Dispatcher]:
        """The dispatchers that are alive."""
        return [process for process in self.processes.values() if process.stage is not Stage.GONE]

    def eager(self) -> list[Dispatcher]:
        """Those who have something to do."""
        return [process for process in self.running() if process.has_something_to_do()]

    def open_polls(self, queue: int) -> int:
        """What the server has open for this host on a queue, as far as it matters: of the living,
        and of the dead.
        """
        alive = sum(
            process.stage is Stage.POLLING and process.queue == queue for process in self.running()
        )
        cut = sum(
            process.cut_until > self.now and process.cut_queue == queue
            for process in self.processes.values()
        )
        dead = self.polls_of_the_dead.values()
        return alive + cut + sum(until > self.now and at == queue for at, until in dead)

    def dead_polls(self, queue: int) -> int:
        """Those of them whose dispatchers' deaths the master knows of, and those that he knows to
        have been cut.
        """
        untold = set(self.told.values())
        polling = {
            pid for slot, pid in self.told.items() if self.pool.slots[slot].state is State.POLLING
        }
        cut = sum(
            each.cut_until > self.now and pid not in polling and each.cut_queue == queue
            for pid, each in self.processes.items()
        )
        return cut + sum(
            until > self.now and pid not in untold and at == queue
            for pid, (at, until) in self.polls_of_the_dead.items()
        )

    # The helpers.

    def helper(self, role: Role) -> Helper | None:
        """Its process, if it is alive."""
        helper = self.helpers.get(role)
        return helper if helper and helper.alive else None

    def helper_moves(self, role: Role, good: bool) -> None:
        """Import or look the queues up; then fork, or count."""
        helper = self.helper(role)
        if helper is None:
            return
        if role is Role.SCOUT:
            self.scout_looks_up(helper, good)
        elif helper.ready:
            self.template_forks(helper, good)
        else:
            helper.ready = True
            helper.words.append(Imported(0.1, []))

    def scout_looks_up(self, scout: Helper, good: bool) -> None:
        """One queue after the other; one of several that cannot be used is tried again later."""
        scout.ready = True
        place = scout.looked_up
        if place < len(self.queues):
            scout.looked_up += 1
        elif scout.unusable and good:
            place = min(scout.unusable)
        else:
            return
        if good or len(self.queues) == 1:
            scout.unusable.discard(place)
            found = QueuePlace(self.queues[place].name, "http://127.0.0.1:1/", "x")
            scout.words.append(Usable(found, [], queue=place))
        else:
            scout.unusable.add(place)
            scout.words.append(Unusable(place, (5, 69)[place % 2], "it cannot be used"))

    def helper_fails(self, role: Role) -> None:
        """It says that it cannot do its part, and leaves."""
        if (helper := self.helper(role)) and not helper.ready:
            helper.words.append(Failed(4 if role is Role.TEMPLATE else 5, "it cannot"))
            self.dies(helper.pid, Exit(code=0))

    def scout_counts(self, depth: tuple[int, int, int], number: int = 0) -> None:
        """The messages of one queue."""
        place = number % len(self.queues)
        scout = self.helper(Role.SCOUT)
        if scout and place < scout.looked_up and place not in scout.unusable:
            scout.words.append(Sampled(place, Depth(*depth)))

    def scout_tries(self) -> None:
        """Again, or it cannot count."""
        if scout := self.helper(Role.SCOUT):
            scout.words.append(Trying())

    def scout_is_denied(self) -> None:
        """The delete that it was ordered to make, and the probe."""
        if scout := self.helper(Role.SCOUT):
            scout.words += [
                RecoveryDenied(w.number, "denied")
                for w in scout.orders
                if w.settlement is Settlement.DELETE
            ]
            self.scout_probes(denied=True)

    def scout_probes(self, denied: bool) -> None:
        if (scout := self.helper(Role.SCOUT)) and scout.probes:
            deleted, place = not denied and scout.pid % 2 == 0, scout.probes.pop(0).queue
            scout.words.append(DeleteTried(denied, deleted, queue=place))

    def scout_settles(self, good: bool) -> None:
        """The oldest order; a scout that died may have done it.

        Every third poll had brought nothing.
        """
        if (scout := self.helper(Role.SCOUT)) and scout.orders:
            order = scout.orders.pop(0)
            found = ("found", 2) if order.receive_id and order.number % 3 else ("", 0)
            nothing = order.receive_id and not found[0]
            how = order.settlement if good and not nothing else Settlement.LEAVE
            scout.words.append(Recovered(order.number, how, *found))

    def template_forks(self, template: Helper, good: bool) -> None:
        """One request at a time: the fork, then the name; the dispatcher may be quicker than its
        name.
        """
        if template.unnamed:
            template.words.append(template.unnamed.pop())
        elif template.asked:
            slot, channel = template.asked.pop(0)
            if not good:
                template.words.append(NotForked(slot, "no process"))
                return
            pid = self.new_pid()
            self.processes[pid] = Dispatcher(pid, slot, channel, self.queues)
            template.unnamed.append(Forked(slot, pid))

    # The master's loop.

    def master_wakes(self, deaf: frozenset[object] = frozenset()) -> None:
        """One turn; what it is deaf to arrives later: what a slot's dispatcher or a helper says,
        "signals", "deaths", and the end of what a "sweep" has killed.
        """
        if self.pool.phase is PoolPhase.STOPPED:
            return
        until = self.wakes_at()
        happened: list[Event] = []
        for role in list(self.helpers):
            if role not in deaf:
                happened += self.last_words(role)
        for slot in list(self.channels):
            if slot not in deaf:
                happened += self.last_words(slot)
        if "deaths" not in deaf:
            happened += self.reap()
        if "signals" not in deaf:
            happened += self.signals
            self.signals = []
        if self.now >= until or not happened:
            happened.append(Tick())
        for event in happened:
            self.take(event)
        for event in self.sweep(slow="sweep" in deaf):
            self.take(event)

    def hear(self, source: Source, words: Sequence[Word]) -> list[Event]:
        """What words mean. Nobody says here what cannot be."""
        happened: list[Event] = []
        effects: list[ChildEffect] = []
        for word in words:
            update = births.hear(self.known, source, word, self.is_child)
            self.known = update.children
            happened += update.events
            effects += update.effects
        assert not self.known.distrusted
        return happened + self.act_on_children(effects)

    def last_words(self, source: Source) -> list[Event]:
        """What a channel still holds."""
        if isinstance(source, Role):
            return self.hear(source, self.helpers[source].said())
        channel = self.channels.get(source)
        return self.hear(source, channel.said()) if channel else []

    def reap(self) -> list[Event]:
        happened: list[Event] = []
        for pid, how in self.dead:
            for role, helper in list(self.helpers.items()):
                if helper.pid == pid:
                    happened += self.last_words(role)
            update = reaping.reap(self.known, pid, how, str(how))
            self.known = update.children
            happened += [*update.events, *self.act_on_children(update.effects)]
        self.dead = []
        self.known = reaping.end_reaping(self.known)
        return happened

    def act_on_children(self, effects: Iterable[ChildEffect]) -> list[Event]:
        happened: list[Event] = []
        for effect in effects:
            match effect:
                case HearLast(slot):
                    happened += self.last_words(slot)
                case HangUp(Role() as role):
                    del self.helpers[role]
                case HangUp(int(slot)):
                    self.hang_up(slot)
                case KillJobs():
                    pass
                case _:
                    raise AssertionError(effect)
        return happened

    def sweep(self, slow: bool) -> list[Event]:
        """Strangers are killed; those that are `slow` to go hold up all deaths."""
        if not self.known.may_sweep:
            return []
        for process in self.running():
            if process.pid not in self.known.kept:
                self.dies(process.pid, KILLED)
        strangers = {pid: how for pid, how in self.dead if pid not in self.known.kept}
        self.dead = [(pid, how) for pid, how in self.dead if pid in self.known.kept]
        self.known = reaping.note_strangers(self.known, strangers)
        self.known, news = reaping.end_sweep(
            self.known, [1] if slow else [], only_trackers=False, now=self.now, grace=2.0
        )
        return [self.news_of(death) for death in news]

    def news_of(self, death: PendingDeath) -> Died:
        process = self.processes[death.pid]
        orphans, settled = process.orphans, process.settled
        return Died(death.slot, death.exit, str(death.exit), orphans, settled, process.receive_id)

    def is_child(self, pid: int) -> bool:
        """Whether it is the master's, alive or a zombie."""
        zombies = [dead for dead, _ in self.dead]
        return pid in zombies or any(process.pid == pid for process in self.running())

    # One step, and what it asks for.

    def take(self, event: Event) -> None:
        """One event; the watcher sees what it did before anybody acts on it."""
        if isinstance(event, Tick):
            self.judged = self.now
        self.note_pid(event)
        before = self.pool
        self.pool, effects = machine.step(before, event, self.now, self.jitter)
        self.watch(before, event, self.pool, effects)
        for slot in self.pool.slots:
            if slot.state is State.VACANT:
                self.forget(slot.number)
        for effect in effects:
            self.perform(effect)

    def note_pid(self, event: Event) -> None:
        match event:
            case HelperSaid(_, Forked(slot, pid)) | DispatcherSaid(slot, Ready(pid)):
                self.told[slot] = pid
            case Died(slot):
                del self.told[slot]

    def forget(self, slot: int) -> None:
        self.known = births.forget_slot(self.known, slot)
        self.hang_up(slot)

    def hang_up(self, slot: int) -> None:
        if channel := self.channels.pop(slot, None):
            channel.hung_up = True

    def perform(self, effect: Effect) -> None:
        match effect:
            case Send(slot, order):
                if channel := self.channels.get(slot):
                    channel.orders.append(order)
                    assert len(channel.orders) <= 8, "more than a dispatcher's channel need hold"
                if isinstance(order, Grant) and (process := self.at(slot)):
                    process.granted(self.now, order)
            case Spawn(slot) if self.starving:
                self.take(SpawnFailed(slot, "no descriptor"))
            case SpawnHelper(role) if self.starving:
                self.take(HelperSpawnFailed(role, "no process"))
            case Spawn(slot) if not self.has_room(Role.TEMPLATE):
                self.take(SpawnFailed(slot, "no room"))
            case Spawn(slot):
                self.spawn(slot)
            case TerminateDispatcher(slot):
                if process := self.at(slot):
                    process.leaving = True
            case KillDispatcher(slot):
                if process := self.at(slot):
                    self.dies(process.pid, KILLED)
            case SpawnHelper(role):
                self.helpers[role] = Helper(self.new_pid())
                self.known = births.add_helper(self.known, role, self.helpers[role].pid)
            case KillHelper(role):
                if helper := self.helper(role):
                    self.dies(helper.pid, KILLED)
            case Inspect(slot):
                if (process := self.at(slot)) and process.stage in (Stage.WORKING, Stage.HOLDING):
                    self.take(RecordRead(slot, *process.heartbeat(self.now)))
            case OrderScout(SampleDepth()):
                pass
            case OrderScout(order) if not self.has_room(Role.SCOUT):
                self.take(OrderNotTaken(order))
            case OrderScout(order):
                if scout := self.helpers.get(Role.SCOUT):
                    scout.takes(order)
            case AskStack() | TellStack() | LogHung() | Log():
                pass

    def has_room(self, role: Role) -> bool:
        """For one order more. What is sent to one that is dead is taken: its death will be news."""
        helper = self.helper(role)
        return helper is None or len(helper.asked) + len(helper.orders) < self.room

    def at(self, slot: int) -> Dispatcher | None:
        """The slot's dispatcher, as the master knows it, if it is alive."""
        known = [pid for pid, at in self.known.dispatchers.items() if at == slot]
        assert len(known) <= 1
        process = self.processes[known[0]] if known else None
        return process if process and process.stage is not Stage.GONE else None

    def spawn(self, slot: int) -> None:
        self.forget(slot)
        self.channels[slot] = channel = Channel()
        self.known = births.ask_for_dispatcher(self.known, slot)
        if template := self.helper(Role.TEMPLATE):
            template.asked.append((slot, channel))

    # The operator.

    def stop(self, level: Level) -> None:
        """TERM or QUIT; the same one again before the master looks is the same."""
        asked = StopAsked(level, level.name)
        if asked not in self.signals:
            self.signals.append(asked)

    def show_stacks(self) -> None:
        if StacksAsked() not in self.signals:
            self.signals.append(StacksAsked())

    def resize(self, by: int) -> None:
        if ResizeAsked(by) not in self.signals:
            self.signals.append(ResizeAsked(by))

    def commands(self, what: Event) -> None:
        """Over the control socket: a step of its own, taken at once."""
        if self.pool.phase is not PoolPhase.STOPPED:
            self.take(what)

    # The end.

    def goes_on_until_stopped(
        self, turns: int, stubborn: frozenset[int], hung: frozenset[Role]
    ) -> bool:
        """Everybody but the stubborn does his part, and time passes.

        False when the pool does not stop.
        """
        for _ in range(turns):
            if self.pool.phase is PoolPhase.STOPPED:
                return True
            for process in self.running():
                if process.slot not in stubborn:
                    self.dispatcher_moves(process, Choice.EMPTY)
            if Role.TEMPLATE not in hung:
                self.helper_moves(Role.TEMPLATE, good=True)
            if Role.SCOUT not in hung:
                self.helper_moves(Role.SCOUT, good=True)
                self.scout_settles(good=True)
            said = any(channel.words for channel in self.channels.values())
            said = said or any(helper.words for helper in self.helpers.values())
            quiet = not (said or self.dead or self.signals)
            if quiet:
                self.now = max(self.now, min(self.wakes_at(), self.next_poll_ends(stubborn)))
                if self.now == inf:
                    return False
            self.master_wakes()
        return False

    def next_poll_ends(self, stubborn: frozenset[int]) -> float:
        polling = [process for process in self.running() if process.stage is Stage.POLLING]
        return min(
            (process.poll_until for process in polling if process.slot not in stubborn), default=inf
        )
