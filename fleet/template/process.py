"""The template: imports the apps once, then forks dispatchers from that warm memory.

    master ──Fork──▶ template ──fork──▶ middle ──fork──▶ dispatcher
                                        exits: the master, a subreaper, is the dispatcher's parent

A program of its own (`processes.spawn_program`): the master never imports the app, so an app that
crashes, hangs or starts threads at import cannot hurt it. The template supervises nothing. It exits
when the master's end of its channel is closed.
"""

import errno
import os
import select
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from fleet.core.exit_codes import DONE, FAULT, HOST_SHORT
from fleet.core.protocol import Fork, Forked, Imported, NotForked, Plan
from fleet.dispatcher import job_forker
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.ipc.scoreboard import Scoreboard, SlotBoard
from fleet.job import bodies, outputs, rehearsal
from fleet.job import end as job_end
from fleet.sqs import foresight, wire
from fleet.sqs.address import address_of
from fleet.sqs.pool_access import Keyring, PoolAccesses
from fleet.system import descriptors, log, processes, signals, stacks, titles
from fleet.system.descriptors import StandardDescriptors
from fleet.template import memory_image, small_blocks
from fleet.template.dispatcher_parts import make_dispatcher
from fleet.template.importing import ImportedApp, Importer

# What the kernel says when it has nothing more to give.
SCARCE = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOBUFS)
MOST_WHY = 1_000  # bytes of a packet


def main(arguments: Sequence[str]) -> None:
    """Be the template.

    `arguments`: the descriptors of our channel and of the scoreboard; others are only passed on.
    """
    signals.let_pass()
    control, board = (int(number) for number in arguments[:2])
    ours = {int(number) for number in arguments}
    master = channel.adopt(control)
    inherited = descriptors.open_descriptors() - ours
    for fd in ours:
        os.set_inheritable(fd, False)
    plan = master.wait()
    if not isinstance(plan, Plan):
        return
    standard = StandardDescriptors()
    several, level = len(plan.queues) > 1, plan.config.log_level
    log.configure(level, plan.config.log_format, standard.error, names_queue=several)
    rehearsal.rehearse(descriptors.open_descriptors())
    apps = [*dict.fromkeys(queue.app for queue in plan.queues)]
    titles.show(f"fleet: template {apps[0]}{f' +{len(apps) - 1}' if apps[1:] else ''}")
    sys.argv[:] = [apps[0].rpartition(":")[0]]  # what an app finds that parses arguments: none
    outputs.line_buffer()  # what an import prints before it ends the process, or hangs, is not lost
    stacks.enable()
    wire.rehearse()
    app = prepare(plan, master, inherited, standard)
    if app is not None:
        Template(plan, app, master, Scoreboard(board)).serve()


def prepare(
    plan: Plan, master: Channel, inherited: set[int], standard: StandardDescriptors
) -> ImportedApp | None:
    """Import the apps, freeze what is in memory, and tell the master.

    None when there is nothing to serve.
    """
    for queue in plan.queues:
        foresight.preload(address_of(plan, queue), plan.config.transport, os.environ)
    began = time.monotonic()
    for queue in plan.queues:
        bodies.prepare(queue.config)
    app = Importer(plan, master, inherited, standard).load()
    if app is not None:
        stacks.enable()  # an app may have taken its signal
        memory_image.freeze()
        master.send(Imported(round(time.monotonic() - began, 3), app.warnings))
    return app


class Template:
    """The apps in memory, and the loop that forks from it."""

    def __init__(
        self, plan: Plan, app: ImportedApp, master: Channel, scoreboard: Scoreboard
    ) -> None:
        self._plan, self._app = plan, app
        self._master, self._scoreboard = master, scoreboard
        several = len(plan.queues) > 1
        self._names = [queue.name for queue in plan.queues] if several else []
        self._accesses: PoolAccesses | None = None
        self._means: job_forker.Means | None = None
        self._filling: list[object] = []  # kept, or what it fills would be free again

    def serve(self) -> None:
        """Fork one dispatcher a request, until the master hangs up."""
        while (request := self._master.wait()) is not None:
            if not isinstance(request, Fork):
                continue
            if not self._master.fds:  # the kernel had no descriptor for it here
                self._refuse(request, errno.EMFILE)
                continue
            end = self._master.fds.pop(0)
            try:
                accesses = self._prepare_accesses(request)
            except Exception as error:  # noqa: BLE001 - a bundle, or what the app has patched
                why = str(error) or type(error).__name__
                self._master.send(NotForked(request.slot, channel.shorten(why, MOST_WHY)))
            else:
                self._fork(request, end, accesses)
            os.close(end)

    def _refuse(self, request: Fork, error: int | None) -> None:
        self._master.send(NotForked(request.slot, os.strerror(error or 0)))

    def _prepare_accesses(self, request: Fork) -> PoolAccesses:
        """Load what calls to the queues need, once for all dispatchers.

        Raises QueueError for a CA bundle that has gone, and whatever an app has patched raises.
        """
        if self._accesses is None:
            addresses = [address_of(self._plan, queue) for queue in self._plan.queues]
            self._accesses = PoolAccesses(addresses, Keyring(request.keys))
        accesses = self._accesses
        if accesses.find(request.places):
            self._filling = self._filling or small_blocks.fill()
            memory_image.freeze()
        accesses.keyring.take(request.keys)
        # Anew for each: threads of the import may have loaded more.
        self._means = None
        with suppress(OSError):  # no descriptor now: the dispatcher looks itself
            self._means = job_forker.find_means()
        return accesses

    def _fork(self, request: Fork, end: int, accesses: PoolAccesses) -> None:
        """Fork twice, so that the dispatcher is the master's child; then name its pid."""
        try:
            read, write = os.pipe()
        except OSError as error:
            self._refuse(request, error.errno)
            return
        try:
            middle = processes.fork_with_signals_blocked()
        except OSError as error:
            self._refuse(request, error.errno)
            os.close(read)
            os.close(write)
            return
        if middle == 0:
            os.close(read)
            self._run_middle(request, end, accesses, write)
        os.close(write)
        answer = os.read(read, 32)
        os.close(read)
        processes.await_child(middle)
        if answer:
            self._master.send(Forked(request.slot, int(answer)))
        else:
            self._master.send(NotForked(request.slot, "the second fork failed"))

    def _run_middle(self, request: Fork, end: int, accesses: PoolAccesses, write: int) -> NoReturn:
        """Between template and dispatcher, for a moment.

        Signals stay blocked until the dispatcher is one.
        """
        middle = os.getpid()
        try:
            pid = os.fork()
            if pid == 0:
                os.close(write)
                self._run_dispatcher(request, end, accesses, middle)
            os.write(write, str(pid).encode())
        finally:
            processes.exit_at_once(DONE)

    def _run_dispatcher(
        self, request: Fork, end: int, accesses: PoolAccesses, middle: int
    ) -> NoReturn:
        code = FAULT
        try:
            _await_death(middle)
            # CONT: it ends no process, but a dispatcher that is stopped wakes up and sees that the
            # master is gone (dispatcher/inbox.py).
            if processes.die_with_parent(self._plan.master, processes.CONTINUE):
                self._master.close()
                stacks.enable()
                log.start_in_child()
                processes.become_subreaper()
                job_end.forget()
                if self._app.effects is not None:
                    self._app.effects.begin_dispatcher()
                board = SlotBoard(self._scoreboard, request.slot, queues=self._names)
                dispatcher, forker = make_dispatcher(
                    self._plan, self._app, request.slot, end, accesses, board, self._means
                )
                dispatcher.run()
                forker.close()
            code = DONE
        except OSError as error:
            event = "dispatcher.failed"
            if error.errno in SCARCE:
                code, event = HOST_SHORT, "dispatcher.starved"
            log.emit(event, slot=request.slot, error=f"{error}")
        except BaseException as error:  # noqa: BLE001 - a fault of ours, or a hook of the app's
            what = f"{type(error).__name__}: {error}"
            log.emit("dispatcher.failed", slot=request.slot, error=what)
        finally:
            processes.exit_at_once(code)


def _await_death(pid: int) -> None:
    """Wait until our parent has exited, and the kernel has given us to the master."""
    try:
        pidfd = processes.open_pidfd(pid)
    except ProcessLookupError:
        return
    with select.epoll() as waiting:
        waiting.register(pidfd, select.EPOLLIN)
        waiting.poll()
    os.close(pidfd)
