"""Dispatchers as the pool's model sees them: what they say and do, and nothing of how.

They follow `fleet/dispatcher/process.py`: orders are heard while it waits, never during a poll; a
grant that comes with a word to leave is not taken; one who was told to leave, or whose channel was
hung up, leaves when it is idle.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from fleet.core.outcomes import Exit, Outcome, Settlement
from fleet.core.pool.orphan import Orphan
from fleet.core.protocol import (
    Denied,
    DispatcherOrder,
    Drain,
    Empty,
    Free,
    Grant,
    Healed,
    Held,
    LeaseLost,
    PollFailed,
    Ready,
    Received,
    Report,
    Settled,
    Troubled,
)
from fleet.core.queue_config import QueueConfig

LEASE = 60.0  # seconds


class Stage(Enum):
    """What the process does."""

    BOOTING = auto()
    IDLE = auto()
    POLLING = auto()
    WORKING = auto()
    HOLDING = auto()
    GONE = auto()


class Choice(Enum):
    """How what it does comes out, as far as it has a choice."""

    EMPTY = auto()
    NOTHING = auto()
    FAILED = auto()
    CUT = auto()
    UNREACHABLE = auto()
    MESSAGE = auto()
    LAST_ATTEMPT = auto()
    LEFT = auto()
    BAD = auto()
    SOME = auto()
    REFUSED = auto()
    DENIED = auto()
    TROUBLED = auto()
    LOST = auto()


@dataclass
class Channel:
    """Both directions, and whether the master has hung up."""

    words: list[Report] = field(default_factory=list)
    orders: list[DispatcherOrder] = field(default_factory=list)
    hung_up: bool = False

    def said(self) -> list[Report]:
        """What the dispatcher has said since the last time."""
        words, self.words = self.words, []
        return words


@dataclass(frozen=True)
class Record:
    """What a dispatcher wrote on the scoreboard and did not live to say.

    `home`: its poll had brought a message. `settled`: it had done that with the message in hand.
    """

    home: bool = False
    lease: float = 20.0  # seconds that are left
    intent: Settlement | None = None
    exit: Exit | None = None
    settled: Settlement | None = None


@dataclass
class Dispatcher:
    """One process."""

    pid: int
    slot: int
    channel: Channel
    queues: Sequence[QueueConfig]
    stage: Stage = Stage.BOOTING
    leaving: bool = False
    freed: bool = False
    starved: bool = False
    granted_at: float | None = None
    poll_until: float = 0.0
    # Of the last poll whose connection was cut: until when the server serves it, and its queue.
    cut_until: float = 0.0
    cut_queue: int = 0
    orphans: tuple[Orphan, ...] = ()
    settled: dict[int, Settlement] = field(default_factory=dict)
    hung_since: float | None = None
    untold: Settlement | None = (
        None  # it hangs after its last message was settled like that, before it could say so
    )
    queue: int = 0  # of its last grant
    most: int = 1  # messages that its poll may bring
    # Of those in hand; the first one's job runs, or it goes back.
    places: list[int] = field(default_factory=list)
    asked: bool = False  # Held was said, and not answered yet
    receive_id: str = ""  # of the call that it made last, once it is gone
    insists: bool = False  # its first message is done, and the delete of it is denied
    troubled: bool = False  # a call has failed
    lost: bool = False  # the lease of its first message

    def moves(self, choice: Choice, now: float) -> bool:
        """Do what comes next. True when it has ended with status 0."""
        if self.hung_since is not None:
            return False
        match self.stage:
            case Stage.BOOTING:
                self.says(Ready(self.pid))
                self.stage = Stage.IDLE
            case Stage.IDLE:
                self.hears()
                return self.begins()
            case Stage.POLLING:
                self.comes_home(choice, now)
            case Stage.WORKING | Stage.HOLDING if choice is Choice.TROUBLED:
                self.troubled = not self.troubled
                self.says(Troubled("no answer") if self.troubled else Healed())
            case Stage.WORKING | Stage.HOLDING if choice is Choice.LOST and not self.lost:
                self.lost = True
                self.says(LeaseLost(self.places[0]))
            case Stage.WORKING:
                self.hears()
                self.finishes(choice)
            case Stage.HOLDING:
                self.hears()
                self.lets_go(choice)
            case Stage.GONE:
                pass
        return False

    def leaves_behind(self, record: Record, now: float) -> None:
        """It is about to die, and its last record is read then."""
        working = self.stage in (Stage.WORKING, Stage.HOLDING)
        if not working and not (self.stage is Stage.POLLING and record.home):
            return
        if self.untold:
            self.settled = {0: self.untold}
            return
        places = self.places if working else list(range(self.most))
        told = (record.intent, record.exit) if working else (None, None)
        if self.insists:
            told = (Settlement.DELETE, Exit(code=0))
        # What was settled before, and told, is still on the scoreboard too.
        self.settled = {} if 0 in places else {0: Settlement.DELETE}
        first, *others = places
        orphans = [self._orphan(place, record.lease, now) for place in others]
        if working and record.settled:
            self.settled[first] = record.settled
        else:
            orphans.append(self._orphan(first, record.lease, now, *told))
        self.orphans = tuple(sorted(orphans, key=lambda each: each.place))

    def _orphan(
        self,
        place: int,
        lease: float,
        now: float,
        intent: Settlement | None = None,
        exit_: Exit | None = None,
    ) -> Orphan:
        name = f"message {place} of {self.pid}"
        return Orphan(name, 1, "handle", now + lease, 0, intent, exit_, place, self.queue)

    def hangs(self, now: float, settled: Settlement | None) -> None:
        """From now on; with its last message settled, which is on the scoreboard, or with one in
        hand.
        """
        self.hung_since = now
        if self.places == [0]:
            self.untold = settled

    def heartbeat(self, now: float) -> tuple[float, float, float, bool]:
        """The last one, until when the lease is, and how long: the living extend it in time."""
        last = now if self.hung_since is None else self.hung_since
        return (last, 0.0, 0.0, False) if self.untold else (last, last + LEASE, LEASE, True)

    def has_something_to_do(self) -> bool:
        """More than to wait for the master's word."""
        if self.hung_since is not None:
            return False
        match self.stage:
            case Stage.IDLE:
                return bool(self.channel.orders) or self.leaving or self.channel.hung_up
            case Stage.HOLDING:
                return self.freed or Free() in self.channel.orders or self.channel.hung_up
            case stage:
                return stage is not Stage.GONE

    def asks_by(self) -> str:
        """What its record says of an open poll, on a FIFO queue."""
        is_named = self.queues[self.queue].is_fifo
        polls = self.stage is Stage.POLLING and not self.orphans
        return f"call of {self.pid}" if is_named and polls else ""

    def says(self, word: Report) -> None:
        if not self.channel.hung_up:
            self.channel.words.append(word)

    def hears(self) -> None:
        for order in self.channel.orders:
            match order:
                case Grant():
                    pass  # `granted` has noted when
                case Drain():
                    self.leaving = True
                case Free():
                    self.freed, self.asked = True, False
        self.channel.orders.clear()
        self.leaving = self.leaving or self.channel.hung_up
        self.freed = self.freed or self.channel.hung_up  # alone, it waits for nobody

    def granted(self, now: float, grant: Grant) -> None:
        """The master's grant is in the channel."""
        self.granted_at, self.queue, self.most = now, grant.queue, grant.most
        self.polls_for = min(self.queues[grant.queue].config.wait_time, grant.longest)

    def begins(self) -> bool:
        """Leave, or poll. The poll starts within the books' margin of the grant."""
        if self.leaving:
            self.stage = Stage.GONE
            return True
        if self.granted_at is not None:
            self.stage, self.poll_until = Stage.POLLING, self.granted_at + self.polls_for
            self.granted_at = None
        return False

    def comes_home(self, choice: Choice, now: float) -> None:
        took = max(0.0, now - (self.poll_until - self.polls_for))
        match choice:
            case Choice.MESSAGE | Choice.LAST_ATTEMPT | Choice.SOME:
                count = (self.most + 1) // 2 if choice is Choice.SOME else self.most
                self.says(Received(took, count))
                self.places = list(range(count))
                self.hears()
                self.freed = False
                late = self.leaving and choice is not Choice.LAST_ATTEMPT
                self.stage = Stage.WORKING
                if late:
                    self.holds()
            case Choice.FAILED | Choice.CUT | Choice.REFUSED | Choice.UNREACHABLE:
                cut = choice is Choice.CUT
                if cut:
                    self.cut_until, self.cut_queue = self.poll_until, self.queue
                answered = choice in (Choice.FAILED, Choice.REFUSED)
                self.says(PollFailed(choice.name, cut, choice is Choice.REFUSED, answered, took))
                self.stage = Stage.IDLE
            case _:
                self.says(Empty(took))
                self.stage = Stage.IDLE

    def holds(self) -> None:
        """Its message is to go back; that is said once before it is answered."""
        self.stage = Stage.HOLDING
        if not self.asked:
            self.asked = True
            self.says(Held())

    def finishes(self, choice: Choice) -> None:
        if self.leaving and len(self.places) > 1:
            if self.freed:
                self.settles(Settlement.RELEASE, None, place=self.places[-1])
                return
            if not self.asked:  # those behind it go back at once, while it runs
                self.asked = True
                self.says(Held())
        match choice:
            case Choice.DENIED if self.insists:
                pass
            # A denied delete has been asked for long enough.
            case Choice.LEFT | Choice.FAILED | Choice.BAD | Choice.NOTHING if self.insists:
                self.settles(Settlement.LEAVE, Outcome.SUCCEEDED, unconfirmed=True)
            case _ if self.insists:
                self.settles(Settlement.DELETE, Outcome.SUCCEEDED)
            case Choice.DENIED:
                self.insists = True
                place = self.places[0]
                self.says(Denied("denied", place, f"message {place} of {self.pid}", "handle"))
            case Choice.EMPTY if self.leaving:  # stopped by the drain
                self.holds()
            case Choice.NOTHING:  # no process to be had for the job
                self.starved = True
                self.holds()
            case Choice.FAILED:
                self.settles(Settlement.LEAVE, Outcome.FAILED)
            case Choice.BAD:
                self.settles(Settlement.LEAVE, Outcome.SIGNALLED, bad=True)
            case Choice.LEFT:
                self.settles(Settlement.LEAVE, Outcome.SUCCEEDED)
            case Choice.REFUSED:
                self.settles(Settlement.LEAVE, Outcome.SUCCEEDED, gone="there is no queue")
            case _:
                self.settles(Settlement.DELETE, Outcome.SUCCEEDED)

    def lets_go(self, choice: Choice) -> None:
        if choice is Choice.LEFT:  # its lease has ended
            self.settles(Settlement.LEAVE, None)
        elif self.freed:
            self.settles(
                Settlement.RELEASE, Outcome.INTERRUPTED if choice is Choice.EMPTY else None
            )

    def settles(
        self,
        how: Settlement,
        what: Outcome | None,
        *,
        bad: bool = False,
        place: int | None = None,
        unconfirmed: bool = False,
        gone: str = "",
    ) -> None:
        """One message, the first if none is named; the next one runs, or goes back."""
        place = self.places[0] if place is None else place
        if place == self.places[0]:
            self.insists = self.lost = False
        self.places.remove(place)
        hidden, used = (20.0 if how is Settlement.LEAVE else 0.0), (100.0 if what else None)
        seconds = 1.0 if what else None
        self.says(
            Settled(
                how,
                what,
                seconds,
                bad,
                self.starved,
                False,
                hidden,
                used,
                place,
                unconfirmed,
                gone=gone,
            )
        )
        self.starved = False
        if not self.places:
            self.troubled = False
            self.stage, self.freed, self.asked = Stage.IDLE, False, False
        elif self.leaving:
            waits = not self.freed
            self.stage = Stage.HOLDING
            if waits:
                self.holds()
        else:
            self.stage, self.freed = Stage.WORKING, False
