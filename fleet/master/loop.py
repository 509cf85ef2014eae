"""The master: one loop of wait → event → step → effects over the state machine in `core/pool`.

It supervises, grants and counts. It never touches the network or the app, starts no thread, and
sleeps until something happens or the next deadline that `core/pool` knows.
"""

import os
import select
import signal
import socket
from math import ceil, inf
from pathlib import Path
from typing import assert_never

from fleet.core import control
from fleet.core.control import Request
from fleet.core.exit_codes import FAULT
from fleet.core.pool import (
    Effect,
    Event,
    Level,
    PoolEnd,
    PoolPhase,
    Role,
    children,
    effects,
    events,
    new,
    step,
    wakes_at,
)
from fleet.core.protocol import Plan
from fleet.ipc import scoreboard
from fleet.ipc.pool_socket import Claim
from fleet.ipc.scoreboard import Scoreboard
from fleet.master import farewell, stack_requests
from fleet.master.children import ChildProcesses
from fleet.master.control_socket import ControlSocket
from fleet.master.display import Display
from fleet.master.health_file import HealthFile
from fleet.master.own_fault import FaultStop, attempt
from fleet.master.presence import Presence
from fleet.master.service_manager import ServiceManager
from fleet.system import jitter, log, memory, processes, procfs, signals, stacks
from fleet.system.clock import now
from fleet.system.signals import Wakeup

CAUGHT = (*signals.GROUP, *signals.HARMLESS, signal.SIGCHLD)
MEASURED_EVERY = 1.0  # seconds between two looks at the memory, at least


class Master:
    """Runs one pool until its state machine says that it has stopped."""

    def __init__(
        self,
        plan: Plan,
        listener: socket.socket,
        ours: Claim,
        health: HealthFile,
        passed_fds: tuple[int, ...] = (),
        others: tuple[Path, ...] = (),
    ) -> None:
        self._judged = now()
        self._pool = new(plan.config, plan.queues)
        hears_hup = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup(1) ignores it
        self._wakeup = Wakeup(
            number for number in CAUGHT if hears_hup or number is not signal.SIGHUP
        )
        stacks.enable()
        self._poll = select.poll()
        self._poll.register(self._wakeup.fileno(), select.POLLIN)
        board_fd = scoreboard.create(max(queue.config.batch_size for queue in plan.queues))
        self._board = Scoreboard(board_fd)
        self._display = Display(plan, self._board)
        self._service_manager = ServiceManager(
            max(plan.config.boot_timeout, plan.config.start_timeout)
        )
        self._health = health
        self._clients: list[int] = []  # descriptors of the control socket that are to be looked at
        self._control = ControlSocket(listener, ours.held, self._poll, self._answer)
        self._presence = Presence(ours, self._control, others)
        self._memory = memory.MemoryGauge()
        # Asked now: a terminal that has hung up says that it is none.
        self._at_terminal = os.isatty(0)
        processes.become_subreaper()
        self._children = ChildProcesses(plan, self._poll, self._board, board_fd, passed_fds)

    def run(self) -> tuple[PoolEnd, str]:
        """Run the pool until it has stopped.

        Returns why it ended, and the app's own traceback if that was the reason.
        """
        try:
            self._step(events.Tick())
            self._display.retitle(self._pool)
            self._health.write(self._pool)
            while self._pool.phase is not PoolPhase.STOPPED:
                for event in self._wait():
                    self._measure_memory()
                    self._step(event)
                for event in self._children.sweep():
                    self._step(event)
                self._serve_clients()
                self._display.retitle(self._pool)
                self._presence.check_if_due()
                self._service_manager.tell(self._pool)
                self._health.write(self._pool)
        except Exception as error:  # noqa: BLE001 - whatever it is: nobody may be left behind
            stop = FaultStop(self._wakeup, self._control, self._children, self._service_manager)
            return stop.run(error, now() + self._pool.longest_stop), ""
        finally:
            signals.ignore_for_good()
            attempt(self._control.close)
            attempt(lambda: farewell.dismiss(self._children))
        self._health.write(self._pool, last=True)
        end = self._pool.end or PoolEnd(FAULT, "the pool ended without a reason")
        self._display.log_end(self._pool, end, self._children.handouts.dead_letters)
        return end, self._children.trace

    # Wait.

    def _wait(self) -> list[Event]:
        """Sleep until something happens, or until the next known deadline.

        A Tick is the last event when a deadline of the pool has passed, or when nothing else has
        happened.
        """
        deadline = wakes_at(self._pool, self._judged)
        happened: list[Event] = []
        came: set[int] = set()
        for fd, _ in self._poll.poll(self._timeout(deadline)):
            if fd == self._wakeup.fileno():
                came = self._wakeup.signals()
            elif self._control.owns(fd):
                self._clients.append(fd)
            else:
                happened += self._children.hear(fd)
        if signal.SIGCHLD in came:  # after all words, so that what the dead have said comes first
            happened += self._children.reap()
        for number in came:  # what has happened comes before what is asked
            happened += self._events_of_signal(number)
        if now() >= deadline or not (happened or self._clients):
            happened.append(events.Tick())
        return happened

    def _timeout(self, deadline: float) -> int | None:
        """Milliseconds until then, or until something beside the pool is due; None without end."""
        wake = min(
            deadline,
            self._children.wakes_at(),
            self._control.wakes_at(),
            self._presence.wakes_at(),
            self._service_manager.wakes_at(self._pool),
            self._health.wakes_at(),
        )
        return None if wake == inf else max(0, ceil((wake - now()) * 1000))

    def _serve_clients(self) -> None:
        """Answer clients of the control socket, after all that has happened.

        What a client asks for is a step of its own.
        """
        while self._clients:
            fd = self._clients.pop()
            if self._control.owns(fd):  # not hung up on meanwhile
                self._control.handle(fd)
        self._control.tidy()

    def _answer(self, request: Request) -> bytes:
        """Do what a client asks for, and answer it. Raises BadRequest when it is refused."""
        event, text = control.decide(self._pool, request)
        if event is None:
            status = self._display.status(self._pool, self._children.known.pids)
            return control.encode_answer(ok=True, status=status)
        self._step(event)
        return control.encode_answer(ok=True, said=text, pid=os.getpid())

    def _events_of_signal(self, number: int) -> list[Event]:
        """What a signal to the master asks for."""
        match number:
            case signal.SIGTERM | signal.SIGINT:
                return [events.StopAsked(Level.DRAIN, signal.Signals(number).name)]
            case signal.SIGQUIT:
                return [events.StopAsked(Level.NOW, "SIGQUIT")]
            case signal.SIGHUP if self._at_terminal:
                return [events.StopAsked(Level.DRAIN, "the terminal is gone")]
            case signal.SIGHUP:
                log.emit("reload.missing")
            case signal.SIGTTIN | signal.SIGTTOU:
                return [events.ResizeAsked(1 if number == signal.SIGTTIN else -1)]
            case signal.SIGUSR1:
                table = self._display.table(self._pool, self._children.known.pids)
                log.emit("pool.slots", table=table)
            case signal.SIGUSR2:
                return [events.StacksAsked()]
            case _:
                pass
        return []

    # Step, and effects.

    def _step(self, event: Event) -> None:
        """Have the state machine take one event, and do what it asks for.

        When the machine raises, its state is as it was. What a child's word has made it raise is
        the child's fault, and the child is killed for it.
        """
        moment = now()
        if isinstance(event, events.Tick):
            self._judged = moment
        before = self._pool
        try:
            self._pool, wanted = step(before, event, moment, jitter.draw())
        except Exception as error:
            source = children.source_of(event)
            if source is None:
                raise
            what = f"{event}: {type(error).__name__}: {error}"
            self._children.distrust(source, f"it said what cannot be: {what}")
            return
        if before.phase is PoolPhase.BOOTING and self._pool.phase is PoolPhase.RUNNING:
            self._display.log_start(self._pool)
        if before.slots is not self._pool.slots and self._pool.size < len(self._pool.slots):
            for slot in self._pool.slots:
                if slot.is_vacant:
                    self._children.forget(slot.number)
        for effect in wanted:
            self._perform(effect)

    def _measure_memory(self) -> None:
        """Tell the machine what memory there is, before it decides on an event.

        At most once a second, and only when something happens.
        """
        moment = now()
        if moment < self._pool.memory.at + MEASURED_EVERY:
            return
        measured = self._memory.read()
        if measured is not None:
            busy = [slot.number for slot in self._pool.slots if slot.is_busy]
            records = ((number, self._board.read(number)) for number in busy)
            taken = {
                number: procfs.resident_mib(record.job_pid)
                for number, record in records
                if record and record.job_pid
            }
            self._step(events.MemoryMeasured(measured.available, measured.total, taken))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case effects.Send(slot, order):
                self._children.send(slot, order)
            case effects.Spawn(slot):
                self._spawn(slot)
            case effects.TerminateDispatcher(slot):
                self._children.signal(slot, signal.SIGTERM)
            case effects.KillDispatcher(slot):
                self._children.signal(slot, signal.SIGKILL)
            case effects.SpawnHelper(role):
                self._spawn_helper(role)
            case effects.Inspect(slot):
                if record := self._board.most_urgent(slot):
                    lease = (record.lease_until, record.lease)
                    in_hand = bool(record.message_id)
                    self._step(events.RecordRead(slot, record.heartbeat, *lease, in_hand))
            case effects.AskStack(who):
                stack_requests.ask_stacks(self._children.known, who)
            case effects.TellStack(who):
                stack_requests.tell_stacks(self._children.known, who)
            case effects.OrderScout(order):
                if not self._children.order_scout(order):
                    self._step(events.OrderNotTaken(order))
            case effects.KillHelper(role):
                self._children.kill_helper(role)
            case effects.LogHung(slot, why):
                pid = self._children.known.pids.get(slot)
                log.emit("dispatcher.hung", slot=slot, pid=pid, why=why)
            case effects.Log(event, fields):
                log.emit(event, **fields)
            case _:
                assert_never(effect)

    def _spawn(self, slot: int) -> None:
        try:
            self._children.spawn(slot)
        except OSError as error:
            self._step(events.SpawnFailed(slot, os.strerror(error.errno or 0)))

    def _spawn_helper(self, role: Role) -> None:
        try:
            self._children.spawn_helper(role)
        except OSError as error:
            self._step(events.HelperSpawnFailed(role, os.strerror(error.errno or 0)))
