"""The rules between options: one that counts of several, one that has no time, one that follows."""

from pathlib import Path

import pytest

from fleet.options.checks import SettingsError
from fleet.options.sources import LoadedSettings, load


def loaded(line: dict[str, object] | None = None, **environment: str) -> LoadedSettings:
    return load(line or {}, {f"FLEET_{name}": value for name, value in environment.items()}, None)


# --verbose, --quiet and --log-level: one of them counts, and which is clear.


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ({}, "info"),
        ({"verbose": True}, "debug"),
        ({"quiet": True}, "warning"),
        ({"log_level": "error"}, "error"),
        ({"verbose": False, "log_level": "error"}, "error"),
        ({"verbose": False, "quiet": True}, "warning"),
    ],
)
def test_each_means_a_level(line: dict[str, object], level: str) -> None:
    assert loaded(line).settings.log_level == level


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ({"verbose": True, "quiet": True}, "--verbose and --quiet exclude"),
        ({"verbose": True, "log_level": "debug"}, "--verbose and --log-level exclude"),
        ({"quiet": True, "log_level": "info"}, "--quiet and --log-level exclude"),
        (
            {"verbose": True, "quiet": True, "log_level": "info"},
            "--verbose and --quiet and --log-level exclude",
        ),
    ],
)
def test_two_in_one_place_exclude_each_other(line: dict[str, object], flags: str) -> None:
    with pytest.raises(SettingsError, match=flags) as raised:
        loaded(line)
    assert "(command line)" in str(raised.value)
    with pytest.raises(SettingsError, match="environment"):
        load({}, {f"FLEET_{name.upper()}": str(value) for name, value in line.items()}, None)


def test_what_is_said_nearer_to_the_command_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = loaded({"quiet": True}, VERBOSE="1")
    assert (found.settings.log_level, found.origins["log_level"]) == ("warning", "command line")
    found = loaded({"log_level": "error"}, VERBOSE="yes")
    assert (found.settings.log_level, found.origins["log_level"]) == ("error", "command line")
    found = loaded(QUIET="true")
    assert (found.settings.log_level, found.origins["log_level"]) == (
        "warning",
        "environment, FLEET_QUIET",
    )


def test_the_file_counts_least(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "fleet.toml"
    file.write_text("quiet = true\n")
    assert loaded().settings.log_level == "warning"
    assert loaded(LOG_LEVEL="error").settings.log_level == "error"
    assert loaded({"verbose": True}).settings.log_level == "debug"
    file.write_text('quiet = true\nlog_level = "info"\n')
    with pytest.raises(SettingsError, match=r"exclude each other \(fleet.toml\)"):
        loaded()


# Others.


def test_a_hook_has_to_have_time() -> None:
    with pytest.raises(SettingsError, match="--exit-timeout is 0: an --on-failure hook"):
        load({"on_failure": "app:told", "exit_timeout": "0"}, {}, None)
    assert load({}, {"FLEET_ON_FAILURE": "app:told"}, None).settings.on_failure == "app:told"


def test_hooks_of_the_jobs_process() -> None:
    with pytest.raises(SettingsError, match="--exit-timeout is 0: --job-exit"):
        load({"job_exit": "app:end", "exit_timeout": "0"}, {}, None)
    settings = load({"job_exit": "app:end"}, {"FLEET_JOB_INIT": "app:begin"}, None).settings
    assert (settings.job_init, settings.job_exit) == ("app:begin", "app:end")
    with pytest.raises(SettingsError, match="--job-init is 'begin'"):
        load({"job_init": "begin"}, {}, None)


@pytest.mark.parametrize(
    ("given", "wait"),
    [
        ({}, 10.0),
        ({"local": True}, 2.0),
        ({"local": True, "wait_time": "7"}, 7.0),
        ({"local": True, "visibility_timeout": "10"}, 2.0),
        ({"local": True, "visibility_timeout": "2"}, 1.0),
    ],
)
def test_the_embedded_server_is_polled_more_often(given: dict[str, object], wait: float) -> None:
    assert load(given, {}, None).settings.wait_time == wait
