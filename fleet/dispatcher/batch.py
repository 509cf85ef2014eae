"""Several messages that one poll has brought: one runs, and those that wait are looked after.

    first ──▶ runs ──▶ settled ──▶ the next one ──▶ runs ──▶ …
    the others: lease kept; released when the pool stops, or when running them would break the order

core/delivery/batch.py decides whose turn it is and who goes back; this file does it. Each message
has a line of the scoreboard and a runner (runner.py) of its own. The runner hears the world through
its BatchInbox here, so whatever the running one waits for, those behind it are served too.

docs/decisions/0026 has the reasons.
"""

from collections.abc import Sequence
from math import inf

from fleet.core.delivery.batch import Batch, BatchMessage, needs_limit, step_batch
from fleet.core.delivery.batch_events import (
    AllowRelease,
    AskForReleases,
    BatchEvent,
    DeletesDenied,
    DrainHeard,
    MessageEnded,
    ReleasesAllowed,
    ReleaseWanted,
    RunMessage,
    SendBack,
    StopGoesOn,
    TurnFree,
)
from fleet.core.protocol import Denied, Held, LeaseLost, Report, Settled
from fleet.core.queue import Message
from fleet.core.records import replace
from fleet.dispatcher.context import Context, DeliveryBoard
from fleet.dispatcher.runner import DeliveryRunner
from fleet.system.clock import now


class BatchInbox:
    """What one message of a batch hears and says: the batch's own inbox, but for what is its own.

    `freed`: this message may be released. What the message asks for and reports says which it is.
    """

    def __init__(self, batch: "BatchRunner", place: int) -> None:
        self._batch, self._place = batch, place
        self.poll = batch.inbox.poll
        self.freed = False

    @property
    def leaving(self) -> bool:
        """The dispatcher takes nothing more."""
        return self._batch.inbox.leaving

    @property
    def stopping(self) -> bool:
        """Everything of the pool stops."""
        return self._batch.inbox.stopping

    @property
    def orphan(self) -> bool:
        """The master is gone."""
        return self._batch.inbox.orphan

    @property
    def blind(self) -> bool:
        """Nobody knows what our siblings poll."""
        return self._batch.inbox.blind

    @property
    def ends_at(self) -> float:
        """When the dispatcher is killed, because the pool stops."""
        return self._batch.inbox.ends_at

    @property
    def drain(self) -> float | None:
        """Seconds that a running job has, as said last and not acted on yet."""
        return self._batch.drain

    @drain.setter
    def drain(self, seconds: float | None) -> None:
        self._batch.drain = seconds

    def say(self, report: Report) -> None:
        """To the master, which hears of one wish to release at a time."""
        match report:
            case Held():
                self._batch.step(ReleaseWanted(self._place))
            case Settled() | LeaseLost():
                self._batch.inbox.say(replace(report, place=self._place))
            case Denied():
                self._batch.inbox.say(replace(report, place=self._place))
                self._batch.spare_those_that_wait()
            case _:
                self._batch.inbox.say(report)

    def wait(self, until: float) -> None:
        """As the batch waits."""
        self._batch.wait(until)


class BatchRunner:
    """The messages in hand, received by a call that was made at `before`.

    `drain`: what the master has said of it, until the running message has acted on it.
    """

    def __init__(
        self, context: Context, messages: Sequence[tuple[Message, DeliveryBoard]], before: float
    ) -> None:
        self.inbox = context.inbox
        self.drain: float | None = None
        self._rules = context.rules
        self._unusable = [place for place, (each, _) in enumerate(messages) if each.unusable]
        self._inboxes = [BatchInbox(self, place) for place in range(len(messages))]
        self._runners = [
            DeliveryRunner(replace(context, board=board, inbox=inbox), message, before)
            for (message, board), inbox in zip(messages, self._inboxes, strict=True)
        ]
        self._batch = Batch(
            tuple(
                BatchMessage(place, each.attempt, each.system_attributes.get("MessageGroupId", ""))
                for place, (each, _) in enumerate(messages)
            )
        )
        self._turn: RunMessage | None = None

    def run(self) -> None:
        """Until everything is settled."""
        self.inbox.freed = False
        for place in self._unusable:
            self._runners[place].leave_unusable()
            self._end(place)
        if (first := self._take_turn()) is not None:
            self._runners[first.place].run()  # it may run where the later ones would go back
            self._end(first.place)
        while (following := self._take_next_turn()) is not None:
            self.drain = None  # the turn's limit says it already
            self._runners[following.place].take_turn(following.stop_at)
            self._end(following.place)
        while self._batch.waiting:
            self.wait(inf)

    def _take_next_turn(self) -> RunMessage | None:
        """Whose turn it is, after all that has been said meanwhile."""
        if self._batch.waiting:
            self.wait(now())
        return self._take_turn()

    def _take_turn(self) -> RunMessage | None:
        self._turn = None
        self.step(TurnFree(self.inbox.leaving))
        return self._turn

    def _end(self, place: int) -> None:
        runner = self._runners[place]
        self.step(MessageEnded(place, runner.settlement, runner.starved))

    def step(self, event: BatchEvent) -> None:
        """One event, and everything that follows from it at once."""
        self._batch, actions = step_batch(self._batch, event, self._rules)
        for action in actions:
            match action:
                case RunMessage():
                    self._turn = action
                case SendBack(place, verdict):
                    self._runners[place].send_back(verdict)
                case AllowRelease(place):
                    self._inboxes[place].freed = True
                case AskForReleases():
                    self.inbox.say(Held())

    # While one runs.

    def wait(self, until: float) -> None:
        """Wait until something happens, or a message's moment comes; then serve those that wait."""
        waiting = self._batch.waiting
        self.inbox.wait(min([until, *(self._runners[each.place].wakes_at() for each in waiting)]))
        if self.inbox.drain is not None:  # taken, so that one word makes one last call
            self.drain, self.inbox.drain = self.inbox.drain, None
            self.step(DrainHeard(now(), self.drain))
        if self.inbox.freed:
            self.inbox.freed = False
            self.step(ReleasesAllowed())
        if self.inbox.leaving:
            is_needed = needs_limit(self._batch, now())
            self.step(StopGoesOn(now(), self._read_limit() if is_needed else None))
        for each in self._batch.waiting:
            if self._runners[each.place].look_after():
                self._end(each.place)

    def spare_those_that_wait(self) -> None:
        """Deletes are denied: what were done now would be done again."""
        if any(not each.returns for each in self._batch.waiting):
            self.step(DeletesDenied(self._read_limit()))

    def _read_limit(self) -> int | None:
        """The queue's limit on deliveries, which may cost a request.

        A message that waits asks for it: when it has been settled, it tells of a trouble's end.
        """
        return self._runners[self._batch.waiting[0].place].read_limit()
