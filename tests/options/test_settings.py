"""Values that cannot be: what a file or a command line says is taken, or is one line that says what
is right.
"""

from pathlib import Path

import pytest

from fleet.options.checks import SettingsError
from fleet.options.sources import load


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("sns_topic = [5]", "--sns-topic"),
        ("workers = inf", "--workers"),
        ("wait_time = 1" + 400 * "0", "--wait-time"),
        ("max_jobs = 1" + 5000 * "0", "fleet.toml"),
        ("name = " + 3000 * "[", "fleet.toml"),
        ('name = "a\\u0000b"', "--name"),
        ("queue = 2020-01-01", "--queue"),
        ("[fleet]\nworkers = 2", r"options stand at the top of the file, without \[fleet\]"),
        (
            'endpoint_url = "localhost:9324"',
            "--endpoint-url is .* a URL that begins with http:// or https://",
        ),
        ('endpoint_url = "http://"', "--endpoint-url"),
    ],
)
def test_a_file_that_says_what_cannot_be(tmp_path: Path, text: str, option: str) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=option):
        load({}, {}, str(file))


@pytest.mark.parametrize("name", ["queue", "name", "endpoint_url", "region"])
def test_a_text_that_is_not_utf_8(name: str) -> None:
    """What a shell gives of bytes that are none is a lone surrogate."""
    with pytest.raises(SettingsError, match=name.replace("_", "-")) as raised:
        load({name: "a\udcff"}, {}, None)
    str(raised.value).encode()


@pytest.mark.parametrize(
    "text", ["a\nb", "a\x1b[2Jb", "a\u202eb", "a\u200bb", "a\x7fb", "a\u2028b", "a\x85b"]
)
def test_a_name_that_is_not_plain(text: str) -> None:
    """It stands in titles, in the log, and in a lock's file."""
    for given in ({"name": text}, {"queue": text}):
        with pytest.raises(SettingsError, match="without control characters") as raised:
            load(given, {}, None)
        assert str(raised.value).isprintable()
    with pytest.raises(SettingsError, match="give it another one with --name"):
        load({"queue": "jobs"}, {}, None, app=f"{text}.py:job")
    assert load({"name": "jobs"}, {}, None, app=f"{text}.py:job").settings.name == "jobs"


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


def test_a_path_may_be_any_bytes() -> None:
    assert load({"health_file": "a\udcff"}, {}, None).settings.health_file == "a\udcff"


def test_a_kubernetes_service_is_no_port() -> None:
    """A service called fleet-local puts its address where the option's port would stand."""
    assert load({}, {"FLEET_LOCAL_PORT": "tcp://10.0.0.1:80"}, None).settings.local_port == 9324
    assert load({}, {"FLEET_LOCAL_PORT": "9325"}, None).settings.local_port == 9325


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
