"""`fleet config`: every option's value and where it came from, and what is a queue's own."""

import json
from pathlib import Path

import pytest

from fleet.cli import commands
from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed

TABLES = """
[[queue]]
name = "high"
app = "web:job"

[[queue]]
name = "low"
limit = 2
visibility_timeout = 9

[[queue]]
name = "last"
"""

commands.register(["config"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fleet.toml"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> "Told":
    return Told(capsys)


class Told:
    """What the command prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> str:
        cli(["config", *arguments], prog_name="fleet", standalone_mode=False)
        return self._capsys.readouterr().out


def test_of_one_queue_there_is_one_list(told: Told) -> None:
    lines = told("-q", "jobs").splitlines()
    assert lines[0].split() == ["queue", "jobs", "command", "line"]
    assert "" not in lines
    shown = json.loads(told("-q", "jobs", "--json"))
    assert shown["queue"] == {"value": "jobs", "origin": "command line"}
    assert "queues" not in shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [(("-q", "high", "-q", "low"), "high, low"), (("-q", "a=3,b=0.5"), "a=3, b=0.5")],
)
def test_several_are_shown_as_they_are_given(
    told: Told, given: tuple[str, ...], shown: str
) -> None:
    assert json.loads(told(*given, "--json"))["queue"]["value"] == shown
    assert " ".join(told(*given).splitlines()[0].split()) == f"queue {shown} command line"


def test_what_is_a_queues_own_stands_below_its_name(told: Told, here: Path) -> None:
    here.write_text(TABLES)
    own = told().partition("\n\n")[2].splitlines()
    assert [" ".join(line.split()) for line in own] == [
        "[[queue]] high",
        "app web:job [[queue]] high",
        "",
        "[[queue]] low",
        "limit 2 [[queue]] low",
        "visibility_timeout 9.0 [[queue]] low",
        "wait_time 6.0 two thirds of --visibility-timeout, 9",
    ]
    shown = json.loads(told("--json"))["queues"]
    assert shown["low"]["wait_time"]["value"] == 6.0
    assert shown["last"] == {}


def test_what_cannot_be_of_one_queue_is_one_error(told: Told, here: Path) -> None:
    here.write_text('exit_handler = "a:b"\n[[queue]]\nname = "low"\nexit_timeout = 0')
    with pytest.raises(CommandFailed, match="queue low: --exit-timeout is 0"):
        told()
