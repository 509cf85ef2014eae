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


def test_a_path_may_be_any_bytes() -> None:
    assert load({"health_file": "a\udcff"}, {}, None).settings.health_file == "a\udcff"
