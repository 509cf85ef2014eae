"""What others have written leaves in one line: in titles, tables, dead letters and errors."""

import sys
from pathlib import Path

import pytest

from fleet.cli import common, failure, main
from fleet.core.exit_codes import USAGE
from fleet.core.queue import Message
from fleet.dispatcher.delivery_log import DeliveryLog
from fleet.system import titles
from tests.support.dispatcher_world import World
from tests.support.pool import REPOSITORY

FORGED = "x\n14:03:11 info    all is well\r\x1b[2K\x9b\u2028\u202e\x7f\0"


def test_a_title(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(titles, "put", shown.append)
    titles.show(f"fleet: master {FORGED}")
    assert shown[0].isprintable()


def test_a_commands_line(capfd: pytest.CaptureFixture[str]) -> None:
    common.say(FORGED)
    failure.complain(FORGED)
    for text in capfd.readouterr():
        assert text.removesuffix("\n").isprintable()


def test_a_commands_failure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise failure.CommandFailed(USAGE, FORGED)

    monkeypatch.setattr(sys, "argv", ["fleet", "status"])
    with pytest.raises(SystemExit):
        main.run(fail)
    assert capfd.readouterr().err.removesuffix("\n").isprintable()


def test_a_dead_letters_attribute() -> None:
    """SQS refuses a letter with a control character in it."""
    world = World()
    found = DeliveryLog(world.context(), Message("id", "handle", "")).dead_letter_attributes(FORGED)
    assert found["FleetDeath"].isprintable()


def test_whoever_writes_to_a_terminal_goes_through_one_of_them() -> None:
    """Titles by titles.py; standard output by `say`, or as JSON, or a text that is fleet's own."""
    by_hand = {"sqs/local_server_program.py"}  # its text is a number
    package = Path(REPOSITORY, "fleet")
    found = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "setproctitle(" in file.read_text()
    }
    assert found == by_hand
