"""What the scout says while the queue does not answer."""

from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.exit_codes import QUEUE_LATE
from fleet.core.protocol import Failed, Plan, Word
from fleet.core.queue import QueueError, Trouble
from fleet.core.scout_protocol import Late, Trying
from fleet.scout import process


def test_a_late_queue_is_told_once_and_each_try_is_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [100.0]
    said: list[Word] = []

    def waits(_master: object, seconds: float) -> bool:
        clock[0] += seconds
        return False

    def does_not_answer(_plan: Plan, _queue: object) -> None:
        raise QueueError(Trouble.PASSING, "no answer")

    monkeypatch.setattr(process, "now", lambda: clock[0])
    monkeypatch.setattr(process, "_wait", waits)
    monkeypatch.setattr(process, "_check_queue", does_not_answer)
    master = cast(Any, type("Master", (), {"send": staticmethod(said.append)}))
    assert not process._find_queue(
        Plan(Config(start_timeout=3.0), "app", "jobs", 1), master, cast(Any, None)
    )
    failed = Failed(QUEUE_LATE, "no answer, tried for 3 s (--start-timeout)")
    assert said == [Late("no answer", 3.0), Trying(), Trying(), failed]
