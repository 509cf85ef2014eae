"""What user code prints and writes: standard streams line by line, and all of it out at the end.

A process that ends by os._exit flushes nothing, and one that is killed cannot. What was in a buffer
when the process was forked is not the job's to write.
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

_BUFFERED = (_io.BufferedWriter, _io.BufferedRandom, _io.BufferedRWPair)

_inherited: list[Any] = []  # files that the app has opened at its import
_known: Collection[int] = ()  # descriptors that were open before user code began


def take_stock() -> None:
    """Before the fork, after the app's import: write out all that it has written so far, and
    remember its files.
    """
    _inherited[:] = []
    for file in _files(set(_open_descriptors()) - {0, 1, 2}):
        with contextlib.suppress(
            Exception
        ):  # a pipe that is gone, a full disk: it would fail in every job again
            file.flush()
            _inherited.append(file)


def begin(kept: Collection[int] | None) -> None:
    """In a fork child, before user code. `kept`: what is open; None: look."""
    global _known
    _known = list(filter(_is_open, _open_descriptors())) if kept is None else kept


def line_buffer() -> None:
    """So that what was printed is seen, however the process ends. What the app has put in their
    place is left alone.
    """
    stream: Any
    for stream, original in ((sys.stdout, sys.__stdout__), (sys.stderr, sys.__stderr__)):
        theirs = stream is not original or type(stream) is not _io.TextIOWrapper
        if not theirs and not stream.closed and not stream.line_buffering:
            with contextlib.suppress(OSError, ValueError):  # it flushes first
                stream.reconfigure(line_buffering=True)


def flush(failed: Callable[[BaseException], None]) -> bool:
    """Write everything out. False if something could not be: then user code has not done what it
    thinks.

    `failed` hears why, but for the standard streams: there is nobody to be told.
    """
    done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if not getattr(stream, "closed", stream is None):
                stream.flush()
        except (OSError, ValueError):
            done = stream is sys.stderr and done
    for file in _inherited:
        done = _out(file, file.flush, failed) and done
    opened = {fd for fd in _open_descriptors() if fd not in _known and _is_file(fd)}
    for file in _files(opened) if opened else ():
        core = issubclass(type(file), (_io.TextIOWrapper, *_BUFFERED))
        done = _out(file, file.flush if core else file.close, failed) and done
    return done


def _out(file: Any, call: Callable[[], object], failed: Callable[[BaseException], None]) -> bool:
    try:
        if not file.closed:
            call()
    except Exception as error:  # noqa: BLE001 - anybody's class
        failed(error)
        return False
    return True


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - Path's objects cost as much again
    except OSError:  # no /proc, or no descriptor to be had
        return []


def _is_open(fd: int) -> bool:
    """Not so the listing's own."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_file(fd: int) -> bool:
    """Or a pipe, or a device. A socket's connection is ended by its own rules."""
    return _is_open(fd) and not stat.S_ISSOCK(os.fstat(fd).st_mode)


def _files(descriptors: set[int]) -> list[Any]:
    """Objects that may hold something for these: text first, then what packs (gzip), then the
    buffers below them.
    """
    found: list[tuple[int, Any]] = []
    for each in gc.get_objects():
        kind = type(each)
        if issubclass(kind, _io._IOBase) and not issubclass(kind, (_io.FileIO, _io.BufferedReader)):
            try:
                if not each.closed and each.fileno() in descriptors:
                    order = (
                        0
                        if issubclass(kind, _io.TextIOWrapper)
                        else 2
                        if issubclass(kind, _BUFFERED)
                        else 1
                    )
                    found.append((order, each))
            except Exception:  # noqa: BLE001, S112 - in memory only; or anybody's class
                continue
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]
