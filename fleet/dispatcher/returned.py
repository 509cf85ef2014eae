"""A job whose code has returned while its process is still there: what it waits for, how it ended.

The job notes on the shared page: `waits` and since when; and `done`, when all is done but
--job-exit. From then on its status is what it has noted, however its process ends: the hook changes
nothing. `failed`: its code has not ended well, and no exit function that leaves with 0 changes
that.
"""

from collections.abc import Mapping
from math import inf
from typing import Any

from fleet.core.exit_codes import DONE
from fleet.core.outcomes import Exit
from fleet.ipc.shared_page import SharedPage

QUIET = 10.0  # seconds for which nobody needs to be told
MOST_SAID = 200  # characters


class ReturnedJob:
    """Looks at the shared page now and then.

    `looks_at`: when the next time is (seconds on our clock). `is_cut`: --job-exit has had its time.
    """

    def __init__(self, page: SharedPage, exit_timeout: float) -> None:
        self._page, self._limit = page, exit_timeout
        self._every = min(QUIET, exit_timeout or QUIET)
        self._said = ""
        self.looks_at = inf
        self.is_cut = False

    def begin(self, now: float) -> None:
        """The job's process has been started."""
        self.looks_at = now + self._every

    def end(self) -> None:
        """The job's process is gone, or is to be."""
        self.looks_at = inf

    def look(self, now: float) -> str:
        """What the job has waited for so long that it is news; else nothing."""
        if now < self.looks_at:
            return ""
        self.looks_at = now + self._every
        written = self._page.read()
        since = written.get("since")
        if not isinstance(since, int | float) or isinstance(since, bool):
            return ""
        if "done" in written:
            return self._hook(now, since)
        self.looks_at = min(self.looks_at, since + QUIET) if since + QUIET > now else self.looks_at
        waits = " ".join(str(written.get("waits", "")).split())[:MOST_SAID]
        if now < since + QUIET or waits == self._said:
            return ""
        self._said = waits
        return waits

    def _hook(self, now: float, since: float) -> str:
        self.is_cut = now >= since + self._limit
        self.looks_at = inf if self.is_cut else since + self._limit
        return ""


def is_done(page: SharedPage) -> bool:
    """Whether the job has done everything but --job-exit."""
    return _find_exit(page.read(), "done") is not None


def exit_of_job(how: Exit, page: SharedPage) -> Exit:
    """How the job ended; `how` is how its process did."""
    told = page.read()
    return (
        _find_exit(told, "done")
        or (_find_exit(told, "failed") if how.code == DONE else None)
        or how
    )


def _find_exit(told: Mapping[str, Any], name: str) -> Exit | None:
    code = told.get(name)
    if not isinstance(code, int) or isinstance(code, bool):
        return None
    return Exit(code=code) if code >= 0 else Exit(signal=-code)
