"""What a test may need of the machine: `@pytest.mark.needs("root")`.

Without it the test is skipped before it begins.

As a normal user many are; .ci/run has them run as root: `pytest -m needs`.

docs/decisions/0028 has the reasons.
"""

import ctypes
import functools
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support import cgroups

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc")
"""Runs a program as process 1."""
NOBODY = 65534
# Of becoming root and of reading this tree; not of killing.
CAPABLE = "+setuid,+dac_read_search,+dac_override"
SOMEBODY = ("setpriv", f"--reuid={NOBODY}", f"--inh-caps={CAPABLE}", f"--ambient-caps={CAPABLE}")
"""Runs a program as another user, who may become root."""


@functools.cache
def missing(what: str) -> str:
    """Why a need cannot be met here, empty if it can."""
    return NEEDS[what]()


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs to be root"


def _runs(*wrapper: str) -> str:
    """Why a program that starts others cannot start any."""
    if shutil.which(wrapper[0]) is None:
        return f"needs {wrapper[0]}"
    tried = subprocess.run(
        [*wrapper, "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    return f"needs {wrapper[0]} to work: {tried.stderr.strip()}" if tried.returncode else ""


def _controller(name: str) -> Callable[[], str]:
    return lambda: (
        "" if cgroups.usable(name) else f"needs the {name} controller of cgroup v1, and to be root"
    )


def _huge_pages() -> str:
    """Why MADV_COLLAPSE does not work here, tried on memory of our own."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[never]" in setting.read_text():
        return "needs transparent huge pages"
    size = 4 << 20
    memory = mmap.mmap(-1, size * 2, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(bytes(size * 2))
    inside = -(-ctypes.addressof(ctypes.c_char.from_buffer(memory)) // size) * size
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.madvise(ctypes.c_void_p(inside), ctypes.c_size_t(size), 25):  # MADV_COLLAPSE
        return f"needs MADV_COLLAPSE: {os.strerror(ctypes.get_errno())}"
    return ""


def postgres_programs() -> Path | None:
    """Where PostgreSQL's server lies; Debian has no link to it on PATH."""
    link = shutil.which("initdb")
    places = (
        [Path(link).resolve().parent]
        if link
        else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    )
    return next(
        (place for place in places if (place / "initdb").exists() and (place / "psql").exists()),
        None,
    )


def _postgres() -> str:
    if postgres_programs() is None:
        return "needs PostgreSQL's programs"
    return _runs(*SOMEBODY) if os.geteuid() == 0 else ""


NEEDS: dict[str, Callable[[], str]] = {
    "root": _root,
    "another user": lambda: _root() or _runs(*SOMEBODY),
    "pid namespace": lambda: _runs(*CONTAINER),
    "freezer": _controller("freezer"),
    "memory": _controller("memory"),
    "postgres": _postgres,
    "huge pages": _huge_pages,
}
