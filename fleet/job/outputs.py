"""What user code prints and writes is not lost.

Standard streams are written line by line, and all of it is flushed at the end. A process that ends
by os._exit flushes nothing, and a process that is killed cannot. What was in a buffer when the
process was forked is not the job's to write.
"""

# The classes of io without their abstract bases, whose checks walk through all subclasses.
import _io
import contextlib
import gc
import os
import stat
import sys
from collections.abc import Callable, Collection
from typing import Any

from fleet.system import pseudo_files

_BUFFERED = (_io.BufferedWriter, _io.BufferedRandom, _io.BufferedRWPair)

_inherited: list[Any] = []  # files that the app has opened at its import
_known: Collection[int] = ()  # descriptors that were open before user code began


def take_stock() -> None:
    """Flush the files that the app has opened, and remember them.

    Called after the app's import, before the fork.
    """
    _inherited[:] = []
    for file in _files(set(_open_descriptors()) - {0, 1, 2}):
        # A pipe that is gone, a full disk: it would fail in every job again.
        with contextlib.suppress(Exception):
            file.flush()
            _inherited.append(file)


def begin(kept: Collection[int] | None) -> None:
    """In a fork child, before user code: remember what is open. `kept`: that; None: look."""
    global _known
    _known = _open_descriptors() if kept is None else kept


def line_buffer() -> None:
    """Buffer the standard streams by line: what was printed is seen however the process ends.

    A stream that the app has put in their place is left alone.
    """
    stream: Any
    for stream, original in ((sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)):
        is_the_apps = stream is not original or type(stream) is not _io.TextIOWrapper
        if not is_the_apps and not stream.closed and not stream.line_buffering:
            with contextlib.suppress(OSError, ValueError):  # it flushes first
                stream.reconfigure(line_buffering=True)


def flush(note_failure: Callable[[BaseException], None]) -> bool:
    """Write everything out.

    False if something could not be: then user code has not done what it thinks. `note_failure` is
    told why, but for the standard streams: it would have nowhere to say so.
    """
    is_done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if not getattr(stream, "closed", stream is None):
                stream.flush()
        except (OSError, ValueError):
            is_done = stream is sys.stderr and is_done
    for file in _inherited:
        is_done = _write_out(file, file.flush, note_failure) and is_done
    opened = _find_opened() if _may_have_opened() else set()
    for file in _files(opened) if opened else ():
        is_plain = issubclass(type(file), (_io.TextIOWrapper, *_BUFFERED))
        write_out = file.flush if is_plain else file.close
        is_done = _write_out(file, write_out, note_failure) and is_done
    return is_done


def _write_out(
    file: Any, call: Callable[[], object], note_failure: Callable[[BaseException], None]
) -> bool:
    try:
        if not file.closed:
            call()
    except Exception as error:  # noqa: BLE001 - anybody's class
        note_failure(error)
        return False
    return True


def _may_have_opened() -> bool:
    """Whether user code may have left open what was not open before.

    A kernel that says how many descriptors there are (Linux ≥ 6.2) need not list them, which costs
    more than the rest of a job's end: where all of the known ones are open, there is no other.
    """
    try:
        if os.stat("/proc/self/fd").st_size != len(_known):  # noqa: PTH116 - in each job
            return True
        for fd in _known:
            os.get_inheritable(fd)
    except OSError:
        return True
    return False


def _find_opened() -> set[int]:
    return {fd for fd in _open_descriptors() if fd not in _known and _is_file(fd)}


def _open_descriptors() -> list[int]:
    """All but the one by which they are listed, which is the next that is opened.

    To find it out by an error would cost each job page faults.
    """
    try:
        own = os.open("/proc/self/fd", os.O_RDONLY | os.O_CLOEXEC)
        os.close(own)
        return [fd for fd in pseudo_files.list_numbers("/proc/self/fd") if fd != own]
    except OSError:  # no /proc, or no descriptor to be had
        return []


def _is_file(fd: int) -> bool:
    """Whether it is a file, a pipe or a device. A socket's connection is ended by its own rules."""
    try:
        return not stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:  # a thread has closed it
        return False


def _files(descriptors: set[int]) -> list[Any]:
    """Objects that may hold something for these descriptors, in the order of their flushes.

    Text first, then what packs (gzip), then the buffers below them.
    """
    files: list[tuple[int, Any]] = []
    for each in gc.get_objects():
        kind = type(each)
        if issubclass(kind, _io._IOBase) and not issubclass(kind, (_io.FileIO, _io.BufferedReader)):
            try:
                if not each.closed and each.fileno() in descriptors:
                    files.append((_flush_order(kind), each))
            except Exception:  # noqa: BLE001, S112 - in memory only; or anybody's class
                continue
    return [each for _, each in sorted(files, key=lambda pair: pair[0])]


def _flush_order(kind: type) -> int:
    if issubclass(kind, _io.TextIOWrapper):
        return 0
    return 2 if issubclass(kind, _BUFFERED) else 1
