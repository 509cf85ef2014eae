"""Import the apps here, or try that in a child (--no-preload), and judge what that has done.

The question is whether jobs can be made of it.

If not, the master is told why. Whatever imports do, this process is fleet's own again when they
are judged (import_effects.py). They are judged together: a process has all of their effects.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field

from fleet.core.exit_codes import APP_UNUSABLE, CUT_OFF, FAULT, IMPORTED
from fleet.core.protocol import Failed, Plan
from fleet.ipc import channel
from fleet.ipc.channel import Channel
from fleet.job import outputs
from fleet.job.loader import AppError
from fleet.job.user_code import UserCode, load_code
from fleet.system import processes, signals, stacks
from fleet.system.descriptors import StandardDescriptors
from fleet.template.import_effects import ImportEffects, ProcessBeforeImport

MOST_WHY, MOST_TRACE = 8_000, 48_000  # bytes of a packet: both together must fit into one


@dataclass(frozen=True, slots=True)
class ImportedApp:
    """What dispatchers hand on to their jobs.

    `loaded` is by queue. With --no-preload each job imports its app itself: then `loaded` and
    `effects` are None.

    `keep_fds`: sorted descriptors that stay open in a job, none of them fleet's own. `warnings`:
    what the import has made that does not survive a fork well.
    """

    keep_fds: list[int]
    loaded: list[UserCode] | None = None
    effects: ImportEffects | None = None
    warnings: list[str] = field(default_factory=list)


class Importer:
    """Imports the apps of the plan. `inherited`: descriptors that are the user's."""

    def __init__(
        self,
        plan: Plan,
        master: Channel,
        inherited: set[int],
        standard: StandardDescriptors,
    ) -> None:
        self._plan, self._master = plan, master
        self._apps = ", ".join(dict.fromkeys(queue.app for queue in plan.queues))
        self._inherited, self._standard = inherited, standard

    def load(self) -> ImportedApp | None:
        """The apps; None where one cannot be used, which the master has been told then."""
        if self._plan.config.preload:
            return self._import_here()
        if self._can_be_imported_in_a_child():
            return ImportedApp(sorted(self._inherited))
        return None

    def _import_here(self) -> ImportedApp | None:
        before = ProcessBeforeImport(self._standard, self._inherited)
        loaded: list[UserCode] | None = None
        failure: AppError | None = None
        try:
            loaded = self._load_all()
        except AppError as error:
            failure = error
        except BaseException as error:  # noqa: BLE001 - a tracer of the app's that raises
            what = f"{type(error).__name__}: {error}"
            failure = AppError(f"{self._apps}: loading it failed: {what}")
        _flush_standard_streams()
        try:
            return self._judge(before, loaded, failure)
        except BaseException as error:  # noqa: BLE001 - as no /proc (chroot), or the app's hook
            what = f"{type(error).__name__}: {error}"
            self._tell_why_not(
                "what its import leaves is no process that fleet can work in: "
                f"{what} (--no-preload)"
            )
            return None

    def _judge(
        self, before: ProcessBeforeImport, loaded: list[UserCode] | None, failure: AppError | None
    ) -> ImportedApp | None:
        """Put the process back, then look at what the import has done to it."""
        try:
            effects = before.put_back()
        except BaseException:  # noqa: BLE001 - a tracer, which the interpreter has switched off now
            effects = before.put_back()
        signals.set_aside_handlers_of_the_app(stacks.write_stack)
        if not self._is_usable(before, failure):
            return None
        outputs.take_stock()
        theirs = {*self._inherited, *before.opened, *(fd for fd, _ in effects.standard)}
        return ImportedApp(sorted(theirs), loaded, effects, before.warnings())

    def _is_usable(self, before: ProcessBeforeImport, failure: AppError | None) -> bool:
        """Whether jobs can be made of what has been imported; else the master is told why not."""
        if before.went_on_in_a_child:
            self._tell_why_not(
                "its import forks and goes on in the child, as a daemon does: "
                "fleet keeps the processes itself"
            )
            processes.exit_at_once(FAULT)
        if lost := before.lost_descriptors():
            if self._master.fileno() in lost:
                processes.exit_at_once(CUT_OFF)
            self._tell_why_not("its import closes descriptors that are not its own (--no-preload)")
            return False
        if failure:
            self._tell_failure(failure)
            return False
        if trouble := before.trouble():
            self._tell_why_not(trouble)
            return False
        # Once more: an import that gives up root has undone it.
        return processes.die_with_parent(self._plan.master, processes.KILL)

    def _can_be_imported_in_a_child(self) -> bool:
        """Try the import in a process that ends with it: a bad app is known at the start then."""
        template = os.getpid()
        child = processes.fork_with_signals_blocked()
        if child == 0:
            self._try_import(template)
        status = processes.await_child(child)
        if status < 0:
            died_by = signals.signal_name(-status)
            self._send(f"importing {self._apps} died: {died_by}")
        elif status not in (IMPORTED, APP_UNUSABLE):  # it has not sent itself what is wrong
            self._tell_why_not(
                f"its import ends the process (exit {status}), "
                "or forks and goes on in the child, as a daemon does"
            )
        return status == IMPORTED

    def _try_import(self, template: int) -> None:
        """In the child: import the app, and exit with what came of it."""
        code = APP_UNUSABLE
        try:
            signals.unblock_all()
            stacks.enable()
            if processes.die_with_parent(template, processes.KILL) and self._loads():
                code = IMPORTED
            _flush_standard_streams()
        finally:
            processes.exit_at_once(code)

    def _loads(self) -> bool:
        try:
            self._load_all()
        except AppError as error:
            self._tell_failure(error)
            return False
        return True

    def _load_all(self) -> list[UserCode]:
        """The user's code of each queue. Raises AppError, which names the queue if it is needed."""
        loaded = []
        for queue in self._plan.queues:
            try:
                loaded.append(load_code(queue.app, queue.config))
            except AppError as error:
                about = f"queue {queue.name}: " if len(self._plan.queues) > 1 else ""
                raise AppError(f"{about}{error}", error.trace) from None
        return loaded

    # Messages to the master

    def _tell_failure(self, failure: AppError) -> None:
        self._send(str(failure), failure.trace)

    def _tell_why_not(self, why: str) -> None:
        self._send(f"{self._apps}: {why}")

    def _send(self, why: str, trace: str = "") -> None:
        text = channel.shorten(why, MOST_WHY)
        self._master.send(Failed(APP_UNUSABLE, text, channel.shorten(trace, MOST_TRACE, end=True)))


def _flush_standard_streams() -> None:
    """Write out what the app has printed.

    Else every fork would print it again, or fail in each fork when the disk is full.
    """
    for name in ("stdout", "stderr"):
        try:
            stream = getattr(sys, name)
            if not getattr(stream, "closed", stream is None):  # else as the app wants it
                stream.flush()
        except BaseException:  # noqa: BLE001 - it may be the app's own
            with suppress(Exception):
                replacement = open(stream.fileno(), "w", closefd=False, buffering=1)  # noqa: SIM115
                setattr(sys, name, replacement)
