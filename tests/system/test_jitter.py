"""Chance: between 0 and 1, and not the same again."""

from fleet.system import jitter


def test_it_fills_the_unit_interval() -> None:
    drawn = [jitter.draw() for _ in range(1000)]
    assert len(set(drawn)) == 1000
    assert 0 <= min(drawn) < 0.1
    assert 0.9 < max(drawn) < 1
