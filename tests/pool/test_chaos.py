"""A short chaos run: `scripts/chaos --minutes 30` is the long one."""

import random
import sys
from pathlib import Path

import pytest

from tests.support import chaos

SECONDS = 8.0
# One that stays, and one that is new every time.
SEEDS = (
    4,
    random.SystemRandom().randrange(1_000_000),
)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["the same", "another"])
def test_nothing_is_lost_whatever_happens(tmp_path: Path, which: str) -> None:
    seed = SEEDS[which == "another"]
    audit = chaos.run(tmp_path, seed, SECONDS)
    sys.stdout.write(f"{audit.table()}\n")
    assert not audit.wrong, audit.table()
    assert audit.finished > 0
    assert audit.done.total() > 0
