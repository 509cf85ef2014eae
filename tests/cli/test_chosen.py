"""The queue of a command that is about one."""

from pathlib import Path

import pytest

from fleet.cli.chosen import load, queue_of
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import USAGE


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEET_QUEUE", raising=False)
    return tmp_path / "fleet.toml"


def test_of_several_one_must_be_named(here: Path) -> None:
    here.write_text('[[queue]]\nname = "high"\n[[queue]]\nname = "http://127.0.0.1/000/low"')
    with pytest.raises(
        CommandFailed, match=r"^several queues are given \(high, low\); name one with --queue$"
    ) as caught:
        queue_of(load({}))
    assert caught.value.code == USAGE
    with pytest.raises(CommandFailed, match=r"\(a, b\)"):
        queue_of(load({"queue": ["a", "b"]}))
    assert queue_of(load({"queue": ["low"]})) == "http://127.0.0.1/000/low"
    assert queue_of(load({"queue": ["other=2"]})) == "other"


def test_without_any_it_is_said_how_to_name_one() -> None:
    with pytest.raises(CommandFailed, match="no queue given; use --queue NAME, FLEET_QUEUE"):
        queue_of(load({}))
