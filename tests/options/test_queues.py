"""The queues of a pool: how they are given, what a table says, and what each queue is worked by."""

import tomllib
from dataclasses import fields
from math import inf
from pathlib import Path
from typing import Any

import pytest

from fleet.core.config import Config
from fleet.core.queue_config import OF_A_QUEUE, QueueConfig
from fleet.options import queues
from fleet.options.checks import SettingsError, check_value
from fleet.options.pool_config import config_of
from fleet.options.queues import Given, QueueTable, choose_queues, read_queues
from fleet.options.settings import Settings
from fleet.options.sources import load


def read(value: Any) -> list[tuple[str, float | None]]:
    return [(each.queue, each.weight) for each in read_queues(value, "command line")]


def tables(toml: str) -> tuple[QueueTable, ...]:
    return read_queues(tomllib.loads(toml)["queue"], "fleet.toml")


def made_of(*given: str, toml: str = "", app: str = "app:job", **options: Any) -> list[QueueConfig]:
    """The queues of a pool that is started like this."""
    values: dict[str, Any] = {}
    for each in fields(Settings):
        raw = options.get(each.name, each.default)
        check = each.metadata["check"]
        values[each.name] = None if raw is None else check_value(check, raw, each.name, "test")
    origins = {
        each.name: "command line" if each.name in options else "default"
        for each in fields(Settings)
    }
    named = read_queues(list(given), "command line") if given else ()
    chosen = choose_queues(named, tables(toml) if toml else ())
    return queues.queues_of(Given(values, origins, may_resize=True), chosen, app)


# How they are given.


@pytest.mark.parametrize(
    ("value", "then"),
    [
        ("jobs", [("jobs", None)]),
        ("high,low", [("high", None), ("low", None)]),
        ("high, low", [("high", None), ("low", None)]),
        (["high", "low"], [("high", None), ("low", None)]),
        (["a=3", "b=1.5"], [("a", 3.0), ("b", 1.5)]),
        ("a=3,b=1", [("a", 3.0), ("b", 1.0)]),
        ("arn:aws:sqs:eu-west-1:1:a.fifo=2", [("arn:aws:sqs:eu-west-1:1:a.fifo", 2.0)]),
        ("http://127.0.0.1:9324/000/a=2", [("http://127.0.0.1:9324/000/a", 2.0)]),
        ("http://127.0.0.1:9324/000/a/", [("http://127.0.0.1:9324/000/a", None)]),
        ("http://127.0.0.1/a?b=2", [("http://127.0.0.1/a?b=2", None)]),
    ],
)
def test_texts(value: Any, then: list[tuple[str, float | None]]) -> None:
    assert read(value) == then


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a=0", "--queue: the weight of a is '0' (command line); it must be a number above 0"),
        ("a=-1", "a number above 0"),
        ("a=x", "a number above 0"),
        ("a=", "a number above 0"),
        ("a=inf", "a number above 0"),
        ("=3", "a queue's name, URL or ARN"),
        ("a,,b", "a queue's name, URL or ARN"),
        ("", "a queue's name, URL or ARN"),
        ([], "a queue's name, URL or ARN"),
        (7, "a queue's name, URL or ARN"),
        ([7], "a queue's name, URL or ARN"),
        ("a\x1bb", "without control characters"),
        ("high low", "--queue is 'high low' (command line); a queue's name has no space; commas"),
        ("high low=3", "a queue's name has no space; commas separate several"),
        ("a=3=4", "a queue's name has no equals sign; NAME=N is its weight"),
    ],
)
def test_what_is_no_queue_is_refused(value: Any, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(value)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["a=3", "b"], "some queues have a weight and some have none"),
        (["a", "b", "a"], "two queues have the same name: a"),
        (["a", "arn:aws:sqs:eu-west-1:1:a"], "a, arn:aws:sqs:eu-west-1:1:a"),
        ([], "no queue given"),
        (
            [f"q{number}" for number in range(33)],
            "33 queues are given; a pool has 32 at the most: give some to another pool",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(given: list[str], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        made_of(*given)


def test_so_many_are_possible() -> None:
    assert len(made_of(*(f"q{number}" for number in range(32)))) == 32


# Tables.

TWO = """
[[queue]]
name = "high"
app = "web:job"
job_timeout = 5

[[queue]]
name = "http://127.0.0.1/000/low"
limit = 2
visibility_timeout = 3600
body = "json"
retry_delay = [1, 2]
"""


def test_a_table_says_what_is_its_queues_own() -> None:
    high, low = made_of(toml=TWO, job_timeout=60, wait_time=20)
    assert (high.queue, high.app, high.limit, high.weight) == ("high", "web:job", inf, None)
    assert (low.name, low.app, low.limit) == ("low", "app:job", 2)
    assert (high.config.job_timeout, low.config.job_timeout) == (5, 60)
    assert (low.config.body, low.config.retry_delay) == ("json", (1, 2))
    assert high.config.body == "text"
    assert {each.config.name for each in (high, low)} == {"web:job@high+1"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (" a ", "[[queue]] name is ' a ' (fleet.toml); a queue's name has no space"),
        ("b,c", "no comma; each queue has a table of its own"),
        ("a=3", "no equals sign; weight is a key of its own"),
        ("arn:aws:sqs:eu-west-1:1:a=3", "no equals sign"),
        (" http://127.0.0.1/a", "no space"),
    ],
)
def test_a_tables_name_is_held_to_what_a_given_one_is(name: str, why: str) -> None:
    with pytest.raises(SettingsError) as refused:
        tables(f'[[queue]]\nname = "{name}"')
    assert why in str(refused.value)


@pytest.mark.parametrize("name", ["http://127.0.0.1/a?b=2,3", "arn:aws:sqs:eu-west-1:1:a.fifo"])
def test_a_tables_name_may_be_a_url_or_an_arn(name: str) -> None:
    assert tables(f'[[queue]]\nname = "{name}"')[0].queue == name


def test_a_queue_that_is_given_by_name_is_what_its_table_says() -> None:
    low, other = made_of("low", "other", toml=TWO)
    assert (low.queue, low.limit, low.config.body) == ("http://127.0.0.1/000/low", 2, "json")
    assert (other.queue, other.limit, other.config.body) == ("other", inf, "text")
    assert low.config.name == "app:job@low+1"


def test_weights_may_come_from_both() -> None:
    weighted = '[[queue]]\nname = "a"\nweight = 3\n[[queue]]\nname = "b"\nweight = 1'
    assert [each.weight for each in made_of(toml=weighted)] == [3, 1]
    assert [each.weight for each in made_of("b=5", "a", toml=weighted)] == [5, 3]
    with pytest.raises(SettingsError, match="some have none"):
        made_of("a", "c", toml=weighted)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("limit = 2", r"a \[\[queue\]\] table needs a name"),
        ('name = "a"\nworkers = 2', "a: workers is no option of a queue; known are name, weight"),
        ('name = "a"\nlimit = 0', r"\[\[queue\]\] a: limit is 0 \(fleet.toml\)"),
        ('name = "a"\nweight = true', "weight is True"),
        ('name = "a"\napp = "nothing"', "app is 'nothing'"),
        ('name = "a"\njob_timeout = 0', "job_timeout is 0"),
        ("name = 7", "name is 7"),
    ],
)
def test_a_table_that_cannot_be_is_refused(table: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        tables(f"[[queue]]\n{table}")


def test_the_rules_between_options_hold_for_each_queue() -> None:
    with pytest.raises(SettingsError, match="queue a: --router excludes --transformer"):
        made_of(toml='[[queue]]\nname = "a"\nrouter = "a:b"', transformer="a:c")
    with pytest.raises(SettingsError, match="queue a: --body json and --router"):
        made_of(toml='[[queue]]\nname = "a"\nrouter = "a:b"\nbody = "json"')
    short, long = made_of(
        "short", "long", toml='[[queue]]\nname = "short"\nvisibility_timeout = 6', wait_time=20
    )
    assert (short.config.wait_time, long.config.wait_time) == (4, 20)


def test_what_follows_from_the_kind_of_queue_follows_for_each() -> None:
    first, second, third = made_of(
        "a.fifo", "b", "c.fifo", toml='[[queue]]\nname = "c.fifo"\non_lease_lost = "continue"'
    )
    assert (first.is_fifo, second.is_fifo) == (True, False)
    assert [each.config.on_lease_lost for each in (first, second, third)] == [
        "kill",
        "continue",
        "continue",
    ]


# APP and name.


def test_app_may_be_left_out_where_every_table_has_one() -> None:
    assert [each.app for each in made_of("high", toml=TWO, app="")] == ["web:job"]
    with pytest.raises(SettingsError, match="no APP given; queue low has none"):
        made_of(toml=TWO, app="")
    with pytest.raises(SettingsError, match="APP is 'nothing'"):
        made_of("a", app="nothing")
    with pytest.raises(SettingsError, match="APP is 'nothing'"):
        made_of("high", toml=TWO, app="nothing")
    with pytest.raises(SettingsError, match=r"no APP given$"):
        made_of("a", "b", app="")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["jobs"], "app:job@jobs"),
        (["high", "low"], "app:job@high+1"),
        (["http://127.0.0.1/000/a.fifo", "b", "c"], "app:job@a.fifo+2"),
    ],
)
def test_the_first_app_at_the_first_queue_names_the_pool(given: list[str], name: str) -> None:
    assert [each.config.name for each in made_of(*given)] == [name] * len(given)
    assert {each.config.name for each in made_of(*given, name="own")} == {"own"}


def test_starve_after_is_about_an_order() -> None:
    assert made_of("a", "b", starve_after=5.0)[0].config.starve_after == 5.0
    assert made_of("a=1", "b=1")[0].config.starve_after == inf
    with pytest.raises(SettingsError, match="--starve-after and weights"):
        made_of("a=1", "b=1", starve_after=5.0)


# Where they come from.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "fleet.toml"


def started(app: str = "app:job", *, line: Any = None, **environment: str) -> list[QueueConfig]:
    """The queues of a pool that is started in this directory."""
    return load({"queue": line}, environment, None, app).make_queues(app)


def names(queues: list[QueueConfig]) -> list[str]:
    return [each.queue for each in queues]


def test_the_command_line_counts_before_the_environment_and_that_before_the_file(
    here: Path,
) -> None:
    here.write_text('queue = ["a", "b"]')
    assert names(started()) == ["a", "b"]
    assert names(started(FLEET_QUEUE="c,d")) == ["c", "d"]
    assert names(started(line=["e", "f"], FLEET_QUEUE="c,d")) == ["e", "f"]
    here.write_text('queue = "a=2,b=1"')
    assert [each.weight for each in started()] == [2, 1]
    here.write_text("")
    with pytest.raises(SettingsError, match="no queue given"):
        started()


def test_wherever_a_queue_is_named_it_is_what_its_table_says(here: Path) -> None:
    here.write_text(TWO)
    assert [(each.name, each.limit) for each in started()] == [("high", inf), ("low", 2)]
    for chosen in (started(FLEET_QUEUE="low"), started(line=["low"])):
        assert [(each.queue, each.limit) for each in chosen] == [("http://127.0.0.1/000/low", 2)]
    here.write_text("[queue]\nname = 'only'\nlimit = 3")
    assert [(each.name, each.limit) for each in started()] == [("only", 3)]


def test_a_queue_without_a_table_in_the_file_says_nothing_of_one_that_is_given(
    here: Path,
) -> None:
    here.write_text('queue = "http://127.0.0.1/000/low"')
    assert names(started(line=["low"])) == ["low"]


def test_a_table_that_cannot_be_is_refused_with_the_files_name(here: Path) -> None:
    here.write_text('[[queue]]\nname = "a"\nlimit = 0')
    with pytest.raises(SettingsError, match=r"\[\[queue\]\] a: limit is 0 \(fleet.toml\)"):
        started(line=["b"])


def test_the_url_of_a_table_says_where_requests_go(here: Path) -> None:
    here.write_text(TWO)
    url = "http://127.0.0.1/000/low"
    assert load({}, {}, None).endpoint == url
    assert load({"queue": ["low"]}, {}, None).endpoint == url
    assert load({"queue": ["high"]}, {}, None).endpoint == ""
    assert load({"queue": [url]}, {}, None).endpoint == ""  # the command says it itself
    assert load({"local": True}, {}, None).endpoint == ""


def test_the_pool_is_called_by_its_first_queue_and_that_ones_app(here: Path) -> None:
    here.write_text(TWO)
    assert load({}, {}, None).settings.name == "web:job@high+1"
    assert load({"queue": ["low"]}, {}, None, "app:job").settings.name == "app:job@low"


# One queue.


@pytest.mark.parametrize("queue", ["jobs", "jobs.fifo", "http://127.0.0.1/000/jobs"])
@pytest.mark.parametrize(
    "options", [{}, {"job_timeout": "5", "visibility_timeout": "6"}, {"local": True, "name": "x"}]
)
def test_one_queue_is_worked_by_the_config_that_a_pool_of_one_has(
    queue: str, options: dict[str, Any]
) -> None:
    whole = config_of(load({"queue": queue, **options}, {}, None, "app:job").settings)
    assert made_of(queue, **options) == [QueueConfig(queue, "app:job", whole)]


def test_every_option_of_a_queue_is_an_option() -> None:
    names = {each.name for each in fields(Settings)} & {each.name for each in fields(Config)}
    assert set(OF_A_QUEUE) <= names
