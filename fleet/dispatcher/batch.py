"""Several messages that one poll has brought: they run one after another, and whoever waits is
looked after.

    first ──▶ runs ──▶ settled ──▶ the next one ──▶ runs ──▶ …
    the others: lease kept; let go when the pool stops, or when running them would break their group's order

Each message has a place on the scoreboard and a delivery (delivering.py) of its own. The one that
runs hears the world through its seat here, so whatever it waits for, those behind it are served
too.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

from fleet.core.delivery.machine import LATE, NO_PROCESS
from fleet.core.outcomes import Settlement, Verdict
from fleet.core.pool.receive_size import keeps_its_group
from fleet.core.protocol import Denied, Held, LeaseLost, Report, Settled
from fleet.core.queue import Message
from fleet.core.reasons import Reason
from fleet.dispatcher.context import Bench, Board
from fleet.dispatcher.runner import Delivering
from fleet.system.clock import now

DENIED = Verdict(Settlement.RELEASE, "deletes are not allowed", reason=Reason.DELETE_DENIED)
BEFORE_IT = Verdict(
    Settlement.RELEASE, "a message of its group goes back before it", reason=Reason.GROUP_WAITS
)


class BatchInbox:
    """What one message of a batch hears and says. `asks`: it is to be released, and waits for leave
    to be.
    """

    def __init__(
        self, batch: "Batch", bench: Bench, message: Message, place: int, before: float
    ) -> None:
        """`bench` has the place's own line of the scoreboard."""
        self._batch, self.place = batch, place
        self.poll = bench.inbox.poll
        self.freed = self.asks = self.kept = self.runs = False
        self.unusable = bool(message.unusable)
        self.group = (
            message.system_attributes.get("MessageGroupId", "") if bench.rules.is_fifo else ""
        )
        self.delivering = Delivering(replace(bench, inbox=self), message, before)

    @property
    def leaving(self) -> bool:
        """Take nothing more."""
        return self._batch.inbox.leaving

    @property
    def stopping(self) -> bool:
        """Everything of the pool stops."""
        return self._batch.inbox.stopping

    @property
    def orphan(self) -> bool:
        """The master is gone. One that waits for its turn does not take that as leave to go."""
        return self._batch.inbox.orphan and (self.runs or self.asks)

    @property
    def blind(self) -> bool:
        """Nobody knows what our siblings poll."""
        return self._batch.inbox.blind

    @property
    def ends_at(self) -> float:
        """When whoever is still there is killed."""
        return self._batch.inbox.ends_at

    @property
    def drain(self) -> float | None:
        """Seconds that a running job has, as said last and not acted on yet."""
        return self._batch.drain

    @drain.setter
    def drain(self, seconds: float | None) -> None:
        self._batch.drain = seconds

    def say(self, report: Report) -> None:
        """To the master, who hears of one Held at a time."""
        match report:
            case Held():
                self.asks = True
                self._batch.hold()
            case Settled() | Denied() | LeaseLost():
                self._batch.inbox.say(replace(report, place=self.place))
                if isinstance(report, Denied):
                    self._batch.spare()
            case _:
                self._batch.inbox.say(report)

    def wait(self, until: float) -> None:
        """As the batch waits."""
        self._batch.wait(until)


class Batch:
    """The messages in hand."""

    def __init__(
        self, bench: Bench, messages: Sequence[tuple[Message, Board]], before: float
    ) -> None:
        self.inbox = bench.inbox
        self.drain: float | None = (
            None  # what the ears have heard of it, until the one that runs has acted on it
        )
        self._exit_timeout = bench.rules.config.exit_timeout
        self._asked = False  # Held was said, and not answered yet
        self._last_call = inf  # when the last job of a pool that stops must have ended
        self._fifo = bench.rules.is_fifo
        self._running: BatchInbox | None = None
        self._waiting = [
            BatchInbox(self, replace(bench, board=board), message, place, before)
            for place, (message, board) in enumerate(messages)
        ]

    def run(self) -> None:
        """Until everything is settled."""
        self.inbox.freed = False
        for seat in self._waiting:
            seat.delivering.park()
        for seat in [seat for seat in self._waiting if seat.unusable]:
            self._waiting.remove(seat)
            seat.delivering.leave()
            self._ended(seat)
        if (first := self._first()) is not None:
            self._running, first.runs = first, True
            first.delivering.run()
            self._ended(first)
        while (following := self._next()) is not None:
            self._running, following.runs = following, True
            stop_at, self.drain = self._last_call if self.inbox.leaving else inf, None
            following.delivering.take_turn(stop_at)
            self._ended(following)
        while self._waiting:
            self.wait(inf)

    def _next(self) -> BatchInbox | None:
        """The next one whose turn it is, after all that has been said meanwhile."""
        if self._waiting:
            self.wait(now())
        return self._first()

    def _first(self) -> BatchInbox | None:
        """The first one that is not to be released; it waits no longer."""
        seat = next((seat for seat in self._waiting if not seat.asks), None)
        if seat is not None:
            self._waiting.remove(seat)
        return seat

    # While one runs.

    def hold(self) -> None:
        """Ask the master for leave to release, if that is not asked for already."""
        if not self._asked:
            self._asked = True
            self.inbox.say(Held())

    def wait(self, until: float) -> None:
        """Until something happens, or the moment comes for the one that runs or for one that waits;
        serve those.
        """
        self.inbox.wait(min([until, *(seat.delivering.wakes_at() for seat in self._waiting)]))
        if self.inbox.drain is not None:  # taken, so that one word is one last call
            self.drain, self.inbox.drain = self.inbox.drain, None
            self._last_call = min(self._last_call, now() + max(self.drain, self._exit_timeout))
        if self.inbox.freed:
            self.inbox.freed = self._asked = False
            for seat in (*([self._running] if self._running else []), *self._waiting):
                seat.freed = seat.asks
        if self.inbox.leaving:
            self._leave()
        for seat in list(self._waiting):
            if seat.delivering.look_after():
                self._waiting.remove(seat)
                self._ended(seat)

    def spare(self) -> None:
        """Deletes are denied: what were done now would be done again. A release costs nothing but
        on a last attempt.
        """
        for seat in self._waiting:
            if not seat.asks and not seat.delivering.last_attempt:
                self._let_go(seat, DENIED)

    def _leave(self) -> None:
        """The pool stops: nothing is begun but what a release would dead-letter, and that while
        there is time.
        """
        in_time = now() < self._last_call
        for seat in self._waiting:
            seat.kept = in_time and (seat.kept or (not seat.asks and seat.delivering.last_attempt))
            if not seat.kept:
                self._let_go(seat, LATE)

    def _ended(self, ended: BatchInbox) -> None:
        """What the end of one means for those behind it."""
        if ended.delivering.starved:
            for seat in self._waiting:
                self._let_go(seat, NO_PROCESS)
        if self._fifo and not keeps_its_group(ended.delivering.settlement):
            self._hold_up(ended)

    def _let_go(self, seat: BatchInbox, back: Verdict) -> None:
        if not seat.asks:
            seat.delivering.let_go(back)
            if self._fifo:
                self._hold_up(seat)

    def _hold_up(self, before: BatchInbox) -> None:
        """FIFO: no message of the group may run before one that goes back. An unusable one may not
        tell its group.
        """
        for seat in self._waiting:
            if seat.place > before.place and before.group in (seat.group, ""):
                self._let_go(seat, BEFORE_IT)
