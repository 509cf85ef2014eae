"""Writes the health file, for a probe that cannot ask the pool itself.

It wakes the master only with --health-file.
"""

import json
from math import inf
from pathlib import Path

from fleet.core.pool import Pool
from fleet.core.view import health
from fleet.system import files, log
from fleet.system.clock import now, timestamp
from fleet.version import VERSION

EVERY = 4.0  # seconds between two writes; promised are 5


class HealthFile:
    """Written at least every 5 seconds, whole or not at all."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._due = -inf if path else inf
        self._trouble = ""

    def wakes_at(self) -> float:
        """The next moment at which the file is to be written although nothing has happened."""
        return self._due

    def write(self, pool: Pool, *, last: bool = False) -> None:
        """Write the file, if that is due or it is the last time.

        A failure is logged once, and stops nothing.
        """
        if self._path is None or not (last or now() >= self._due):
            return
        self._due = now() + EVERY
        told = health.snapshot(pool, timestamp(3), VERSION)
        try:
            files.write(self._path, json.dumps(told).encode() + b"\n")
            self._trouble = ""
        except (OSError, ValueError) as error:  # ValueError: a path that cannot be one
            why = getattr(error, "strerror", None) or str(error)
            if why != self._trouble:
                self._trouble = why
                log.emit("health.unwritten", path=str(self._path), error=why)
