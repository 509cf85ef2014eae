"""`fleet pause`, `resume` and `scale` of one queue: what the pool is asked for."""

from pathlib import Path
from typing import Any

import pytest

from fleet.cli import commands, running_pool
from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import USAGE
from fleet.ipc.pool_socket import RunningPool

for command in ("pause", "resume", "scale"):
    commands.register([command])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, Any]]]:
    """Which pool is asked for what."""
    told: list[tuple[str, str, dict[str, Any]]] = []

    def ask(place: RunningPool, command: str, **fields: Any) -> dict[str, str]:
        told.append((place.name, command, fields))
        return {"said": "done\x1b[2J"}

    monkeypatch.setattr(running_pool, "ask", ask)
    monkeypatch.setattr(
        running_pool, "find_pool", lambda name: RunningPool(name or "only", 1, Path("/"))
    )
    return told


def run(*words: str) -> int:
    return int(cli(words, prog_name="fleet", standalone_mode=False))


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("pause", ("only", "pause", {})),
        ("pause --queue low", ("only", "pause", {"queue": "low"})),
        ("resume work -q low", ("work", "resume", {"queue": "low"})),
        ("scale 3 work", ("work", "scale", {"to": 3})),
        ("scale auto", ("only", "scale", {"to": "auto"})),
        ("scale --queue low --limit 2", ("only", "scale", {"queue": "low", "limit": 2})),
        ("scale -q low --limit none work", ("work", "scale", {"queue": "low", "limit": "none"})),
    ],
)
def test_what_is_asked(
    asked: list[tuple[str, str, dict[str, Any]]],
    line: str,
    asks: tuple[str, str, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(*line.split()) == 0
    assert asked == [asks]
    assert capsys.readouterr().out == f"{asks[0]}: done\\x1b[2J\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("pause -q high -q low", "one queue at a time: --queue high --queue low"),
        ("resume work -q high -q low", "one queue at a time: --queue high --queue low"),
        ("scale -q high -q low --limit 2", "one queue at a time: --queue high --queue low"),
        ("scale", "no size given"),
        ("scale --queue low", "--queue Q and --limit N belong together"),
        ("scale 3 --queue low", "--queue Q and --limit N belong together"),
        ("scale 3 --limit 2", "--queue Q and --limit N belong together"),
        ("scale 3 --queue low --limit 2", "N is the size of the pool, --limit a queue's"),
        ("scale auto -q low --limit 2", "N is the size of the pool, --limit a queue's"),
        ("scale 3 work -q low --limit 2", "N is the size of the pool, --limit a queue's"),
        ("scale -q low --limit auto", "the limit is 'auto'; it must be none or a number"),
        ("scale none", "the size is 'none'; it must be auto or a number"),
    ],
)
def test_what_is_no_command(
    asked: list[tuple[str, str, dict[str, Any]]], line: str, why: str
) -> None:
    with pytest.raises(CommandFailed, match=why) as refused:
        run(*line.split())
    assert refused.value.code == USAGE
    assert asked == []
