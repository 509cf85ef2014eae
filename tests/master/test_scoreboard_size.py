"""How many places the master has made for what a dispatcher may have in hand."""

import os
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Plan
from fleet.ipc import scoreboard
from fleet.master import loop
from fleet.system import stacks
from tests.support.queues import one_queue


class Made(Exception):
    """The scoreboard is: that is enough of a master."""


def test_there_is_a_place_for_all_that_a_poll_of_any_queue_may_bring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wakeup(_: Iterable[int]) -> Any:
        return SimpleNamespace(fileno=lambda: 0)

    def create(places: int) -> int:
        raise Made(places)

    monkeypatch.setattr(loop, "Wakeup", wakeup)
    monkeypatch.setattr(stacks, "enable", lambda: None)
    monkeypatch.setattr(scoreboard, "create", create)
    sizes = (3, 10, 1)
    queues = [queue for size in sizes for queue in one_queue(Config(batch_size=size))]
    nothing = cast(Any, None)
    with pytest.raises(Made) as made:
        loop.Master(Plan(Config(), queues, os.getpid()), nothing, nothing, nothing)
    assert made.value.args == (10,)
