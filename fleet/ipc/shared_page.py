"""A slip of paper between a job and its dispatcher: what an exit status is too small for, and an
early stop.

Shared memory, made once a dispatcher; the job writes on it before it ends, the dispatcher wipes it
before the next job. User code gets no descriptor for it.
"""

import json
import mmap
import os
from typing import Any

_SIZE = 16_384  # bytes; only what is written on takes memory
_HALF = (_SIZE - 2) // 2
_ROOM = _HALF - 2


class SharedPage:
    """Two halves, each a length and a JSON object. The first byte says which one counts, the last
    one: stop.

    A writer that is killed in mid-write spoils the other half only.
    """

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)
        self._writer = 0

    def own(self) -> None:
        """In the process that it is for: what that forks without an exec writes nothing."""
        self._writer = os.getpid()

    def wipe(self) -> None:
        """Nothing is written on it."""
        self._page[0] = 0
        self._page[-1] = 0

    def ask_to_stop(self) -> None:
        """Before a SIGTERM: a job that has no handlers of its own yet discards the signals that
        come too early.
        """
        self._page[-1] = 1

    def withdraw_stop(self) -> None:
        """The job is gone, and a process that follows it is not meant."""
        self._page[-1] = 0

    @property
    def stop_asked(self) -> bool:
        """Looked at by the job as soon as signals reach it."""
        return self._page[-1] != 0

    def write(self, **fields: Any) -> bool:
        """Add to what is written. What does not fit is left out rather than cut: False."""
        if self._writer not in (0, os.getpid()):
            return True
        text = json.dumps(self.read() | fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(text) > _ROOM:
            return False
        half = 2 if self._page[0] == 1 else 1
        start = _start(half)
        self._page[start : start + 2 + len(text)] = len(text).to_bytes(2, "big") + text
        self._page[0] = half
        return True

    def read(self) -> dict[str, Any]:
        """What was written. A job can write anything anywhere: rubbish is nothing."""
        half = self._page[0]
        if half not in (1, 2):
            return {}
        start = _start(half)
        length = int.from_bytes(self._page[start : start + 2], "big")
        try:
            found = json.loads(self._page[start + 2 : start + 2 + min(length, _ROOM)])
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def _start(half: int) -> int:
    return 1 + (half - 1) * _HALF
