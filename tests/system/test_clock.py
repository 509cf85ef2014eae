"""The time of day, as datetime reads it."""

from datetime import UTC, datetime, timedelta

import pytest

from fleet.system import clock


@pytest.mark.parametrize("digits", [3, 6])
def test_a_timestamp_is_now(digits: int) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    text = clock.timestamp(digits)
    written = datetime.fromisoformat(text)
    assert before <= written <= datetime.now(UTC)
    assert len(text) == len("2024-01-02T03:04:05.+00:00") + digits


def test_it_is_what_datetime_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_045_678)
    expected = datetime.fromtimestamp(1_700_000_000, UTC).replace(microsecond=45)
    assert clock.timestamp(6) == expected.isoformat(timespec="microseconds")
    assert clock.timestamp(3) == expected.isoformat(timespec="milliseconds")
