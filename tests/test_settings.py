"""Values that cannot be: what a file or a command line says is taken, or is one line that says what is right."""

from pathlib import Path

import pytest

from fleet.settings import SettingsError, load


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


def test_a_path_may_be_any_bytes() -> None:
    assert load({"health_file": "a\udcff"}, {}, None).settings.health_file == "a\udcff"
