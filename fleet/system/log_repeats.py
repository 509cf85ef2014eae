"""Keeps the last line of each cause that was left out (core/repeats.py), so that it can be told in
the end.
"""

from collections.abc import Mapping
from typing import Any

from fleet.core import repeats
from fleet.core.repeats import Causes
from fleet.system.clock import now

Fields = Mapping[str, Any]
"""Of an event. `more`: how many lines of the same cause it stands for, besides itself."""


class Repeats:
    """What one process says again and again."""

    def __init__(self) -> None:
        self._causes: Causes = {}
        self._last: dict[str, tuple[str, Fields]] = {}

    def due(self, event: str, cause: str, fields: Fields) -> Fields | None:
        """The line's fields, if it is to be told now."""
        key = f"{event}: {cause}"
        self._causes, before = repeats.heard(
            self._causes, key, now(), int(fields.get("more", 0)) + 1
        )
        if before is None:
            self._last[key] = event, fields
            return None
        self._last.pop(key, None)
        return {**fields, "more": before} if before else fields

    def over(self, *, all_of_them: bool = False) -> list[tuple[str, Fields]]:
        """The last lines, as events, of what has not come again for a while."""
        if not self._causes:
            return []
        if all_of_them:
            self._causes, old = {}, repeats.all_over(self._causes)
        else:
            self._causes, old = repeats.over(self._causes, now())
        return [_with_more(*self._last.pop(key), count - 1) for key, count in old]


def _with_more(event: str, fields: Fields, more: int) -> tuple[str, Fields]:
    return event, {**fields, "more": more} if more else {
        name: fields[name] for name in fields if name != "more"
    }
