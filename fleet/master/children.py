"""The master's child processes: started, spoken to, listened to, killed, reaped, swept.

Decides nothing: `core/pool/children.py` says what a word or a death means, this does what it asks
for, and hands the events on to the loop.
"""

import errno
import os
import select
import signal
from collections.abc import Iterable, Sequence
from typing import assert_never

from fleet.core.outcomes import Exit
from fleet.core.pool import (
    Children,
    ChildUpdate,
    Event,
    Role,
    Source,
    births,
    children,
    effects,
    events,
    reaping,
)
from fleet.core.protocol import DispatcherOrder, Failed, Plan, PollFailed, Tell, Word
from fleet.core.queue_place import Keys, KeysRefused
from fleet.core.scout_protocol import SampleDepth, ScoutOrder
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Scoreboard
from fleet.master.channels import Channels
from fleet.master.handouts import Handouts
from fleet.master.helper_log import tell_helper_word, tell_line
from fleet.master.orphans import describe_death, jobs_in_hand
from fleet.system import log, processes, procfs, trackers
from fleet.system.clock import now

MODULES = {Role.TEMPLATE: "fleet.template.process", Role.SCOUT: "fleet.scout.process"}


class ChildProcesses:
    """Every process that is the master's own. `known` is what the master knows of them.

    What is a child already when this is made is not ours to judge.
    """

    def __init__(
        self,
        plan: Plan,
        poll: select.poll,
        board: Scoreboard,
        board_fd: int,
        passed: tuple[int, ...],
    ) -> None:
        self._plan, self._board = plan, board
        self._template_fds = (board_fd, *passed)
        self.channels = Channels(poll)
        apps, queues = ", ".join(dict.fromkeys(each.app for each in plan.queues)), len(plan.queues)
        self.known = Children(apps, others=frozenset(procfs.children()), queues=queues)
        self._mark = os.urandom(16).hex()  # on all that descends from our helpers
        self._has_trackers: bool | None = None  # among what we have adopted; None: not looked yet
        self.handouts = Handouts(queues)
        self.trace = ""  # the app's own traceback, if its import raised

    # What the pool asks for.

    def spawn(self, slot: int) -> None:
        """Have the template fork a dispatcher for the slot.

        Raises OSError when there is no channel to be had, or no room in the template's.
        """
        self.forget(slot)
        order = self.handouts.fork_order(slot)
        ours, theirs = channel.make_pair()
        with theirs:
            self._board.clear(slot)
            self.channels.add(slot, ours)
            self.known = births.ask_for_dispatcher(self.known, slot)
            template = self.channels.get(Role.TEMPLATE)
            if template and not template.send(order, theirs.fileno()):
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    def spawn_helper(self, role: Role) -> None:
        """Start the template or the scout. Raises OSError when there is no process to be had."""
        ours, theirs = channel.make_pair()
        fds = [theirs.fileno(), *(self._template_fds if role is Role.TEMPLATE else ())]
        try:
            pid = processes.spawn_program(MODULES[role], [str(fd) for fd in fds], fds, self._mark)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.send(self._plan)
        self.add_helper(role, pid, ours)

    def add_helper(self, role: Role, pid: int, end: Channel) -> None:
        """Listen to a helper that was started. `end` is our end of its channel."""
        self.known = births.add_helper(self.known, role, pid)
        self.channels.add(role, end)

    def forget(self, slot: int) -> None:
        """The slot is vacant: hang up on whoever had it."""
        self.known = births.forget_slot(self.known, slot)
        self.channels.close(slot)

    def send(self, slot: int, order: DispatcherOrder | Keys) -> None:
        """Say something to the slot's dispatcher, if it lives.

        A dispatcher whose channel has no room has not listened for long.
        """
        end = self.channels.get(slot)
        if end and not end.send(order):
            self.distrust(slot, "it takes no orders")

    def order_scout(self, order: ScoutOrder | KeysRefused) -> bool:
        """Give the scout an order. False when its channel has no room for the order.

        A scout that is dead takes every order: its death will be news.
        """
        scout = self.channels.get(Role.SCOUT)
        return scout is None or scout.send(order)

    def signal(self, slot: int, number: int) -> None:
        """Send a signal to the slot's dispatcher, if it lives."""
        for pid, at in self.known.dispatchers.items():
            if at == slot:
                processes.kill(pid, number)

    def kill_helper(self, role: Role) -> None:
        """SIGKILL, if it lives."""
        if role in self.known.helpers:
            processes.kill(self.known.helpers[role], signal.SIGKILL)

    def distrust(self, source: Source, why: str) -> None:
        """Kill a child that says what makes no sense, and listen to it no more."""
        self._apply(children.distrust(self.known, source, why))

    # What they say.

    def hear(self, fd: int) -> list[Event]:
        """What has been said on a channel, as events."""
        source = self.channels.source_of(fd)
        end = None if source is None else self.channels.get(source)
        if source is None or end is None:  # what came before it has hung up on that child
            return []
        words = end.receive()
        if end.closed:
            self.channels.unlisten(end)
        happened = self._take_words(source, words)
        if end.garbled:
            self.distrust(source, f"it said what is no word: {end.garbled}")
        return happened

    def _take_words(self, source: Source, words: Sequence[Word]) -> list[Event]:
        """What words mean, up to one that cannot be."""
        happened: list[Event] = []
        wanted: list[children.ChildEffect] = []
        for word in words:
            if source in self.known.distrusted:
                break
            if isinstance(word, Tell | KeysRefused) and not isinstance(source, Role):
                self._pass_on(source, word)
                continue
            update = births.hear(self.known, source, word, processes.is_child)
            self.known = update.children
            for event in update.events:
                self._note(event)
            happened += update.events
            wanted += update.effects
        return happened + self._perform(wanted)

    def _pass_on(self, slot: int, word: Tell | KeysRefused) -> None:
        """What a dispatcher says is for the log, or for the scout."""
        if isinstance(word, KeysRefused):
            self.order_scout(word)  # should it have no room, the next refusal says it again
        elif trouble := tell_line(word):
            self.distrust(slot, f"it said what cannot be: {trouble}")

    def _note(self, event: Event) -> None:
        """What the master itself makes of a word."""
        match event:
            case events.HelperSaid(_, word):
                tell_helper_word(word, self._plan.queues)
                if keys := self.handouts.note(word):
                    for slot in self.channels.slots:
                        self.send(slot, keys)
                elif isinstance(word, Failed):
                    self.trace = word.trace
            case events.DispatcherSaid(_, PollFailed()) if self._plan.local_port is not None:
                self.order_scout(SampleDepth())  # the scout looks after the embedded server

    # What the record of the children asks for.

    def _apply(self, update: ChildUpdate) -> list[Event]:
        self.known = update.children
        return [*update.events, *self._perform(update.effects)]

    def _perform(self, wanted: Iterable[children.ChildEffect]) -> list[Event]:
        happened: list[Event] = []
        for effect in wanted:
            match effect:
                case children.KillChild(pid):
                    processes.kill(pid, signal.SIGKILL)
                case children.KillJobs(slot):
                    self._kill_jobs(slot)
                case children.HearLast(slot):
                    happened += self._hear_last(slot)
                case children.HangUp(source):
                    self.channels.close(source)
                case children.Mute(source):
                    self.channels.mute(source)
                case effects.Log(event, fields):
                    log.emit(event, **fields)
                case _:
                    assert_never(effect)
        return happened

    def _hear_last(self, source: Source) -> list[Event]:
        """What a child has said that is gone, and may have been left on its channel."""
        end = self.channels.get(source)
        return self._take_words(source, end.receive()) if end else []

    def _kill_jobs(self, slot: int) -> None:
        """Kill the jobs of a dead dispatcher with their groups, at once.

        Where there is a resource tracker the sweep ends them one by one. Trackers are looked for
        once for all deaths.
        """
        jobs = [
            record.job_pid for record in self._board.read_batch(slot).values() if record.job_pid
        ]
        if not jobs:
            return
        if self._has_trackers is None:
            self._has_trackers = bool(trackers.find(procfs.strangers(self.known.kept)))
        if not self._has_trackers:
            for pid in jobs:
                processes.kill_group(pid, signal.SIGKILL)

    # Deaths.

    def reap(self) -> list[Event]:
        """Reap every child that has ended; signals merge, so until none is left."""
        happened: list[Event] = []
        self._has_trackers = None
        while death := processes.dead_child():
            cause = processes.describe_exit(death.exit)
            for role, pid in self.known.helpers.items():
                if pid == death.pid:
                    happened += self._hear_last(role)
            happened += self._apply(reaping.reap(self.known, death.pid, death.exit, cause))
            processes.reap(death.pid)
        self.known = reaping.end_reaping(self.known)
        return happened

    def wakes_at(self) -> float:
        """When to sweep again although nothing has happened."""
        return self.known.spared_at

    def sweep(self) -> list[Event]:
        """Kill what the dead have left to us; what is not gone at once wakes us with SIGCHLD later.

        Returns the deaths of dispatchers, once nothing that they left is alive any more.
        """
        if not self.known.may_sweep:
            return []
        ended: dict[int, Exit] = {}

        def note(death: processes.Death) -> None:
            ended[death.pid] = death.exit

        left = processes.sweep(self.known.kept, note, self.is_ours, trackers.is_tracker)
        self.known = reaping.note_strangers(self.known, ended)
        self.known, news = reaping.end_sweep(
            self.known,
            left,
            only_trackers=all(trackers.is_tracker(pid) for pid in left),
            now=now(),
            grace=trackers.GRACE,
        )
        happened: list[Event] = []
        for death in news:
            records = self._board.read_batch(death.slot)
            happened.append(describe_death(death, records, self.known.exits))
        if self.known.exits and not self.known.may_sweep:
            # A dispatcher may have died too, unnoticed yet: the exits of its jobs are kept.
            slots = self.known.dispatchers.values()
            self.known = reaping.keep_exits(self.known, jobs_in_hand(self._board, slots))
        return happened

    def is_ours(self, pid: int) -> bool:
        """Whether one that became our child descends from us, and we may end it.

        Process 1 is given everybody's orphans. What has become another user's (sudo) would hold up
        all other deaths.
        """
        return processes.may_kill(pid) and (os.getpid() != 1 or procfs.has_mark(pid, self._mark))
