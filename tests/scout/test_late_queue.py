"""What the scout says while the queue does not answer."""

import pytest

from fleet.core.exit_codes import QUEUE_LATE, QUEUE_UNUSABLE, USAGE
from fleet.core.protocol import Failed
from fleet.core.queue import QueueError, Trouble
from fleet.core.scout_protocol import Late, Trying
from fleet.scout.late_queue import LateQueue

NO_ANSWER = QueueError(Trouble.PASSING, "no answer")


def test_a_late_queue_is_told_once_and_each_try_is_a_sign_of_life() -> None:
    late = LateQueue(3.0, 100.0, 1)
    said = [late.judge(NO_ANSWER, 100.0 + seconds) for seconds in range(4)]
    failed = Failed(QUEUE_LATE, "no answer, tried for 3 s (--start-timeout)")
    assert said == [Late("no answer", 3.0, 1), Trying(), Trying(), failed]


def test_another_cause_is_told_too() -> None:
    late = LateQueue(3.0, 100.0, 1)
    said = [
        late.judge(QueueError(Trouble.SESSION, why), 101.0)
        for why in ("no keys", "no keys", "no route")
    ]
    assert said == [Late("no keys", 2.0, 1), Trying(), Late("no route", 2.0, 1)]


@pytest.mark.parametrize("trouble", [*Trouble])
def test_what_a_restart_does_not_heal_ends_at_once(trouble: Trouble) -> None:
    ends = {
        Trouble.USAGE: Failed(USAGE, "so it is"),
        **dict.fromkeys(
            (Trouble.DENIED, Trouble.GONE, Trouble.MESSAGE, Trouble.FINAL),
            Failed(QUEUE_UNUSABLE, "so it is"),
        ),
    }
    said = LateQueue(3.0, 100.0, 1).judge(QueueError(trouble, "so it is"), 100.0)
    assert said == ends.get(trouble, Late("so it is", 3.0, 1))
