"""The job forker: a child of a dispatcher that does nothing but fork its jobs.

    dispatcher ──message──▶ forker ──clone(CLONE_PARENT)──▶ job, a child of the dispatcher
               ◀──the pid──

A job is forked from a process that is in a job's state already, and that touches next to nothing
between two forks; a dispatcher that forks nothing has no page to copy that a job shares. The forker
runs no user code. All its signals are blocked, it leads a session of its own, and it ends with its
dispatcher. The dispatcher's part, and what is done when the forker is lost, is in
dispatcher/job_forker.py.

docs/decisions/0033 has the reasons.
"""

import marshal
import mmap
import os
import signal
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from fleet.core.exit_codes import DONE, FAULT
from fleet.core.queue import Message
from fleet.job import api, message_variables, outputs, own_process, process, status
from fleet.job.message_variables import CannotBeInherited
from fleet.system import processes, sibling_fork
from fleet.system.sibling_fork import SiblingFork

LONGEST = 360 << 10  # bytes of a request: a message of 256 KiB, and what belongs to it
NO_MESSAGE = Message("", "", "")
NOT_ALONE = 0
"""The answer of a forker that has threads: it cannot fork."""


@dataclass(frozen=True, slots=True)
class ForkerPlan:
    """What a forker works with: all of it is the same for all jobs of a dispatcher.

    `works`: of each queue, by its place; they have no message yet. `begin` does in the forker what
    its jobs inherit. `siblings` was made by a process that the dispatcher was forked from, or by
    the dispatcher. `told`: the address to which the kernel writes a job's pid.
    """

    works: Sequence[process.Work]
    begin: Callable[[], None]
    dispatcher: int
    siblings: SiblingFork
    told: int


def encode(work: process.Work) -> bytes | None:
    """A request for the job of that message. None for a message that cannot be sent so.

    First comes what its variables are in memory, then the rest: what the dispatcher makes here, the
    forker need not, whose every page is copied for it.
    """
    message = work.message
    try:
        area, variables = message_variables.encode(message)
        fields = vars(message) | {
            "attributes": dict(message.attributes),
            "system_attributes": dict(message.system_attributes),
        }
        packet = area + marshal.dumps((work.place, fields, variables, process.title_of_job(work)))
    except ValueError:  # attributes of another queue's own kind, or no value of an environment
        return None
    return packet if len(packet) <= LONGEST else None


def run(plan: ForkerPlan, end: socket.socket) -> NoReturn:
    """Be the forker. All signals are blocked when this begins.

    What is done here, and in what it calls, is memory of each forker's own: little, and nothing
    that the dispatcher or the template can do before.
    """
    exit_status = FAULT
    try:
        os.setsid()
        first = plan.works[0]
        own_process.forget_dispatcher(sorted({*(first.keep_fds or ()), end.fileno()}))
        plan.begin()
        # A job of another queue, or that has the environment of the import, does it once more.
        own_process.introduce_slot(first.queue, first.slot)
        first.introduces = first.as_imported is not None
        outputs.begin(first.keep_fds)
        forgets = own_process.is_there_any_to_tell()
        for work in plan.works:
            work.forgets = forgets
            work.unblock = plan.siblings.unblock_signals
        if processes.die_with_parent(plan.dispatcher, signal.SIGKILL):
            _serve(plan, end.detach())
        exit_status = DONE
    except BaseException:  # noqa: BLE001 - a fault of ours; it must not end in silence
        status.complain(f"fleet: a fault of its own in a job forker\n{traceback.format_exc()}")
    finally:
        processes.exit_at_once(exit_status)


def _serve(plan: ForkerPlan, end: int) -> None:
    """Fork one job a request, until the dispatcher hangs up. `end`: the channel's descriptor.

    What the loop needs of modules is looked up before it: that would be a page or two for each.
    """
    loads, readv, write, works = marshal.loads, os.readv, os.write, plan.works
    new, set_attribute, set_message = object.__new__, object.__setattr__, api.set_message
    area = message_variables.AREA
    room = memoryview(mmap.mmap(-1, LONGEST, mmap.MAP_PRIVATE))  # only what is used takes memory
    rest = room[area:]
    update = _find_environment(works[0], room)
    while length := readv(end, (room,)):
        length -= area
        # It is our dispatcher that wrote it.
        place, fields, variables, title = loads(rest[:length])
        rest[:length] = bytes(length)  # a later job finds nothing of it
        work = works[place]
        work.message = message = new(Message)
        set_attribute(message, "__dict__", fields)
        if update is not None:
            update(variables)
            set_message(message)
            work.title = title
        write(end, b"%d" % _fork_job(plan, work, end))
        work.message = NO_MESSAGE  # nor does one of another queue


def _find_environment(work: process.Work, room: memoryview) -> Callable[..., None] | None:
    """What tells `os.environ` of variables that the C library has in `room`.

    None where a job has to introduce its message itself: the import has changed too much.
    """
    if work.as_imported is not None:
        return None
    try:
        return message_variables.inherit_from(room).update
    except CannotBeInherited:
        return None


def _fork_job(plan: ForkerPlan, work: process.Work, end: int) -> int:
    """The job's pid; NOT_ALONE; or the number of an error, negative."""
    if not sibling_fork.is_only_thread():
        return NOT_ALONE
    try:
        pid = plan.siblings.fork(plan.told)
    except OSError as error:
        return -(error.errno or 0)
    if pid == 0:
        os.close(end)
        process.run_job(work, plan.dispatcher, by_forker=True)
    return pid
