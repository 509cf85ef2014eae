"""What is to be known of the fleet.toml of the current directory is said by every command that
reads it.
"""

from pathlib import Path

import pytest

from tests.support.pool import Home, run_fleet

ELSEWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "command", [("config",), ("start", "-q", "jobs", "--log-format", "json", "no_such_app:job")]
)
def test_every_command_says_so(home: Home, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(f'endpoint_url = "{ELSEWHERE}"\nstart_timeout = 0')
    environment = home.environment()
    told = run_fleet(home, *command, env=environment, cwd=tmp_path).errors
    assert f"fleet.toml in this directory says where requests go: {ELSEWHERE}" in told
    file.chmod(0o666)
    told = run_fleet(
        home, *command, env=environment | {"FLEET_START_TIMEOUT": "0"}, cwd=tmp_path
    ).errors
    assert "fleet.toml in this directory is ignored: everybody may write to it" in told
