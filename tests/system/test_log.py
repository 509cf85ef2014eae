"""One line an event, in text and as JSON, in one write.

Nothing of it is shared with a logging library.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.system import log
from fleet.system.log_events import EVENTS


def test_text(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "text")
    log.emit("spawn.failed", who="scout", why="no\x1b[31m processes", retry_in=0.5)
    line = capfd.readouterr().err
    found = re.fullmatch(
        r"(\d\d:\d\d:\d\d) warning no scout could be started: (.*); next try in 0\.5 s\n", line
    )
    assert found, line
    assert found[2] == "no\\x1b[31m processes"


FORGED = "x\n14:03:11 info    all is well\r\x1b[2K\x9b\u2028\u202e\x7f"


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_no_field_of_any_event_makes_a_line_of_its_own(event: str) -> None:
    """Whatever user code, a queue or an endpoint has put into it."""

    class Anything(dict[str, object]):
        def __missing__(self, _name: str) -> object:
            return Hostile()

    class Hostile:
        def __format__(self, _how: str) -> str:
            return FORGED

        def __str__(self) -> str:
            return FORGED

    form = EVENTS[event]
    said = form.phrase(Anything({form.block: FORGED} if form.block else {}))
    first, *below = said.split("\n")
    assert first.isprintable()
    assert all(each.startswith("    ") and each.isprintable() for each in below)
    assert bool(below) == bool(form.block)


def test_as_json_the_fields_are_the_data(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    log.emit("spawn.failed", who="scout", why=FORGED, retry_in=0.5)
    (line,) = capfd.readouterr().err.split("\n")[:-1]
    assert line.isprintable()
    found = json.loads(line)
    assert found["why"] == FORGED
    assert found["message"].isprintable()


def test_json(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("info", "json")
    log.emit("spawn.failed", who="scout", why="é <level> {braces}", retry_in=0.5)
    line = capfd.readouterr().err
    found = json.loads(line)
    assert list(found) == ["time", "level", "event", "message", "who", "why", "retry_in"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", found["time"])
    assert (found["level"], found["event"], found["why"]) == (
        "warning",
        "spawn.failed",
        "é <level> {braces}",
    )
    assert "\\u00e9" in line
    assert line.endswith("}\n")


ABOUT = {"slot": 1, "message_id": "m1", "attempt": 1, "queue": "low\x1b"}


def test_which_queue_an_event_is_about_is_said_where_there_are_several(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for several, end in ((True, " · attempt 1 · queue low\\x1b"), (False, " · attempt 1")):
        log.configure("info", "json", names_queue=several)
        log.emit("message.received", **ABOUT)
        told = json.loads(capfd.readouterr().err)
        assert told["queue"] == "low\x1b"
        assert told["message"].endswith(end)
    log.configure("info", "text", names_queue=True)
    log.emit("queue.paused", queue="low")
    log.emit("pool.resumed")
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith(
        " queue low is paused: nothing more is received from it; running jobs go on"
    )
    assert second.endswith(" resumed")


def test_a_pool_of_several_queues_begins_with_all_their_names() -> None:
    fields = {"name": "p", "app": "a:b", "workers": 2, "longest_stop": 5.0}
    form = EVENTS["master.started"]
    begins = "pool p: a:b on queue"
    assert form.phrase({**fields, "queue": "jobs"}).startswith(f"{begins} jobs, workers: 2;")
    assert form.phrase({**fields, "queues": "a, b"}).startswith(f"{begins}s a, b, workers: 2;")


def test_levels(capfd: pytest.CaptureFixture[str]) -> None:
    """An event may be quieter for people than for programs."""
    for form, lines in (("text", 0), ("json", 1)):
        log.configure("info", form)
        log.emit("queue.usable", queue="jobs")
        assert len(capfd.readouterr().err.splitlines()) == lines
    log.configure("error", "json")
    log.emit("spawn.failed", who="scout", why="", retry_in=0.5)
    assert capfd.readouterr().err == ""


def test_an_apps_loguru_is_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    """What it removes, disables or breaks changes no line of ours, and it gets none."""
    from loguru import logger

    def fail(_line: object) -> None:
        raise RuntimeError("a sink of the app's")

    log.configure("info", "text")
    try:
        logger.remove()
        logger.add(fail, catch=False)
        logger.disable("fleet")
        log.emit("pool.resumed")
    finally:
        logger.remove()
        logger.enable("fleet")
    assert capfd.readouterr().err.endswith(" info    resumed\n")


@pytest.mark.parametrize(
    "module",
    ["fleet.template.process", "fleet.scout.process", "fleet.master.loop", "fleet.cli.start"],
)
def test_no_process_of_a_pool_imports_it(module: str) -> None:
    text = f"import {module}, sys; sys.exit('loguru' in sys.modules)"
    directory = Path(__file__).parents[2]
    assert (
        subprocess.run(
            [sys.executable, "-c", text], cwd=directory, env=dict(os.environ), check=False
        ).returncode
        == 0
    )


def test_a_forked_child_tells_what_it_has_to_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """Its parent's way to somebody who tells it is not its own."""
    taken: list[str] = []
    log.configure("info", "text")

    def take(event: str, _: object) -> bool:
        taken.append(event)
        return True

    log.relay(take)
    trouble = {"settlement": "deleted", "error": "503", "slot": 0, "message_id": "m", "attempt": 1}
    log.emit("message.unsettled", **trouble)
    assert (taken, capfd.readouterr().err) == (["message.unsettled"], "")
    log.start_in_child()
    log.emit("message.unsettled", **trouble)
    assert taken == ["message.unsettled"]
    assert "message not deleted yet: 503" in capfd.readouterr().err
