"""Resource trackers of multiprocessing and loky, which a job must not lose too early.

They unlink shared memory and semaphores that their users leave. A tracker reads from a pipe whose
other end its users hold, and ends by itself when the last of them has. Killed with them it would
unlink nothing, and what they have made would stay in /dev/shm for ever: so it is the last to be
killed, and has some time before. It runs no user code. A process that only calls itself so gains
that time.

docs/decisions/0013 has the reasons.
"""

import re
import time
from collections.abc import Iterable

from fleet.system import processes, procfs, pseudo_files
from fleet.system.clock import now

GRACE = 2.0  # seconds: its interpreter may just have started
EXEC = 0.1  # seconds; it takes less than one millisecond where the program is in memory
_COMMAND = re.compile(rb"\0-c\0from [\w.]*resource_tracker import main\b")


def is_tracker(pid: int) -> bool:
    """Whether a process is a tracker, by its command line.

    In the middle of its exec(2) a process has none, and its parent may go on already. So the end of
    the exec is waited for, EXEC seconds at most: who asks twice must not be told two things.
    """
    waits_until, is_last = now() + EXEC, False
    while True:
        try:
            command = pseudo_files.read(f"/proc/{pid}/cmdline")
        except OSError:
            return False
        if command or is_last:
            return _COMMAND.search(command) is not None
        is_last = not procfs.is_in_exec(pid) or now() > waits_until  # it may be over just now
        if not is_last:
            time.sleep(EXEC / 100)


def find(pids: Iterable[int]) -> set[int]:
    """The trackers among the processes and all that is below them."""
    roots = set(pids)
    return {pid for pid in roots.union(*map(procfs.descendants, roots)) if is_tracker(pid)}


def kill_group(leader: int, pids: Iterable[int]) -> None:
    """Send SIGKILL to the leader's group, unless there is a tracker among `pids`.

    If there is, a sweep finds the members of the group one by one.
    """
    if not find(pids):
        processes.kill_group(leader, processes.KILL)
