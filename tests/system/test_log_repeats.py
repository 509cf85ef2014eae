"""Trouble that is the same again and again is one line in ten seconds, with how many there were."""

import logging

import pytest

from fleet.system import log

ABOUT = {"slot": 0, "message_id": "m", "attempt": 1, "settlement": "deleted"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(log, "current", log.ProcessLog(clock=lambda: clock[0]))
    caplog.set_level(logging.INFO)
    return clock


def unsettled(error: str, **more: object) -> None:
    log.emit("message.unsettled", **ABOUT, error=error, **more)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_line_for_each_cause_and_the_next_says_how_many_there_were(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(25):
        clock[0] = 100.0 + second
        unsettled("no answer")
    assert ["more like it" in line for line in told(caplog)] == [False, True, True]
    assert told(caplog)[1].endswith(" (9 more like it)")
    unsettled("denied")
    assert told(caplog)[-1].startswith("message not deleted yet: denied")


@pytest.mark.usefixtures("clock")
def test_the_trouble_of_another_queue_is_another_one(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("high", "low", "low"):
        unsettled("no answer", queue=name)
    assert len(told(caplog)) == 2


def test_the_last_of_them_is_told_when_nothing_more_comes(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        unsettled("no answer")
    clock[0] += 10.0
    log.emit("pool.resumed")
    assert told(caplog)[1].startswith("message not deleted yet: no answer")
    assert told(caplog)[1].endswith(" (1 more like it)")
    assert told(caplog)[2] == "resumed"


@pytest.mark.usefixtures("clock")
def test_what_was_left_out_is_told_in_the_end(caplog: pytest.LogCaptureFixture) -> None:
    unsettled("no answer")
    log.tell_left_out()
    assert len(told(caplog)) == 1, "nothing was left out"
    for _ in range(3):
        unsettled("no answer")
    log.tell_left_out()
    assert len(told(caplog)) == 3
    assert told(caplog)[-1].endswith(" (1 more like it)")


def test_a_line_may_stand_for_several(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """As one does that another process has counted."""
    unsettled("no answer", more=4)
    unsettled("no answer", more=2)
    clock[0] += 10.0
    unsettled("no answer")
    assert [line.partition(" (")[2] for line in told(caplog)] == [
        "4 more like it)",
        "3 more like it)",
    ]
    assert all(isinstance(record.__dict__["fields"]["more"], int) for record in caplog.records)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_somebody_else_tells_it_for_all(
    capfd: pytest.CaptureFixture[str], level: str, taken: bool
) -> None:
    """But not what is this process's alone, and not at debug level, where nothing is left out."""
    relayed: list[str] = []

    def elsewhere(event: str, _fields: object) -> bool:
        relayed.append(event)
        return taken

    log.configure(level, "text")
    log.relay(elsewhere)
    for _ in range(3):
        unsettled("no answer")
    log.emit("pool.resumed")
    log.tell_left_out()
    told = capfd.readouterr().err
    assert relayed == (["message.unsettled"] * 2 if level == "info" else [])
    assert told.count("not deleted yet") == (3 if level == "debug" else 0 if taken else 2)
    assert "resumed" in told


@pytest.mark.usefixtures("clock")
def test_other_events_are_told_however_often(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        log.emit("pool.resumed")
    assert told(caplog) == ["resumed"] * 3


def test_an_event_that_is_not_told_has_those_told_that_are_due(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    """Most of what happens is not told at level info."""
    log.configure("info", "text")
    for _ in range(3):
        unsettled("no answer")
    clock[0] += 10.0
    log.emit("message.deleted", **ABOUT)
    assert capfd.readouterr().err.count("not deleted yet") == 2
