"""A page of memory that a job shares with its dispatcher.

It holds what an exit status is too small for, and the wish for an early stop.

Made once a dispatcher; the job writes on it before it ends, the dispatcher wipes it before the next
job. User code gets no descriptor for it.
"""

import json
import mmap
import os
from typing import Any

_SIZE = 16_384  # bytes; only what is written on takes memory
_HALF = (_SIZE - 2) // 2
_ROOM = _HALF - 2


class SharedPage:
    """The page: a first byte, two halves, a last byte.

    The first byte says which half counts; each is a length and a JSON object. The last byte asks
    for a stop.

    A writer that is killed in mid-write spoils only the half that does not count.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)
        self._writer = 0

    def own(self) -> None:
        """Let only the calling process write: what it forks without an exec writes nothing."""
        self._writer = os.getpid()

    def wipe(self) -> None:
        """Forget what is written, and a stop."""
        self._page[0] = 0
        self._page[-1] = 0

    def ask_to_stop(self) -> None:
        """Ask the job to stop.

        Called before a SIGTERM is sent, because a job that has no handlers of its own yet discards
        signals.
        """
        self._page[-1] = 1

    def withdraw_stop(self) -> None:
        """Forget a stop: the job is gone, and a process that follows it is not meant."""
        self._page[-1] = 0

    @property
    def stop_asked(self) -> bool:
        """Whether a stop was asked for. The job looks as soon as signals reach it."""
        return self._page[-1] != 0

    def write(self, **fields: Any) -> bool:
        """Add fields to what is written. What does not fit is left out rather than cut: False."""
        if self._writer not in (0, os.getpid()):
            return True
        text = json.dumps(self.read() | fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(text) > _ROOM:
            return False
        half = 2 if self._page[0] == 1 else 1
        start = _offset(half)
        self._page[start : start + 2 + len(text)] = len(text).to_bytes(2, "big") + text
        self._page[0] = half
        return True

    def read(self) -> dict[str, Any]:
        """The fields that were written.

        A job can write anything anywhere: rubbish counts as nothing.
        """
        half = self._page[0]
        if half not in (1, 2):
            return {}
        start = _offset(half)
        length = int.from_bytes(self._page[start : start + 2], "big")
        try:
            told = json.loads(self._page[start + 2 : start + 2 + min(length, _ROOM)])
        except (ValueError, RecursionError):
            return {}
        return told if isinstance(told, dict) else {}


def _offset(half: int) -> int:
    return 1 + (half - 1) * _HALF
