"""What can be asked of a running pool, and what it answers."""

import json

import pytest

from fleet.core.control import BadRequest, Request, decide, encode_answer, read_request
from fleet.core.pool.events import PauseAsked, ScaleAsked, StopAsked
from fleet.core.pool.state import Level
from tests.core.pool.story import running


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        (b'{"command": "status"}', Request("status")),
        (b'{"command": "scale", "to": 5}', Request("scale", 5)),
        (b'{"command": "scale", "to": "auto"}', Request("scale", None)),
        (b'{"command": "pause"}', Request("pause")),
        (b'{"command": "resume", "and": ["more"]}', Request("resume")),
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
    with pytest.raises(BadRequest, match="draining"):
        decide(story.pool, Request(command, 3))
    assert decide(story.pool, Request("status"))[0] is None
    assert decide(story.pool, Request("stop", now=True))[0] is not None


def test_an_answer_is_one_line() -> None:
    line = encode_answer(ok=False, error="two\nlines")
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"ok": False, "error": "two\nlines"}
