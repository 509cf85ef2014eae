"""The master's children: started, spoken to, listened to, reaped, swept. Decides nothing.

What comes from them becomes an event of `core/pool/events.py`; the rest is said in the log.
"""

import errno
import os
import select
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from fleet.core.depth import Depth
from fleet.core.exit_codes import APP_UNUSABLE, CUT_OFF
from fleet.core.outcomes import Exit, Settlement
from fleet.core.pool import events
from fleet.core.pool.events import Event
from fleet.core.pool.orphan import Orphan
from fleet.core.pool.slot import State
from fleet.core.pool.state import Role
from fleet.core.protocol import (
    DeleteTried,
    DispatcherOrder,
    Failed,
    Fork,
    Forked,
    Imported,
    Late,
    NotForked,
    Plan,
    PollFailed,
    Ready,
    Recovered,
    RecoveryDenied,
    Report,
    SampleDepth,
    SampleFailed,
    ScoutOrder,
    Served,
    Tell,
    Trying,
    Usable,
    Word,
)
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Record, Scoreboard
from fleet.system import log, processes, procfs, stacks, trackers
from fleet.system.clock import now

MOST_EXITS = 256
MOST_SAID = 300  # characters of an odd word in the log
TURN = 0.1  # seconds between two looks at what does not die
TO_DIE = 1.0  # seconds: what killed processes may take to be gone
MODULES = {Role.TEMPLATE: "fleet.template.process", Role.SCOUT: "fleet.scout.process"}


class Odd(Exception):
    """A child has said what cannot be."""


@dataclass(slots=True)
class Helper:
    """A helper's process and our end of its channel."""

    pid: int
    channel: Channel


@dataclass(frozen=True, slots=True)
class Mourned:
    """A dispatcher that has ended, and its last records, by place."""

    slot: int
    exit: Exit
    records: Mapping[int, Record]


class Children:
    """Every process that is the master's own, by slot or by role."""

    def __init__(
        self,
        plan: Plan,
        poll: select.poll,
        board: Scoreboard,
        board_fd: int,
        passed: tuple[int, ...],
    ) -> None:
        self._plan, self._poll, self._board = plan, poll, board
        self._template_fds = (board_fd, *passed)
        self._channels: dict[int, Channel] = {}  # by slot
        self._pids: dict[int, int] = {}  # pid → slot
        self._helpers: dict[Role, Helper] = {}
        self._sources: dict[int, int | Role] = {}  # descriptor → slot or helper
        self._asked: set[int] = set()  # slots whose dispatcher the template has not named yet
        self._introduced: set[int] = set()  # pids that the template has still to name
        self._unnamed: dict[int, processes.Death] = {}  # ended before the template named them
        self._exits: dict[
            int, Exit
        ] = {}  # of children that were not ours to start: jobs of dead dispatchers
        self._distrusted: set[int | Role] = (
            set()
        )  # who said what makes no sense, and is killed for it
        self._mourned: list[
            Mourned
        ] = []  # deaths that are no news until all that the dead have left is gone
        processes.become_subreaper()
        self._widowed = False  # a helper has died, and what it left is not gone yet
        self._spared: set[int] = (
            set()
        )  # trackers that are not waited for any more; they end with their last user
        self._spares_until = inf
        self._has_trackers: bool | None = None  # among what we have adopted; None: not looked yet
        self._before = frozenset(procfs.children())  # not ours to judge
        self._mark = uuid.uuid4().hex  # on all that descends from our helpers
        self._queue_url = plan.queue
        self.dead_letters = ""  # the name of the dead-letter queue, if there is one
        self.trace = ""  # the app's own traceback, if its import raised

    # Dispatchers.

    def spawn(self, slot: int) -> None:
        """Have the template fork a dispatcher for the slot. Raises OSError when there is no channel
        to be had, or no room in the template's.
        """
        self.forget(slot)
        ours, theirs = channel.pair()
        with theirs:
            self._board.clear(slot)
            self._channels[slot] = ours
            self._asked.add(slot)
            self._listen(ours, slot)
            if Role.TEMPLATE in self._helpers:
                template = self._helpers[Role.TEMPLATE].channel
                if not template.send(Fork(slot, self._queue_url), theirs.fileno()):
                    raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def forget(self, slot: int) -> None:
        """The slot is vacant: hang up on whoever had it."""
        self._asked.discard(slot)
        self._distrusted.discard(slot)
        if end := self._channels.pop(slot, None):
            self._hang_up(end)

    def send(self, slot: int, order: DispatcherOrder) -> None:
        """Say something to the slot's dispatcher. One that has no room for it has not listened for
        long.
        """
        if slot in self._channels and not self._channels[slot].send(order):
            self.distrust(slot, "it takes no orders")

    def signal(self, pid: int | None, number: int) -> None:
        """Send a signal to a dispatcher that is still ours."""
        if pid in self._pids:
            processes.kill(pid, number)

    def distrust(self, source: int | Role, why: str) -> None:
        """One that says what makes no sense is not listened to any more, and killed. Its death is a
        death like others.

        Whatever it had in hand is settled by its record on the scoreboard.
        """
        if source in self._distrusted:
            return
        if isinstance(source, Role):
            log.emit("helper.failed", role=source.value, why=why[:MOST_SAID])
            end = self._helpers[source].channel if source in self._helpers else None
            self.kill_helper(source)
        else:
            log.emit("dispatcher.failed", slot=source, error=why[:MOST_SAID])
            end = self._channels.get(source)
            for pid, slot in self._pids.items():
                if slot == source:
                    processes.kill(pid, signal.SIGKILL)
        if end is not None:
            self._distrusted.add(source)
            self._unlisten(end.fileno())
            end.mute()

    # Stacks.

    def ask_stacks(self, who: int | Role | None) -> None:
        """Of a dispatcher that seems to hang, by its pid, or of a helper; or of everybody."""
        for each, _ in self._stacked(who):
            stacks.forget(each)
            if who is None:
                processes.kill(each, stacks.SHOW)
            elif stacks.are_kept(
                each
            ):  # else it would die of the question, and of nothing that anybody knows
                processes.kill(each, stacks.INSIST)

    def tell_stacks(self, who: int | Role | None) -> None:
        """What they have written, and ours too if it is everybody's."""
        ours = [(os.getpid(), "the master")] if who is None else []
        for each, name in [*ours, *self._stacked(who)]:
            silent = (
                "nothing: it is stopped" if procfs.is_stopped(each) else "nothing written in time"
            )
            log.emit("process.stack", who=name, pid=each, stack=stacks.read(each) or silent)
            stacks.forget(each)

    def _stacked(self, who: int | Role | None) -> list[tuple[int, str]]:
        """Pids and names. Of a helper also those below it that write stacks: a trial import is such
        a process.
        """
        found = [
            (each.pid, f"the {role.value}")
            for role, each in self._helpers.items()
            if who in (None, role)
        ]
        if isinstance(who, Role):
            below = [
                each
                for pid, _ in found
                for each in procfs.descendants(pid)
                if stacks.are_kept(each)
            ]
            return [*found, *((each, f"a process of the {who.value}") for each in below)]
        slots = sorted((slot, each) for each, slot in self._pids.items() if who in (None, each))
        return [*found, *((each, f"dispatcher {slot}") for slot, each in slots)]

    # Helpers.

    def spawn_helper(self, role: Role) -> None:
        """Start the template or the scout. Raises OSError when there is no process to be had."""
        ours, theirs = channel.pair()
        fds = [theirs.fileno(), *(self._template_fds if role is Role.TEMPLATE else ())]
        try:
            pid = processes.spawn_program(MODULES[role], [str(fd) for fd in fds], fds, self._mark)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.send(self._plan)
        self._distrusted.discard(role)
        self._helpers[role] = Helper(pid, ours)
        self._listen(ours, role)

    def order_scout(self, order: ScoutOrder) -> bool:
        """Give the scout an order. False when its channel has no room for the order.

        A scout that is dead takes every order: its death will be news.
        """
        scout = self._helpers.get(Role.SCOUT)
        return scout is None or scout.channel.send(order)

    def kill_helper(self, role: Role) -> None:
        """SIGKILL."""
        if role in self._helpers:
            processes.kill(self._helpers[role].pid, signal.SIGKILL)

    def dismiss_helpers(self) -> None:
        """Hang up, kill, reap: nothing is left behind when the master ends, nor what the app has
        started at its import.

        Both are stateless. What cannot be killed is not waited for.
        """
        for helper in self._helpers.values():
            helper.channel.close()
            if processes.is_child(helper.pid):
                processes.kill(helper.pid, signal.SIGKILL)
                processes.await_end(helper.pid, TO_DIE)
        self._helpers.clear()
        until = now() + TO_DIE

        def is_spared(pid: int) -> bool:
            return now() < until and trackers.is_tracker(pid)

        def left() -> list[int]:
            return processes.sweep(
                {*self._pids, *self._before}, is_ours=self._is_ours, is_spared=is_spared
            )

        while (rest := left()) and now() < until + TO_DIE:
            processes.await_end(rest[0], max(until, now() + TURN) - now())

    def hang_up_on_all(self) -> None:
        """Dispatchers then do as after our death: they finish what they have, and leave. The
        helpers are of no use.
        """
        for slot in list(self._channels):
            self.forget(slot)
        for pid in self._pids:  # as the kernel would: who is stopped wakes up
            processes.kill(pid, signal.SIGCONT)
        for helper in self._helpers.values():
            helper.channel.close()
            processes.kill(helper.pid, signal.SIGKILL)
        self._helpers.clear()

    def left(self) -> bool:
        """Reap and sweep, without any news; whether there is still a dispatcher."""
        while death := processes.dead_child():
            processes.reap(death.pid)
            self._pids.pop(death.pid, None)
        processes.sweep(
            {*self._pids, *self._before}, is_ours=self._is_ours, is_spared=trackers.is_tracker
        )
        return bool(self._pids)

    def kill_all(self) -> None:
        """SIGKILL to every dispatcher; `dismiss_helpers` waits for them."""
        for pid in self._pids:
            processes.kill(pid, signal.SIGKILL)
        self._pids.clear()

    # What they say.

    def heard(self, fd: int) -> list[Event]:
        """What has been said on a channel, as events."""
        if fd not in self._sources:  # what came before it has hung up
            return []
        source = self._sources[fd]
        end = self._channels[source] if isinstance(source, int) else self._helpers[source].channel
        words = end.receive()
        if end.closed:
            self._unlisten(fd)
        happened = self._taken_in(source, words)
        if end.garbled:
            self.distrust(source, f"it said what is no word: {end.garbled}")
        return happened

    def _taken_in(
        self, source: int | Role, words: Sequence[Word], *, ended: bool = False
    ) -> list[Event]:
        """What words mean, up to one that cannot be. `ended`: they were said by one that has gone
        meanwhile.
        """
        happened: list[Event] = []
        try:
            for word in words:
                if isinstance(source, Role):
                    happened += self._helper_said(source, word)
                else:
                    happened += self._dispatcher_said(source, word, ended)
        except Odd as error:
            self.distrust(source, f"it said what cannot be: {error}")
        return happened

    def _dispatcher_said(self, slot: int, word: Word, ended: bool) -> list[Event]:
        match word:
            case Tell(event, fields):
                try:
                    log.emit(event, **fields)
                except Exception as error:  # noqa: BLE001 - an event or a field that there is not
                    raise Odd(f"{event}: {type(error).__name__}: {error}") from None
                return []
            case Ready(pid) if not ended:
                self._introduced_itself(slot, pid)
                if death := self._unnamed.pop(pid, None):  # and it is dead already
                    return [events.Said(slot, word), *self._ended(death)]
        if isinstance(word, PollFailed) and self._plan.local_port is not None:
            self.order_scout(SampleDepth())  # the scout looks after the embedded server
        if not isinstance(word, Report):
            raise Odd(f"a dispatcher's {type(word).__name__}")
        return [events.Said(slot, word)]

    def _introduced_itself(self, slot: int, pid: int) -> None:
        """A dispatcher is ready, perhaps before the template has named it: then its name is no news
        any more.
        """
        if slot in self._asked:
            self._check_new(pid)
            self._pids[pid] = slot
            self._asked.discard(slot)
            self._introduced.add(pid)
        elif self._pids.get(pid) != slot:
            raise Odd(f"pid {pid} is not that of slot {slot}")

    def _check_new(self, pid: int) -> None:
        """A pid that we are told must be a child's of ours that nobody has told us yet. Raises Odd."""
        others = {*self._pids, *(helper.pid for helper in self._helpers.values()), *self._before}
        if pid in others or not (pid in self._unnamed or processes.is_child(pid)):
            raise Odd(f"pid {pid} is no new dispatcher's")

    def _helper_said(self, role: Role, word: Word) -> list[Event]:
        match word:
            case Forked(slot, pid):
                return self._named(slot, pid)
            case NotForked(slot):
                if (
                    slot not in self._asked
                ):  # given up; or it has introduced itself, and only its name is lost
                    return []
                self._asked.discard(slot)
            case Imported(seconds, warnings):
                log.emit("template.ready", seconds=seconds)
                for why in warnings:
                    log.emit("template.warned", why=why)
            case Usable(url, advice, dead_letters):
                self._queue_url, self.dead_letters = url, dead_letters
                log.emit("queue.usable", queue=self._plan.queue)
                for why in advice:
                    log.emit("queue.warned", queue=self._plan.queue, why=why)
            case Failed():
                self.trace = word.trace
            case Late(why, left):
                log.emit("queue.late", why=why, left=left)
            case Depth(visible, in_flight, delayed):
                seen = {"visible": visible, "in_flight": in_flight, "delayed": delayed}
                log.emit("queue.sampled", queue=self._plan.queue, **seen)
            case Served(pid):
                self._before |= {
                    pid
                }  # ours to adopt when the scout dies, not to end: others may use it too
                log.emit("local.restarted", pid=pid)
            case SampleFailed(why):
                log.emit("sample.failed", why=why)
            case Recovered() | RecoveryDenied() | DeleteTried() | Trying():
                pass
            case _:
                raise Odd(f"the {role.value}'s {type(word).__name__}")
        return [events.HelperSaid(role, word)]

    def _named(self, slot: int, pid: int) -> list[Event]:
        """The template names a dispatcher's pid; the dispatcher may be ready, or dead, already."""
        if pid in self._introduced:
            self._introduced.discard(pid)
            return []
        if slot not in self._channels:  # given up meanwhile: it sees that its channel is closed
            self._unnamed.pop(pid, None)
            return []
        if slot not in self._asked:
            raise Odd(f"slot {slot} was not asked for")
        self._check_new(pid)
        self._asked.discard(slot)
        death = self._unnamed.pop(pid, None)
        self._pids[pid] = slot
        if slot in self._distrusted:  # it has said too much before it was named
            processes.kill(pid, signal.SIGKILL)
        return [
            events.HelperSaid(Role.TEMPLATE, Forked(slot, pid)),
            *(self._ended(death) if death else []),
        ]

    # Deaths.

    def reaped(self) -> list[Event]:
        """Every child that has ended; signals merge, so until none is left."""
        found: list[Event] = []
        self._has_trackers = None
        while death := processes.dead_child():
            self._spared.discard(death.pid)
            self._before -= {death.pid}
            if death.pid in self._pids:
                found += self._ended(death)
                continue
            processes.reap(death.pid)
            self._exits[death.pid] = death.exit
            role = next(
                (role for role, helper in self._helpers.items() if helper.pid == death.pid), None
            )
            if role is not None:
                found += self._helper_ended(role, death)
            elif self._asked:
                self._unnamed[death.pid] = death
        if not self._asked:
            self._unnamed.clear()
        if len(self._exits) > MOST_EXITS and not self._mourned:
            self._exits.clear()
        return found

    def _helper_ended(self, role: Role, death: processes.Death) -> list[Event]:
        end = self._helpers[role].channel
        said = self._taken_in(role, end.receive())
        self._hang_up(end)
        del self._helpers[role]
        self._widowed = True
        if role is Role.TEMPLATE:
            self._asked.clear()
            self._introduced.clear()
        if role is Role.TEMPLATE and death.exit.code == CUT_OFF:
            why = f"{self._plan.app}: its import closes descriptors that are not its own (--no-preload)"
            said.append(events.HelperSaid(role, Failed(APP_UNUSABLE, why)))
        return [*said, events.HelperDied(role, processes.describe_exit(death.exit))]

    def _ended(self, death: processes.Death) -> list[Event]:
        """A dispatcher has ended: what it said comes first; its death is news when its job is gone
        too.
        """
        slot = self._pids.pop(death.pid)
        records = self._board.batch(slot)
        for record in records.values():
            if record.job_pid:
                self._end_job(record.job_pid)
        if processes.dead_child(death.pid):
            processes.reap(death.pid)
        said: list[Event] = [events.Ended(slot)]
        if end := self._channels.pop(slot, None):
            said += self._taken_in(slot, end.receive(), ended=True)
            self._hang_up(end)
        self._mourned.append(Mourned(slot, death.exit, records))
        return said

    def _end_job(self, pid: int) -> None:
        """It dies with its dispatcher; its group dies at once, unless there is a tracker (looked
        for once for all).
        """
        if self._has_trackers is None:
            self._has_trackers = bool(trackers.among(procfs.strangers(self._known())))
        if not self._has_trackers:
            processes.kill_group(pid, signal.SIGKILL)

    def _known(self) -> set[int]:
        return {
            *self._pids,
            *(helper.pid for helper in self._helpers.values()),
            *self._before,
            *self._spared,
        }

    def wakes_at(self) -> float:
        """When to sweep again although nothing has happened."""
        return self._spares_until

    def swept(self) -> list[Event]:
        """Kill what the dead have left to us; dispatchers' deaths, once nothing of it is there any
        more.

        Not while the template may just have given us a dispatcher that we cannot tell from a
        stranger yet. What is not gone at once wakes us with SIGCHLD when it is.
        """
        if not (self._mourned or self._widowed) or self._asked:
            return []
        left = processes.sweep(
            self._known(), self._reaped_stranger, self._is_ours, trackers.is_tracker
        )
        if left:
            if not all(trackers.is_tracker(pid) for pid in left):
                return []
            if self._spares_until == inf:
                self._spares_until = now() + trackers.GRACE
            if now() < self._spares_until:
                return []
            self._spared.update(left)
        self._widowed, self._spares_until = False, inf
        news: list[Event] = [self._died(each) for each in self._mourned]
        self._mourned = []
        self._exits = self._exits_to_come() if self._exits else {}
        return news

    def _exits_to_come(self) -> dict[int, Exit]:
        """Those of jobs whose dispatcher has died too, and whose death has not been noticed yet; no
        others are kept.
        """
        records = [
            record for slot in self._pids.values() for record in self._board.batch(slot).values()
        ]
        jobs = {record.job_pid for record in records if record.message_id}
        return {pid: how for pid, how in self._exits.items() if pid in jobs}

    def _is_ours(self, pid: int) -> bool:
        """Whether one that became our child descends from us, and we may end it.

        Process 1 is given everybody's orphans. What has become another user's (sudo) would hold up
        all other deaths.
        """
        return processes.may_kill(pid) and (os.getpid() != 1 or procfs.has_mark(pid, self._mark))

    def _reaped_stranger(self, death: processes.Death) -> None:
        self._exits[death.pid] = death.exit

    def _died(self, dead: Mourned) -> events.Died:
        """The news, with what the scoreboard says of each message."""
        cause = processes.describe_exit(dead.exit)
        last = dead.records.get(0)
        polled = (
            last.receive_id if last and last.state is State.POLLING and not last.message_id else ""
        )
        orphans = tuple(
            self._orphan(place, record)
            for place, record in sorted(dead.records.items())
            if record.message_id
        )
        settled = {
            place: Settlement(record.intent)
            for place, record in dead.records.items()
            if record.intent and not record.message_id
        }
        return events.Died(dead.slot, dead.exit, cause, orphans, settled, polled)

    def _orphan(self, place: int, record: Record) -> Orphan:
        """A message that a dispatcher left; a job's exit that only we have seen counts too."""
        return Orphan(
            record.message_id,
            record.attempt,
            record.receipt_handle,
            record.lease_until,
            record.intent_delay,
            Settlement(record.intent) if record.intent else None,
            record.exit or self._exits.get(record.job_pid),
            place,
        )

    # Listening.

    def _listen(self, end: Channel, source: int | Role) -> None:
        self._sources[end.fileno()] = source
        self._poll.register(end.fileno(), select.POLLIN)

    def _unlisten(self, fd: int) -> None:
        if fd in self._sources:
            self._poll.unregister(fd)
            del self._sources[fd]

    def _hang_up(self, end: Channel) -> None:
        self._unlisten(end.fileno())
        end.close()


def teller(event: Event) -> int | Role | None:
    """Whose word it is: a slot's, a helper's, or nobody's."""
    match event:
        case events.Said(slot):
            return slot
        case events.HelperSaid(role):
            return role
        case _:
            return None
