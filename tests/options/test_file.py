"""The fleet.toml of the current directory may be somebody else's: it may say where bodies and
credentials go.
"""

import os
from pathlib import Path

import pytest

from fleet.cli import health
from fleet.options.checks import SettingsError
from fleet.options.sources import load
from fleet.system import files
from tests.support.needs import NOBODY

ELSEWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str, mode: int = 0o644) -> Path:
    path = Path("fleet.toml")
    path.write_text(text)
    path.chmod(mode)
    return path


def test_ones_own_is_read_and_says_where_requests_go() -> None:
    written(f'queue = "jobs"\nendpoint_url = "{ELSEWHERE}"')
    loaded = load({}, {}, None)
    assert (loaded.settings.endpoint_url, loaded.ignored, loaded.endpoint) == (
        ELSEWHERE,
        "",
        ELSEWHERE,
    )
    assert load({"endpoint_url": "http://127.0.0.1:8"}, {}, None).endpoint == ""


def test_a_queues_url_says_it_too() -> None:
    url = f"{ELSEWHERE}/000000000000/jobs"
    written(f'queue = "{url}"')
    assert load({}, {}, None).endpoint == url
    assert load({"endpoint_url": ELSEWHERE}, {}, None).endpoint == ""
    assert load({"local": True}, {}, None).endpoint == ""
    written('queue = "jobs"')
    assert load({}, {}, None).endpoint == ""


@pytest.mark.parametrize("mode", [0o666, 0o646, 0o602])
def test_what_everybody_may_write_to_is_ignored(mode: int) -> None:
    written(f'endpoint_url = "{ELSEWHERE}"', mode)
    loaded = load({}, {}, None)
    assert (loaded.settings.endpoint_url, loaded.endpoint) == (None, "")
    assert "everybody may write to it; --config fleet.toml takes it" in loaded.ignored
    assert load({}, {}, "fleet.toml").settings.endpoint_url == ELSEWHERE
    assert load({}, {"FLEET_CONFIG": "fleet.toml"}, None).ignored == ""


def test_a_group_may_share_it() -> None:
    written(f'endpoint_url = "{ELSEWHERE}"', 0o664)
    assert load({}, {}, None).settings.endpoint_url == ELSEWHERE


def test_what_is_broken_and_somebody_elses_stops_nobody() -> None:
    written("[", 0o666)
    assert load({}, {}, None).ignored
    written("[")
    with pytest.raises(SettingsError, match=r"^fleet\.toml: "):
        load({}, {}, None)


def test_a_pipe_does_not_hold_up_a_command() -> None:
    os.mkfifo("fleet.toml")
    with pytest.raises(SettingsError, match="no regular file"):
        load({}, {}, None)


@pytest.mark.needs("root")
def test_another_users_is_ignored() -> None:
    path = written(f'endpoint_url = "{ELSEWHERE}"')
    os.chown(path, NOBODY, NOBODY)
    assert f"it belongs to user {NOBODY}, and this is user 0" in load({}, {}, None).ignored


@pytest.mark.needs("root")
def test_another_users_link_to_a_file_of_ones_own_is_ignored(here: Path) -> None:
    Path("other.toml").write_text(f'endpoint_url = "{ELSEWHERE}"')
    path = here / "fleet.toml"
    path.symlink_to("other.toml")
    assert load({}, {}, None).settings.endpoint_url == ELSEWHERE
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    assert str(NOBODY) in load({}, {}, None).ignored


def test_roots_is_read_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("workers = 2")
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        assert load({}, {}, None).settings.workers == 2
    else:
        assert load({}, {}, None).ignored


def test_a_probe_does_not_believe_it_either(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "health.json").write_text("{}")
    written(f'health_file = "{here}/health.json"', 0o666)
    with pytest.raises(SystemExit) as ended:
        health.run([], {})
    assert ended.value.code == 2
    assert "everybody may write to it" in capfd.readouterr().err


def test_a_file_is_read_once_it_is_known_whose_it_is(here: Path) -> None:
    path = here / "file"
    path.write_bytes(b"12345")
    assert files.read_trusted(path, 3) == b"123"
