"""A slip of paper between a job and its dispatcher: what an exit status is too small for, and an early stop.

Shared memory, made once a dispatcher; the job writes on it before it ends, the dispatcher wipes it before the
next job. User code gets no descriptor for it.
"""

import json
import mmap
from typing import Any

_SIZE = 4096  # bytes


class Slip:
    """One page: a JSON object, or nothing; in its last byte, whether the job is to stop."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)

    def wipe(self) -> None:
        """Nothing is written on it."""
        self._page[:2] = b"\0\0"
        self._page[-1] = 0

    def ask_to_stop(self) -> None:
        """Before a SIGTERM: a job that has no handlers of its own yet discards the signals that come too early."""
        self._page[-1] = 1

    @property
    def stop_asked(self) -> bool:
        """Looked at by the job as soon as signals reach it."""
        return self._page[-1] != 0

    def write(self, **fields: Any) -> None:
        """Write; what does not fit is left out rather than cut."""
        text = json.dumps(fields).encode()
        if len(text) <= _SIZE - 3:
            self._page[2 : 2 + len(text)] = text
            self._page[:2] = len(text).to_bytes(2, "big")

    def read(self) -> dict[str, Any]:
        """What was written. Whoever wrote it may have been killed meanwhile: rubbish is nothing."""
        length = int.from_bytes(self._page[:2], "big")
        try:
            found = json.loads(self._page[2 : 2 + length]) if length else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
