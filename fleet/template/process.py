"""Import the app once, then fork dispatchers from that warm memory at the master's request.

    master ──Fork──▶ template ──fork──▶ middle ──fork──▶ dispatcher
                                          exits ─────────▶ the master, a subreaper, is its parent now

A program of its own (`processes.spawn_program`): the master never imports the app, so an app that
crashes, hangs or starts threads at import cannot hurt it. The template supervises nobody. It leaves
when the master's end of its channel is closed.
"""

import contextlib
import errno
import gc
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from fleet.core.delivery.machine import Rules
from fleet.core.exit_codes import APP_UNUSABLE, CUT_OFF, DONE, FAULT, LOADED, NOTHING_TO_BE_HAD
from fleet.core.protocol import Failed, Fork, Forked, Imported, NotForked, Plan
from fleet.core.queue import Message
from fleet.dispatcher.process import Dispatcher, Post
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Board, Scoreboard
from fleet.ipc.shared_page import SharedPage
from fleet.job import bodies, loader, outputs, process
from fleet.job import end as job_end
from fleet.job.call import Loaded, load_code
from fleet.sqs import dns
from fleet.sqs import queue as sqs_queue
from fleet.system import descriptors, log, processes, signals, stacks, titles
from fleet.system.descriptors import StandardDescriptors
from fleet.template.importing import Before, Left

MOST_WHY, MOST_TRACE = 8_000, 48_000  # bytes of a packet: both together must fit into one
SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS)


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the descriptors of our channel and of the scoreboard; others are only passed on."""
    signals.let_pass()
    control, board = (int(number) for number in arguments[:2])
    ours = {int(number) for number in arguments}
    master = channel.adopt(control)
    inherited = descriptors.opened() - ours
    for fd in ours:
        os.set_inheritable(fd, False)
    plan = master.wait()
    if not isinstance(plan, Plan):
        return
    standard = StandardDescriptors()
    log.configure(plan.config.log_level, plan.config.log_format, standard.error)
    titles.show(f"fleet: template {plan.app}")
    sys.argv[:] = [plan.app.rpartition(":")[0]]  # what an app finds that parses arguments: none
    outputs.line_buffer()  # what an import prints before it ends the process, or hangs, is not lost
    stacks.keep()
    template = Template(plan, master, Scoreboard(board), inherited, standard)
    if template.prepare():
        template.serve()


class Template:
    """The app in memory, and the loop that forks from it."""

    def __init__(
        self,
        plan: Plan,
        master: Channel,
        scoreboard: Scoreboard,
        inherited: set[int],
        standard: StandardDescriptors,
    ) -> None:
        self._plan, self._master, self._scoreboard = plan, master, scoreboard
        self._inherited, self._standard = inherited, standard
        self._sessions = sqs_queue.Sessions(sqs_queue.address(plan))
        self._sessions.prepare()
        self._loaded: Loaded | None = None
        self._left: Left | None = None
        self._dangers: list[str] = []
        self._keep = sorted(inherited)

    def prepare(self) -> bool:
        """Import the app and freeze what is in memory. False when there is nothing to serve."""
        began = time.monotonic()
        bodies.prepare(self._plan.config)
        if not (self._import() if self._plan.config.preload else self._loads_elsewhere()):
            return False
        stacks.keep()  # the app may have taken its signal
        gc.collect()
        gc.freeze()
        self._master.send(Imported(round(time.monotonic() - began, 3), self._dangers))
        return True

    def _import(self) -> bool:
        """Here. Whatever it does, this process is fleet's again when it is judged."""
        before = Before(self._standard, self._inherited)
        failed: loader.AppError | None = None
        try:
            self._loaded = load_code(self._plan.app, self._plan.config)
        except loader.AppError as error:
            failed = error
        except BaseException as error:  # noqa: BLE001 - a tracer of its own that raises, after the import
            failed = loader.AppError(
                f"{self._plan.app}: loading it failed: {type(error).__name__}: {error}"
            )
        _flush_standard_streams()
        try:
            return self._judge(before, failed)
        except BaseException as error:  # noqa: BLE001 - no /proc any more (chroot), a hook of the app's that raises
            what = f"{type(error).__name__}: {error}"
            return self._fail(
                f"what its import leaves is no process that fleet can work in: {what} (--no-preload)"
            )

    def _judge(self, before: Before, failed: loader.AppError | None) -> bool:
        try:
            left = before.put_back()
        except BaseException:  # noqa: BLE001 - a tracer, as above; the interpreter has switched it off by now
            left = before.put_back()
        signals.set_aside_handlers_of_the_app(stacks.show)
        return self._is_good(before, failed) and self._take(before, left)

    def _is_good(self, before: Before, failed: loader.AppError | None) -> bool:
        """Whether jobs can be made of what has been imported; else the master is told why not."""
        if before.went_on_in_a_child:
            self._fail(
                "its import forks and goes on in the child, as a daemon does: fleet keeps the processes itself"
            )
            processes.exit_at_once(FAULT)
        if lost := before.lost():
            if self._master.fileno() in lost:
                processes.exit_at_once(CUT_OFF)
            return self._fail("its import closes descriptors that are not its own (--no-preload)")
        if failed:
            return self._fail(str(failed), failed.trace, named=True)
        if trouble := before.trouble():
            return self._fail(trouble)
        return processes.die_with_parent(
            self._plan.master, processes.KILL
        )  # giving up root has undone that

    def _take(self, before: Before, left: Left) -> bool:
        """What jobs will find: files, descriptors, the state of the process."""
        outputs.take_stock()
        self._left, self._dangers = left, before.dangers()
        self._keep = sorted(
            {*self._inherited, *before.opened, *(fd for fd, _ in left.standard)}
        )  # not one of ours
        return True

    def _fail(self, why: str, trace: str = "", *, named: bool = False) -> bool:
        """Tell the master that there is nothing to serve, and why."""
        text = channel.shortened(why if named else f"{self._plan.app}: {why}", MOST_WHY)
        self._master.send(
            Failed(APP_UNUSABLE, text, channel.shortened(trace, MOST_TRACE, end=True))
        )
        return False

    def _load(self) -> bool:
        try:
            load_code(self._plan.app, self._plan.config)
        except loader.AppError as error:
            return self._fail(str(error), error.trace, named=True)
        return True

    def _loads_elsewhere(self) -> bool:
        """--no-preload: try the import in a process that ends with it, so that a bad app is known
        at the start.
        """
        us = os.getpid()
        child = processes.fork_with_signals_blocked()
        if child == 0:
            good = False
            try:
                signals.unblock_all()
                stacks.keep()
                good = processes.die_with_parent(us, processes.KILL) and self._load()
                _flush_standard_streams()
            finally:
                processes.exit_at_once(LOADED if good else APP_UNUSABLE)
        status = processes.await_child(child)
        if status < 0:
            self._fail(
                f"importing {self._plan.app} died: {signals.signal_name(-status)}", named=True
            )
        elif status not in (LOADED, APP_UNUSABLE):  # it has not said itself what is wrong
            self._fail(
                f"its import ends the process (exit {status}), or forks and goes on in the child, as a daemon does"
            )
        return status == LOADED

    def serve(self) -> None:
        """One fork a request, until the master hangs up."""
        while (word := self._master.wait()) is not None:
            if isinstance(word, Fork):
                if not self._master.fds:  # the kernel had no descriptor for it here
                    self._master.send(NotForked(word.slot, os.strerror(errno.EMFILE)))
                    continue
                end = self._master.fds.pop(0)
                self._fork(word, end)
                os.close(end)

    def _fork(self, request: Fork, end: int) -> None:
        """Fork twice, so that the dispatcher is the master's child; then name its pid."""
        pipe: tuple[int, ...] = ()
        try:
            pipe = read, write = os.pipe()
            middle = processes.fork_with_signals_blocked()
        except OSError as error:
            self._master.send(NotForked(request.slot, os.strerror(error.errno or 0)))
            for fd in pipe:
                os.close(fd)
            return
        if middle == 0:
            os.close(read)
            self._middle(request, end, write)
        os.close(write)
        answer = os.read(read, 32)
        os.close(read)
        processes.await_child(middle)
        if answer:
            self._master.send(Forked(request.slot, int(answer)))
        else:
            self._master.send(NotForked(request.slot, "the second fork failed"))

    def _middle(self, request: Fork, end: int, write: int) -> NoReturn:
        """Between template and dispatcher, for a moment. Signals stay blocked until the dispatcher
        is one.
        """
        us = os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                os.close(write)
                self._dispatcher(request, end, us)
            os.write(write, str(pid).encode())
        finally:
            processes.exit_at_once(0)

    def _dispatcher(self, request: Fork, end: int, middle: int) -> NoReturn:
        code = FAULT
        try:
            _await_death(middle)
            # CONT: it ends nobody, but one that is stopped wakes up and sees that the master is
            # gone (ears.py).
            if processes.die_with_parent(self._plan.master, processes.CONTINUE):
                self._master.close()
                stacks.keep()
                log.start_in_child()
                processes.become_subreaper()
                job_end.forget()
                Dispatcher(self._post(request, end)).run()
            code = DONE
        except OSError as error:
            code = NOTHING_TO_BE_HAD if error.errno in SCARCE else code
            log.emit(
                "dispatcher.failed" if code == FAULT else "dispatcher.starved",
                slot=request.slot,
                error=f"{error}",
            )
        except BaseException as error:  # noqa: BLE001 - a fault of ours, or a hook of the app's: said, then it starts afresh
            log.emit(
                "dispatcher.failed", slot=request.slot, error=f"{type(error).__name__}: {error}"
            )
        finally:
            processes.exit_at_once(code)

    def _post(self, request: Fork, end: int) -> Post:
        plan, slot = self._plan, request.slot
        short_call = min(sqs_queue.SHORT_CALL, plan.config.call_timeout)
        board = Board(self._scoreboard, slot)
        means = sqs_queue.Means(dns.in_time, board.note)
        queue = sqs_queue.SqsQueue(
            self._sessions, request.queue_url, plan.config.wait_time, short_call, means
        )

        as_imported = None if self._left is None else self._left.redo

        def work(message: Message, page: SharedPage) -> process.Work:
            return process.Work(
                plan.app,
                plan.config,
                self._loaded,
                plan.queue,
                slot,
                message,
                self._keep,
                page,
                as_imported=as_imported,
            )

        return Post(plan, rules_of(plan), slot, channel.adopt(end), board, queue, queue.renew, work)


def rules_of(plan: Plan) -> Rules:
    """What decides about every delivery."""
    config = plan.config
    return Rules(config, config.exit_handler is not None or config.router is not None, plan.is_fifo)


def _await_death(pid: int) -> None:
    """Until our parent has exited, and the kernel has given us to the master."""
    try:
        pidfd = processes.open_pidfd(pid)
    except ProcessLookupError:
        return
    with select.epoll() as waiting:
        waiting.register(pidfd, select.EPOLLIN)
        waiting.poll()
    os.close(pidfd)


def _flush_standard_streams() -> None:
    """What the app has printed must not be printed again by every fork; nor fail in each when the
    disk is full.
    """
    for name in ("stdout", "stderr"):
        try:
            stream = getattr(sys, name)
            if not getattr(stream, "closed", stream is None):  # else as the app wants it
                stream.flush()
        except BaseException:  # noqa: BLE001 - it may be the app's own
            with contextlib.suppress(Exception):
                setattr(sys, name, open(stream.fileno(), "w", closefd=False, buffering=1))  # noqa: SIM115
