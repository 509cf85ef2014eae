"""Which lines of the log are left out because they say the same (core/repeats.py).

The last line of each cause that was left out is kept, so that it can be told in the end.
"""

from collections.abc import Callable

from fleet.core import repeats
from fleet.core.repeats import Causes
from fleet.system.log_events import Fields


class Repeats:
    """What one process says again and again."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._causes: Causes = {}
        self._last: dict[str, tuple[str, Fields]] = {}

    def __bool__(self) -> bool:
        """Whether anything was admitted that may come again."""
        return bool(self._causes)

    def admit(self, event: str, cause: str, fields: Fields) -> Fields | None:
        """The fields of the line that is to be told now; None if it is left out."""
        key = f"{event}: {cause}"
        self._causes, left_out = repeats.note_line(
            self._causes, key, self._clock(), int(fields.get("more", 0)) + 1
        )
        if left_out is None:
            self._last[key] = event, fields
            return None
        self._last.pop(key, None)
        return {**fields, "more": left_out} if left_out else fields

    def collect_ended(self) -> list[tuple[str, Fields]]:
        """The last events of the causes that have not come again for a while."""
        if not self._causes:
            return []
        self._causes, ended = repeats.end_causes(self._causes, self._clock())
        return self._take(ended)

    def collect_all(self) -> list[tuple[str, Fields]]:
        """The last events of all causes, when nothing more will come."""
        ended = repeats.end_all_causes(self._causes)
        self._causes = {}
        return self._take(ended)

    def _take(self, ended: list[tuple[str, int]]) -> list[tuple[str, Fields]]:
        return [_with_more(*self._last.pop(key), count - 1) for key, count in ended]


def _with_more(event: str, fields: Fields, more: int) -> tuple[str, Fields]:
    if more:
        return event, {**fields, "more": more}
    return event, {name: value for name, value in fields.items() if name != "more"}
