"""The end of the master's children: nothing is left behind when the master ends.

Nothing here depends on the pool's state machine, nor on the step before: after a fault of the
master's own they all run (`own_fault.py`). What cannot be killed is not waited for.
"""

import signal

from fleet.core.pool import reaping
from fleet.master.children import ChildProcesses
from fleet.system import processes, trackers
from fleet.system.clock import now

TURN = 0.1  # seconds between two looks at what does not die
TO_DIE = 1.0  # seconds: what killed processes may take to be gone


def hang_up_on_all(children: ChildProcesses) -> None:
    """Dispatchers then do as after our death: they finish what they have, and leave.

    The helpers are of no use, and are killed.
    """
    children.channels.close_all()
    for pid in children.known.dispatchers:  # as the kernel would, so that a stopped one wakes up
        processes.kill(pid, signal.SIGCONT)
    for pid in children.known.helpers.values():
        processes.kill(pid, signal.SIGKILL)


def reap_quietly(children: ChildProcesses) -> bool:
    """Reap and sweep, without any news; whether there is still a dispatcher."""
    while death := processes.dead_child():
        processes.reap(death.pid)
        children.known = reaping.drop_dispatcher(children.known, death.pid)
    known = children.known
    kept = {*known.dispatchers, *known.others}
    processes.sweep(kept, is_ours=children.is_ours, is_spared=trackers.is_tracker)
    return bool(known.dispatchers)


def kill_all(children: ChildProcesses) -> None:
    """SIGKILL to every dispatcher; `dismiss` waits for them."""
    for pid in children.known.dispatchers:
        processes.kill(pid, signal.SIGKILL)
        children.known = reaping.drop_dispatcher(children.known, pid)


def dismiss(children: ChildProcesses) -> None:
    """Hang up on the helpers, kill and reap them, and sweep what the app has started at its import.

    Both helpers are stateless.
    """
    for role, pid in children.known.helpers.items():
        children.channels.close(role)
        if processes.is_child(pid):
            processes.kill(pid, signal.SIGKILL)
            processes.await_end(pid, TO_DIE)
    until = now() + TO_DIE
    kept = {*children.known.dispatchers, *children.known.others}

    def is_spared(pid: int) -> bool:
        return now() < until and trackers.is_tracker(pid)

    def sweep() -> list[int]:
        return processes.sweep(kept, is_ours=children.is_ours, is_spared=is_spared)

    while (left := sweep()) and now() < until + TO_DIE:
        processes.await_end(left[0], max(until, now() + TURN) - now())
