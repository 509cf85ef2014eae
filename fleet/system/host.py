"""What this host gives us: standard streams, processors and directories."""

import os
import stat
import sys
from pathlib import Path

from fleet.system import cgroup


def open_standard_streams() -> None:
    """Have something behind descriptors 0, 1 and 2, in us and in all that we start.

    Who starts a program may have closed them (`2>&-`). Then what is opened next would get their
    numbers, and the log would be written into the scoreboard.
    """
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # those below are open, so it gets this number
            os.set_inheritable(fd, True)
            stream = open(fd, mode, closefd=False)  # noqa: SIM115 - for as long as we live
            setattr(sys, name, stream)


def processors() -> int:
    """The number of processors that this process may use; at least 1.

    It is bounded by affinity, and by the cgroup's quota rounded up.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = cgroup.cpu_quota()
    return max(1, min(allowed, quota) if quota else allowed)


def runtime_directory() -> Path:
    """`$XDG_RUNTIME_DIR/fleet`, else a private `fleet-UID` under the temporary directory.

    It is made if it is missing. Raises OSError when it cannot be made, PermissionError when it
    belongs to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base:
        return private_directory(Path(base) / "fleet")
    import tempfile  # the master would carry it, and all that it imports, for this alone

    return private_directory(Path(tempfile.gettempdir()) / f"fleet-{os.getuid()}")


def state_directory() -> Path:
    """`$XDG_STATE_HOME/fleet`, else `~/.local/state/fleet`; made if missing. Raises OSError."""
    base = os.environ.get("XDG_STATE_HOME")
    try:
        return private_directory(
            (Path(base) if base else Path.home() / ".local" / "state") / "fleet"
        )
    except RuntimeError:  # neither HOME nor an entry in passwd: a container that runs as any number
        raise FileNotFoundError(f"user {os.getuid()} has no home directory") from None


def private_directory(path: Path) -> Path:
    """The directory, made with mode 0700 if it is missing.

    Raises OSError when it cannot be made, PermissionError when it is not ours alone.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{path} is not a directory of this user's own")
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o700)
    return path
