"""Fork a sibling: a child of our own parent, by clone(2) with CLONE_PARENT.

It does what CPython's os.fork and glibc's fork do around the system call, so that the child cannot
tell the difference:

    PyOS_BeforeFork ──▶ clone ──▶ parent: PyOS_AfterFork_Parent
                                  child:  its thread's id, its robust list, PyOS_AfterFork_Child

glibc keeps the id of a thread beside its stack, for mutexes that know their owner and for
debuggers. The kernel writes it there (CLONE_CHILD_SETTID), as for glibc's own fork; where it is,
glibc tells debuggers by the symbol `_thread_db_pthread_tid`. Two things of fork are left out, and
are the caller's part. Locks (malloc's, stdio's) are not taken: the caller must be the only thread
of its process. Handlers of pthread_atfork are not run: fork_handlers.py says whether there are any.

The kernel also writes the child's pid into memory of the caller's choice before the child runs
(CLONE_PARENT_SETTID): if that is shared, the parent of both knows of the child even if the caller
dies at that very moment.

docs/decisions/0033 has the reasons.
"""

import ctypes
import os
import sys

# clone, set_robust_list, get_robust_list, rt_sigprocmask
_SYSTEM_CALLS = {"x86_64": (56, 273, 274, 14), "aarch64": (220, 99, 100, 135)}
_CLONE_PARENT, _PARENT_SETTID, _CHILD_CLEARTID, _CHILD_SETTID = (
    0x0000_8000,
    0x0010_0000,
    0x0020_0000,
    0x0100_0000,
)
_SIGCHLD = 17
_SIG_SETMASK, _MASK_SIZE = 2, 8  # bytes
_FLAGS = _CLONE_PARENT | _PARENT_SETTID | _CHILD_CLEARTID | _CHILD_SETTID | _SIGCHLD
_OLDEST_GLIBC = (2, 25)  # older ones keep the pid, too
_LINKS_OF_ONE_THREAD = 3  # of /proc/self/task: ".", the entry in the parent, the thread


class CannotFork(Exception):
    """There is no way to fork a sibling here; the text says why."""


def is_only_thread() -> bool:
    """Whether this process has one thread; False where nobody says how many it has."""
    try:
        return os.stat("/proc/self/task").st_nlink == _LINKS_OF_ONE_THREAD  # noqa: PTH116 - each job
    except OSError:
        return False


class SiblingFork:
    """Forks siblings, from the main thread of this process or of one that was forked from there.

    Raises CannotFork.
    """

    def __init__(self) -> None:
        numbers = _SYSTEM_CALLS.get(os.uname().machine) if sys.platform == "linux" else None
        if numbers is None or ctypes.sizeof(ctypes.c_void_p) != 8:
            raise CannotFork("its system calls are known for Linux on x86_64 and aarch64 only")
        _refuse_old_libc()
        clone, set_robust_list, get_robust_list, set_mask = numbers
        # One that keeps the interpreter's lock: nothing must run in Python meanwhile.
        self._python = ctypes.PyDLL(None, use_errno=True)
        self._call = self._python.syscall
        self._call.restype = ctypes.c_long
        self._call.argtypes = [ctypes.c_long] * 6
        self._thread_id = self._find_thread_id()
        head, length = ctypes.c_long(), ctypes.c_long()
        if self._call(get_robust_list, 0, ctypes.addressof(head), ctypes.addressof(length), 0, 0):
            raise CannotFork("the kernel knows no list of robust mutexes")
        # The two architectures have the last two arguments in different orders; without
        # CLONE_SETTLS the one that is not the thread's id is not looked at.
        self._clone = (clone, _FLAGS, 0)
        self._child_id = (ctypes.addressof(self._thread_id),) * 2
        self._set_robust_list = (set_robust_list, head.value, length.value, 0, 0, 0)
        self._no_signals = ctypes.c_uint64(0)
        self._set_mask = (set_mask, _SIG_SETMASK, ctypes.addressof(self._no_signals))
        # Looked up now: a child would do it anew.
        self._before = self._python.PyOS_BeforeFork
        self._after_in_child = self._python.PyOS_AfterFork_Child
        self._after_in_parent = self._python.PyOS_AfterFork_Parent

    def _find_thread_id(self) -> ctypes.c_int:
        """Where glibc keeps our thread's id."""
        self._python.pthread_self.restype = ctypes.c_void_p
        try:
            field = (ctypes.c_uint32 * 3).in_dll(self._python, "_thread_db_pthread_tid")
        except ValueError:
            raise CannotFork("the C library does not say where it keeps a thread's id") from None
        bits, _, offset = field
        thread_id = ctypes.c_int.from_address(self._python.pthread_self() + offset)
        if bits != 32 or thread_id.value != os.getpid():
            raise CannotFork("the C library keeps a thread's id elsewhere, or has none")
        return thread_id

    def fork(self, told: int) -> int:
        """As os.fork. Raises OSError.

        `told`: the address of an int, where the kernel is to write the pid.
        """
        self._before()
        pid: int = self._call(*self._clone, told, *self._child_id)
        if pid == 0:
            self._call(*self._set_robust_list)
            self._after_in_child()
            return 0
        error = ctypes.get_errno() if pid < 0 else 0
        self._after_in_parent()
        if error:
            raise OSError(error, os.strerror(error))
        return pid

    def unblock_signals(self) -> None:
        """In the child: as signals.unblock_all, by a call of the kind that has just been made."""
        self._call(*self._set_mask, 0, _MASK_SIZE, 0)


def _refuse_old_libc() -> None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        known = tuple(int(part) for part in version.split(".")[:2])
    except (OSError, ValueError):
        name, known = "", ()
    if name != "glibc" or known < _OLDEST_GLIBC:
        raise CannotFork("the C library is not glibc, or one that keeps the pid")
