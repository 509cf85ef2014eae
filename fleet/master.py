"""The master: one loop of wait → event → step → effects over the state machine in `core/pool.py`.

It supervises, grants and counts. It never touches the network or the app, starts no thread, and sleeps until
something happens or the next deadline that `core/reconcile.py` knows.
"""

import os
import random
import select
import signal
import sys
from dataclasses import dataclass
from math import ceil, inf
from typing import assert_never

import setproctitle

from fleet.core import books, events, pool
from fleet.core.books import Config, End, Level, Phase, Role
from fleet.core.events import Effect, Event
from fleet.core.messages import (
    Counted,
    Failed,
    Fork,
    Forked,
    Imported,
    Late,
    NotCounted,
    NotForked,
    Order,
    Plan,
    Ready,
    Report,
    Usable,
    Word,
)
from fleet.core.reconcile import wakes_at
from fleet.core.slots import HOLDS_MESSAGE, State
from fleet.system import channel, log, processes, scoreboard
from fleet.system.channel import Channel
from fleet.system.clock import now
from fleet.system.scoreboard import Scoreboard
from fleet.system.signals import Wakeup

CAUGHT = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
)
MODULES = {Role.TEMPLATE: "fleet.template", Role.SCOUT: "fleet.scout"}


@dataclass(slots=True)
class Helper:
    """A helper's process and our end of its channel."""

    pid: int
    channel: Channel


class Master:
    """Runs one pool until its state machine says that it has stopped."""

    def __init__(self, plan: Plan, config: Config, passed_fds: tuple[int, ...] = ()) -> None:
        self._plan, self._passed = plan, passed_fds
        self._pool = books.new(config)
        self._board_fd = scoreboard.create()
        self._board = Scoreboard(self._board_fd)
        self._channels: dict[int, Channel] = {}  # by slot
        self._pids: dict[int, int] = {}  # pid → slot
        self._helpers: dict[Role, Helper] = {}
        self._strangers: dict[int, processes.Death] = {}  # ended before the template named them
        self._before = frozenset(processes.children())  # not ours to judge
        self._sweep_due = False
        self._queue_url = plan.queue
        self._trace = ""
        self._began = now()
        self._wakeup = Wakeup(CAUGHT)
        self._poll = select.poll()
        self._poll.register(self._wakeup.fileno(), select.POLLIN)
        self._sources: dict[int, int | Role] = {}  # descriptor → slot or helper
        self._title = ""
        self._ran = False
        processes.become_subreaper()

    def run(self) -> tuple[End, str]:
        """The pool's life. Returns why it ended, and the app's own traceback if that was the reason."""
        try:
            self._take(events.Tick())
            while self._pool.phase is not Phase.STOPPED:
                for event in self._wait():
                    self._take(event)
                self._sweep()
        finally:
            self._dismiss_helpers()
        end = self._pool.end or End(1, "the pool ended without a reason")
        self._tell_end(end)
        return end, self._trace

    # Wait.

    def _wait(self) -> list[Event]:
        """Until something happens, or the next known deadline."""
        until = wakes_at(self._pool, now())
        timeout = None if until == inf else max(0, ceil((until - now()) * 1000))
        ready = [fd for fd, _ in self._poll.poll(timeout)]
        happened: list[Event] = []
        signals: set[int] = set()
        for fd in ready:
            if fd == self._wakeup.fileno():
                signals = self._wakeup.signals()
            else:
                happened += self._heard(fd)
        for number in signals:
            happened += self._signalled(number)
        if signal.SIGCHLD in signals:  # last: what the dead have still said comes first
            happened += self._reaped()
        return happened or [events.Tick()]

    def _heard(self, fd: int) -> list[Event]:
        source = self._sources[fd]
        end = self._channels[source] if isinstance(source, int) else self._helpers[source].channel
        words = end.receive()
        if end.closed:
            self._poll.unregister(fd)
            del self._sources[fd]
        found: list[Event] = []
        for word in words:
            if isinstance(source, int):
                if isinstance(word, Ready):  # it may introduce itself before the template does
                    self._pids[word.pid] = source
                if isinstance(word, Report):
                    found.append(events.Said(source, word))
            else:
                found += self._helper_said(source, word)
        return found

    def _helper_said(self, role: Role, word: Word) -> list[Event]:
        match word:
            case Forked(slot, pid):
                return self._forked(slot, pid)
            case NotForked(slot, why):
                return [events.SpawnFailed(slot, why)] if self._pool.slots[slot].state is State.SPAWNING else []
            case Imported(seconds, warnings):
                log.emit("template.ready", seconds=seconds)
                for why in warnings:
                    log.emit("template.warned", why=why)
                return [events.HelperReady(role)]
            case Usable(url, advice):
                self._queue_url = url
                log.emit("queue.usable", queue=self._plan.queue)
                for why in advice:
                    log.emit("queue.warned", queue=self._plan.queue, why=why)
                return [events.HelperReady(role)]
            case Failed(code, why, trace):
                self._trace = trace
                return [events.HelperFailed(role, code, why)]
            case Late(why, left):
                log.emit("queue.late", why=why, left=left)
            case Counted(visible, in_flight, delayed):
                return [events.Sampled(books.Depth(visible, in_flight, delayed))]
            case NotCounted(why):
                log.emit("sample.failed", why=why)
            case _:
                raise ValueError(f"the {role.value} said {type(word).__name__}")
        return []

    def _forked(self, slot: int, pid: int) -> list[Event]:
        """The template has named a dispatcher's pid; the dispatcher may be ready, or dead, already."""
        state = self._pool.slots[slot].state
        if slot not in self._channels:  # given up meanwhile: it sees that its channel is closed
            return []
        self._pids[pid] = slot
        born: list[Event] = [events.Spawned(slot, pid)] if state is State.SPAWNING else []
        death = self._strangers.pop(pid, None)
        return born + (self._dead(death) if death else [])

    def _signalled(self, number: int) -> list[Event]:
        match number:
            case signal.SIGTERM | signal.SIGINT:
                return [events.StopAsked(Level.DRAIN, signal.Signals(number).name)]
            case signal.SIGQUIT:
                return [events.StopAsked(Level.NOW, "SIGQUIT")]
            case signal.SIGHUP if os.isatty(0):
                return [events.StopAsked(Level.DRAIN, "the terminal is gone")]
            case signal.SIGHUP:
                log.emit("reload.missing")
            case signal.SIGTTIN | signal.SIGTTOU:
                return [events.Resized(1 if number == signal.SIGTTIN else -1)]
            case signal.SIGUSR1:
                log.emit("pool.slots", table=self._table())
            case _:
                pass
        return []

    # Deaths.

    def _reaped(self) -> list[Event]:
        """Every child that has ended; signals merge, so until none is left."""
        found: list[Event] = []
        while death := processes.dead_child():
            if death.pid in self._pids:
                found += self._dead(death)
                continue
            processes.bury(death.pid)
            for role, helper in list(self._helpers.items()):
                if helper.pid == death.pid:
                    found += [*self._last_words(role), events.HelperDied(role, processes.phrase(death.exit))]
                    self._hang_up(self._helpers.pop(role).channel)
            if self._pool.count(State.SPAWNING):
                self._strangers[death.pid] = death
            else:
                self._strangers.clear()
        return found

    def _last_words(self, role: Role) -> list[Event]:
        return [event for word in self._helpers[role].channel.receive() for event in self._helper_said(role, word)]

    def _dead(self, death: processes.Death) -> list[Event]:
        """A dispatcher has ended: its job goes first, then what it said, then the news."""
        slot = self._pids.pop(death.pid)
        record = self._board.read(slot)
        if record and record.job_pid:
            processes.kill_group(record.job_pid, signal.SIGKILL)
        if processes.dead_child(death.pid):
            processes.bury(death.pid)
        self._sweep_due = True
        self._sweep()
        said: list[Event] = []
        if end := self._channels.pop(slot, None):
            said = [events.Said(slot, word) for word in end.receive() if isinstance(word, Report)]
            self._hang_up(end)
        message_id, attempt = (record.message_id, record.attempt) if record and record.message_id else (None, None)
        return [*said, events.Died(slot, death.exit, processes.phrase(death.exit), message_id, attempt)]

    def _sweep(self) -> None:
        """Kill what dead dispatchers have left to us. Not while the template may just have given us a dispatcher."""
        if not self._sweep_due or self._pool.count(State.SPAWNING):
            return
        known = {*self._pids, *(helper.pid for helper in self._helpers.values()), *self._before}
        self._sweep_due = bool(processes.sweep(known))

    def _hang_up(self, end: Channel) -> None:
        if end.fileno() in self._sources:
            self._poll.unregister(end.fileno())
            del self._sources[end.fileno()]
        if end.fileno() >= 0:
            end.close()

    # Step, and effects.

    def _take(self, event: Event) -> None:
        """One step of the state machine, and what it asks for."""
        before = self._pool
        self._pool, effects = pool.step(before, event, now(), random.random())
        if before.phase is Phase.BOOTING and self._pool.phase is Phase.RUNNING:
            self._tell_start()
        for slot in self._pool.slots[: len(before.slots)]:
            if slot.state is State.VACANT and slot.number in self._channels:
                self._hang_up(self._channels.pop(slot.number))
        for effect in effects:
            self._perform(effect)
        self._retitle()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case events.Send(slot, order):
                self._send(slot, order)
            case events.Spawn(slot):
                self._spawn(slot)
            case events.Terminate(slot):
                self._signal(slot, signal.SIGTERM)
            case events.Kill(slot):
                self._signal(slot, signal.SIGKILL)
            case events.SpawnHelper(role):
                self._spawn_helper(role)
            case events.KillHelper(role):
                processes.kill(self._helpers[role].pid, signal.SIGKILL)
            case events.Log(event, fields):
                log.emit(event, **fields)
            case _:
                assert_never(effect)

    def _send(self, slot: int, order: Order) -> None:
        if slot in self._channels:
            self._channels[slot].send(order)

    def _signal(self, slot: int, number: int) -> None:
        pid = self._pool.slots[slot].pid
        if pid in self._pids:
            processes.kill(pid, number)

    def _spawn(self, slot: int) -> None:
        ours, theirs = channel.pair()
        self._board.clear(slot)
        self._channels[slot] = ours
        self._listen(ours, slot)
        if Role.TEMPLATE in self._helpers:
            self._helpers[Role.TEMPLATE].channel.send(Fork(slot, self._queue_url), theirs.fileno())
        theirs.close()

    def _spawn_helper(self, role: Role) -> None:
        ours, theirs = channel.pair()
        fds = [theirs.fileno()]
        if role is Role.TEMPLATE:
            fds += [self._board_fd, *self._passed]
        ours.send(self._plan)
        pid = processes.spawn_program(MODULES[role], [str(fd) for fd in fds], fds)
        theirs.close()
        self._helpers[role] = Helper(pid, ours)
        self._listen(ours, role)

    def _listen(self, end: Channel, source: int | Role) -> None:
        self._sources[end.fileno()] = source
        self._poll.register(end.fileno(), select.POLLIN)

    def _dismiss_helpers(self) -> None:
        """Hang up, kill, reap: nothing of ours is left behind when the master ends. Both are stateless."""
        for helper in self._helpers.values():
            helper.channel.close()
            processes.kill(helper.pid, signal.SIGKILL)
            processes.await_child(helper.pid)
        self._helpers.clear()

    # What people see.

    def _retitle(self) -> None:
        busy = sum(slot.state in HOLDS_MESSAGE for slot in self._pool.slots)
        state = " draining" if self._pool.phase is Phase.DRAINING else ""
        title = f"fleet: master {self._plan.name} [{busy}/{self._pool.desired} busy]{state}"
        if title != self._title:
            self._title = title
            setproctitle.setproctitle(title)

    def _tell_start(self) -> None:
        self._ran = True
        log.emit(
            "master.started",
            name=self._plan.name,
            app=self._plan.app,
            queue=self._plan.queue,
            workers=self._pool.desired,
            longest_stop=self._pool.config.longest_stop,
        )

    def _tell_end(self, end: End) -> None:
        if not self._ran:
            return
        counts = self._pool.counts
        log.emit(
            "drain.finished",
            received=counts.received,
            deleted=counts.deleted,
            released=counts.released,
            dead_lettered=counts.dead_lettered,
            left=counts.left,
        )
        log.emit(
            "master.stopped",
            name=self._plan.name,
            why=end.why,
            code=end.code,
            seconds=round(now() - self._began, 3),
        )

    def _table(self) -> str:
        rows = []
        for slot in self._pool.slots:
            record = self._board.read(slot.number)
            about = (
                f" message {record.message_id} attempt {record.attempt} job {record.job_pid}"
                if record and record.message_id
                else ""
            )
            rows.append(
                f"slot {slot.number} {slot.state.name.lower()} pid {slot.pid} for {now() - slot.since:.0f} s{about}"
            )
        return "\n".join(rows)


def run_pool(plan: Plan, config: Config, passed_fds: tuple[int, ...] = ()) -> tuple[End, str]:
    """Run a pool in this process; see Master.run."""
    sys.stdout.flush()
    return Master(plan, config, passed_fds).run()
