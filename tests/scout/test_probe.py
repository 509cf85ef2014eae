"""What the scout says of a denied delete that it tries again."""

from typing import Any, cast

import pytest

from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.scout_protocol import DeleteTried, TryDelete
from fleet.scout.probe import try_delete
from fleet.system import log


class Scripted:
    """A queue that answers its only delete."""

    name = "jobs"

    def __init__(self, answer: Trouble | None) -> None:
        self._answer = answer
        self.deleted: list[tuple[str, str]] = []
        self.renewed = 0

    def delete(self, message: Message) -> None:
        self.deleted.append((message.id, message.handle))
        if self._answer is not None:
            raise QueueError(self._answer, "no")

    def renew(self) -> None:
        self.renewed += 1


@pytest.mark.parametrize(
    ("answer", "denied"),
    [
        (None, False),
        (Trouble.DENIED, True),
        (Trouble.PASSING, True),
        (Trouble.SESSION, True),
        (Trouble.MESSAGE, False),
        (Trouble.GONE, False),
        (Trouble.FINAL, False),
    ],
)
def test_only_an_answer_that_does_not_deny_ends_it(
    monkeypatch: pytest.MonkeyPatch, answer: Trouble | None, denied: bool
) -> None:
    """What is wrong with the handle, or the queue, is said to who may delete."""
    told: list[str] = []
    monkeypatch.setattr(log, "emit", lambda event, **_: told.append(event))
    queue = Scripted(answer)
    assert try_delete(TryDelete("id", "handle"), cast(Any, queue)) == DeleteTried(
        denied, deleted=answer is None
    )
    assert queue.deleted == [("id", "handle")]
    assert queue.renewed == (answer is Trouble.SESSION)
    assert told == (["message.deleted_late"] if answer is None else [])
