"""What can be asked of a running pool, and what it answers."""

import json
from math import inf

import pytest

from fleet.core.config import Config
from fleet.core.control import BadRequest, Request, decide, encode_answer, read_request
from fleet.core.pool.events import LimitAsked, PauseAsked, ScaleAsked, StopAsked
from fleet.core.pool.state import Level, Pool, PoolPhase, new
from fleet.core.records import replace
from tests.core.pool.story import running
from tests.support.queues import change_queue, one_queue


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b'{"command": "status"}', Request("status")),
        (b'{"command": "scale", "to": 5}', Request("scale", 5)),
        (b'{"command": "scale", "to": "auto"}', Request("scale", None)),
        (b'{"command": "pause"}', Request("pause")),
        (b'{"command": "resume", "and": ["more"]}', Request("resume")),
        (b'{"command": "pause", "queue": "low"}', Request("pause", queue="low")),
        (b'{"command": "resume", "queue": "low"}', Request("resume", queue="low")),
        (
            b'{"command": "scale", "queue": "low", "limit": 2}',
            Request("scale", queue="low", limit=2),
        ),
        (
            b'{"command": "scale", "queue": "low", "limit": "none"}',
            Request("scale", queue="low", limit=inf),
        ),
        (b'{"command": "stop"}', Request("stop")),
        (b'{"command": "stop", "now": true}', Request("stop", now=True)),
    ],
)
def test_a_request(line: bytes, request_: Request) -> None:
    assert read_request(line) == request_


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"status",
        b"[]",
        b"7",
        b"{}",
        b'{"command": "reboot"}',
        b'{"command": ["scale"]}',
        b'{"command": "scale"}',
        b'{"command": "scale", "to": "5"}',
        b'{"command": "scale", "to": true}',
        b'{"command": "scale", "to": 2.5}',
        b'{"command": "stop", "now": 1}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_request_says_what_would_be(line: bytes) -> None:
    with pytest.raises(BadRequest, match=r"a request|scale goes|now is"):
        read_request(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"command": "pause", "queue": 1}', "queue is the name of a queue"),
        (b'{"command": "pause", "queue": ["low"]}', "queue is the name of a queue"),
        (b'{"command": "stop", "queue": "low"}', "stop is of the whole pool"),
        (b'{"command": "status", "queue": "low"}', "status is of the whole pool"),
        (b'{"command": "scale", "to": 3, "limit": 2}', "limit is of a queue"),
        (b'{"command": "scale", "queue": "low", "to": 3}', "no number to go to"),
        (b'{"command": "scale", "queue": "low", "to": 3, "limit": 2}', "no number to go to"),
        *(
            (f'{{"command": "scale", "queue": "low", "limit": {limit}}}'.encode(), "from 1 to 1024")
            for limit in ("0", "-1", "1025", "2.5", "true", '"2"', "null", "1" * 400)
        ),
        (b'{"command": "scale", "queue": "low"}', "limit is a number from 1 to 1024, or none"),
    ],
)
def test_what_cannot_be_asked_of_a_queue(line: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        read_request(line)


def test_status_changes_nothing() -> None:
    assert decide(running().pool, Request("status")) == (None, "")


def test_scale() -> None:
    assert decide(running(2).pool, Request("scale", 5)) == (ScaleAsked(5), "workers 2 → 5")


@pytest.mark.parametrize("to", [0, -1, 1025])
def test_a_size_that_cannot_be(to: int) -> None:
    with pytest.raises(BadRequest, match=f"{to} is not between 1 and 1024$"):
        decide(running().pool, Request("scale", to))


@pytest.mark.parametrize("to", [1, 2, 9, 1024])
def test_beyond_the_bounds_the_refusal_names_them(to: int) -> None:
    with pytest.raises(BadRequest, match=f"{to} is not between 3 and 8, this pool's bounds"):
        decide(running(3, min_workers=3, max_workers=8).pool, Request("scale", to))


def test_within_the_bounds() -> None:
    pool = running(3, max_workers=8).pool
    assert decide(pool, Request("scale", 3))[0] == ScaleAsked(3)
    assert decide(pool, Request("scale", 8))[0] == ScaleAsked(8)
    assert decide(pool, Request("scale", None)) == (ScaleAsked(None), "the pool sizes itself")


def test_auto_needs_bounds() -> None:
    with pytest.raises(BadRequest, match="fixed size"):
        decide(running().pool, Request("scale", None))


def test_pause_and_resume() -> None:
    assert decide(running().pool, Request("pause"))[0] == PauseAsked(True)
    assert decide(running().pool, Request("resume"))[0] == PauseAsked(False)


# One queue of several.


def two(*, paused: bool = False, low_paused: bool = False) -> Pool:
    pool = new(Config(), [*one_queue(queue="high"), *one_queue(queue="http://127.0.0.1/000/low")])
    pool = change_queue(pool, 1, paused=low_paused)
    return replace(pool, phase=PoolPhase.RUNNING, paused=paused)


def test_a_queue_is_paused_by_its_own_name() -> None:
    event, said = decide(two(), Request("pause", queue="low"))
    assert event == PauseAsked(True, 1)
    assert said.startswith("low is paused: nothing more is received from it;")
    assert decide(two(), Request("resume", queue="high")) == (
        PauseAsked(False, 0),
        "high is resumed",
    )


def test_what_stays_paused_is_said() -> None:
    assert decide(two(paused=True), Request("resume", queue="low"))[1].endswith(
        "; the pool is paused"
    )
    assert decide(two(low_paused=True), Request("resume"))[1] == "resumed; still paused: low"
    assert decide(two(), Request("resume"))[1] == "resumed"


def test_a_limit_is_set_and_lifted() -> None:
    pool = two()
    assert decide(pool, Request("scale", queue="low", limit=2)) == (
        LimitAsked(1, 2),
        "limit of low: none → 2",
    )
    pool = change_queue(pool, 1, limit=2.0)
    assert decide(pool, Request("scale", queue="low", limit=inf)) == (
        LimitAsked(1, inf),
        "limit of low: 2 → none",
    )


@pytest.mark.parametrize("command", ["pause", "resume", "scale"])
def test_a_name_that_no_queue_has_is_answered_with_those_that_there_are(command: str) -> None:
    with pytest.raises(BadRequest, match=r"this pool has no queue 'other'; it has high, low$"):
        decide(two(), Request(command, queue="other", limit=2))


def test_a_wrong_name_makes_no_line_and_no_end_of_an_answer() -> None:
    with pytest.raises(BadRequest) as refused:
        decide(two(), Request("pause", queue="a\n\x1b[2J" + 10_000 * "b"))
    assert r"'a\n\x1b[2Jbbb" in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 200


def test_stop() -> None:
    event, said = decide(running(drain_timeout=20).pool, Request("stop"))
    assert event == StopAsked(Level.DRAIN, "an operator stopped it", by_signal=False)
    assert "20 s" in said
    event, said = decide(running().pool, Request("stop", now=True))
    assert event == StopAsked(Level.NOW, "an operator stopped it", by_signal=False)
    assert "stopped" in said


def test_a_stop_of_a_pool_that_stops_already_says_so() -> None:
    story = running()
    story.stop()
    event, said = decide(story.pool, Request("stop"))
    assert said == "it stops already: DRAIN"
    assert event is not None  # it may still shorten what running jobs have
    assert decide(story.pool, Request("stop", now=True))[1] == "draining: jobs are stopped"


@pytest.mark.parametrize("command", ["scale", "pause", "resume"])
def test_a_draining_pool_only_drains(command: str) -> None:
    story = running()
    story.stop()
    for request in (Request(command, 3), Request(command, queue="jobs", limit=2)):
        with pytest.raises(BadRequest, match="draining"):
            decide(story.pool, request)
    assert decide(story.pool, Request("status"))[0] is None
    assert decide(story.pool, Request("stop", now=True))[0] is not None


def test_an_answer_is_one_line() -> None:
    line = encode_answer(ok=False, error="two\nlines")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"ok": False, "error": "two\nlines"}
