"""One frozen `Settings`: defaults < fleet.toml < environment < command line, checked once, with
clear errors.

The dataclass below is the only list of options: the command line, the environment's names, the
file's keys, `fleet config` and the help all come from it.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fleet.core import variables
from fleet.core.code_names import RIGHT, is_code, short
from fleet.core.config import poll_seconds
from fleet.core.pool.resizing import MOST
from fleet.core.queue_names import is_url, queue_name
from fleet.core.sns import TOPIC
from fleet.system import files, host
from fleet.system.log_events import LEVELS

FILE = "fleet.toml"
LARGEST_FILE = 1 << 20  # bytes
LONGEST_VISIBILITY = 43_200
LOCAL_WAIT = 2.0  # seconds: the default long poll with --local
PLACES = (
    "command line",
    "environment",
    "",
)  # where a value may come from, the nearest first; else a file
BODIES = ("text", "json", "sns", "message")
_WEB = re.compile(r"https?://[^/?#]", re.IGNORECASE)


class SettingsError(Exception):
    """A value that cannot be; the text says which, where it came from and what would be right."""


@dataclass(frozen=True, slots=True)
class Check:
    """How a value is read, and what it must be."""

    kind: Callable[[Any], Any]
    rule: Callable[[Any], bool] = lambda _: True
    right: str = ""
    metavar: str = "TEXT"


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(value)
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    return int(value)


def _yes(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if str(value).lower() not in words:
        raise ValueError(value)
    return words[str(value).lower()]


def _workers(value: Any) -> int:
    return host.processors() if value == "auto" else _whole(value)


def _delays(value: Any) -> tuple[float, ...]:
    """`10,60,300`, a number, or a list of numbers."""
    parts = (
        value.split(",")
        if isinstance(value, str)
        else value
        if isinstance(value, list)
        else [value]
    )
    return tuple(_number(part) for part in parts)


def _topics(value: Any) -> tuple[str, ...]:
    """`ARN,ARN`, or a list of such."""
    parts = [value] if isinstance(value, str) else value
    return tuple(each for part in parts for each in _text(part).split(","))


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    """Titles and requests are made of it: bytes that are not UTF-8, lone surrogates by now, fit
    into neither.
    """
    text = _path(value)
    text.encode()
    return text


def _seconds(least: float, most: float = float("inf")) -> Check:
    right = (
        f"seconds from {least:g} to {most:g}"
        if most < float("inf")
        else f"{least:g} seconds or more"
    )
    return Check(_number, lambda value: least <= value <= most, right, "SECONDS")


def _choice(*words: str) -> Check:
    return Check(_text, lambda value: value in words, " or ".join(words), "|".join(words))


_TEXT = Check(_text, right="a text that is not empty")
_QUEUE = Check(
    lambda value: _text(value).rstrip("/"),
    lambda value: bool(value) and value.isprintable(),
    "a queue's name, URL or ARN, without control characters",
)
_NAME = Check(
    _text, str.isprintable, "a text without control characters, line ends and marks of direction"
)
_URL = Check(
    _text,
    lambda value: bool(_WEB.match(value)),
    "a URL that begins with http:// or https://",
    "URL",
)
_CODE = Check(_text, is_code, RIGHT, "MODULE:ATTR")
_FLAG = Check(_yes, right="true or false")
_WORKERS = Check(_whole, lambda value: 1 <= value <= MOST, f"a number from 1 to {MOST}", "N")
_PORT = Check(_whole, lambda value: 0 < value < 65_536, "a port from 1 to 65535", "PORT")


def option(
    default: Any,
    check: Check,
    help_text: str,
    *,
    short: str | None = None,
    shown: str | None = None,
    many: bool = False,
) -> Any:
    """One option: its default, what it must be, what it means; `many`: it may be given more than
    once.
    """
    about = {"check": check, "help": help_text, "short": short, "shown": shown, "many": many}
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every option of `fleet start`. Times are seconds."""

    queue: str | None = option(None, _QUEUE, "Queue name, URL or ARN.", short="-q")
    local: bool = option(False, _FLAG, "Use the embedded SQS server (extra fleet-sqs[local]).")
    local_port: int = option(9324, _PORT, "The embedded server's port, on loopback.")
    endpoint_url: str | None = option(
        None, _URL, "SQS endpoint, if not AWS's own.", shown="boto3's"
    )
    region: str | None = option(None, _TEXT, "AWS region.", shown="boto3's")
    workers: int = option(
        "auto",
        Check(
            _workers, lambda value: 1 <= value <= MOST, f"auto or a number from 1 to {MOST}", "N"
        ),
        "Dispatchers pre-forked; auto: processors this process may use.",
        short="-w",
        shown="auto",
    )
    min_workers: int | None = option(
        None, _WORKERS, "The fewest, when the pool sizes itself by queue depth.", shown="= workers"
    )
    max_workers: int | None = option(
        None, _WORKERS, "The most, when the pool sizes itself by queue depth.", shown="= workers"
    )
    target_wait: float = option(
        60.0, _seconds(0.1), "How long a message may wait; what sizing aims at."
    )
    shrink_after: float = option(
        300.0, _seconds(0), "How long a smaller need must last before the pool shrinks."
    )
    visibility_timeout: float = option(
        60.0,
        _seconds(2, LONGEST_VISIBILITY),
        "The lease; extended every third of it while a job runs.",
    )
    wait_time: float = option(
        10.0,
        _seconds(0, 20),
        "Long poll, at most two thirds of the lease; one is open on an idle host.",
        shown="10, with --local 2",
    )
    exit_timeout: float = option(
        30.0, _seconds(0), "From SIGTERM to SIGKILL for a job that must stop."
    )
    job_timeout: float = option(
        None, _seconds(0.1), "Then a job is stopped, and its message fails.", shown="none"
    )
    body: str = option("text", _choice(*BODIES), "What the job is called with.")
    sns_topic: tuple[str, ...] = option(
        None,
        Check(
            _topics,
            lambda value: value and all(TOPIC.fullmatch(each) for each in value),
            "a topic's ARN (arn:aws:sns:REGION:ACCOUNT:NAME), or more of them",
            "ARN",
        ),
        "With --body sns: a topic whose messages are taken; more than once, or with commas.",
        shown="any",
        many=True,
    )
    sns_verify: bool = option(
        True, _FLAG, "With --body sns: refuse what SNS has not signed (extra fleet-sqs[sns])."
    )
    sns_max_age: float = option(
        None, _seconds(1), "With --body sns: refuse what SNS was given longer ago.", shown="none"
    )
    transformer: str | None = option(None, _CODE, "message → the job's arguments.", shown="none")
    router: str | None = option(None, _CODE, "message → job and arguments.", shown="none")
    exit_handler: str | None = option(
        None, _CODE, "Cleans up after a job that was stopped, or died.", shown="none"
    )
    on_failure: str | None = option(
        None,
        _CODE,
        "Told of a job that failed, timed out or died, before its message is settled.",
        shown="none",
    )
    job_init: str | None = option(
        None, _CODE, "Called in each job's process, before transformer and job.", shown="none"
    )
    job_exit: str | None = option(
        None, _CODE, "Called there when all is done, with the exception or None.", shown="none"
    )
    retry_delay: tuple[float, ...] = option(
        None,
        Check(
            _delays,
            lambda value: all(0 <= each <= LONGEST_VISIBILITY for each in value),
            "seconds by attempt, as in 10,60,300",
            "SECONDS,…",
        ),
        "After which a failed message is seen again, by attempt; the last one repeats, ±10 %.",
        shown="none: its lease runs out",
    )
    delete_failed: bool = option(
        False, _FLAG, "Delete the message of a job that failed, timed out or crashed."
    )
    on_lease_lost: str = option(
        None,
        _choice("continue", "kill"),
        "What happens to a job whose message others may get.",
        shown="continue, FIFO kill",
    )
    dead_letter: str = option(
        "native",
        _choice("native", "direct"),
        "Who moves a message after its last attempt: SQS, or fleet at once.",
    )
    drain_timeout: float = option(
        30.0, _seconds(0), "Running jobs' time to finish after SIGTERM; 0 stops them at once."
    )
    until_empty: bool = option(
        False,
        _FLAG,
        "End when the queue is empty and no job runs; exit 6 if a message ended badly.",
    )
    empty_for: float = option(
        None,
        _seconds(0.1),
        "How long it must be empty, with --until-empty.",
        shown="60, with --local 2",
    )
    batch_size: int = option(
        1,
        Check(_whole, lambda value: 1 <= value <= 10, "a number from 1 to 10", "N"),
        "Messages that one receive may bring; they run one after another.",
    )
    max_seconds: float = option(
        None,
        _seconds(0.1),
        "From ready on; then drain: nothing new is begun, and what runs has its --job-timeout.",
        shown="none",
    )
    max_jobs: int = option(
        None,
        Check(_whole, lambda value: value >= 1, "a number of at least 1", "N"),
        "Take that many messages, and end when they are done.",
        shown="none",
    )
    depth_interval: float = option(
        15.0, _seconds(0.1), "Between samples of the queue's counts, jittered."
    )
    preload: bool = option(True, _FLAG, "Import the app once, or in every job.")
    boot_timeout: float = option(
        60.0, _seconds(0.1), "Time for the app's import, and for a dispatcher to be ready."
    )
    start_timeout: float = option(
        30.0, _seconds(0), "How long a failing queue is retried at start."
    )
    name: str = option(None, _NAME, "Names the pool: title, lock, logs.", shown="app@queue")
    control: str | None = option(
        None,
        Check(_path, right="a path"),
        "Path of the control socket.",
        shown="in the runtime directory",
    )
    health_file: str = option(
        None,
        Check(_path, right="a path", metavar="PATH"),
        "What the pool does, as JSON, rewritten at least every 5 s; see fleet health.",
        shown="none",
    )
    verbose: bool = option(False, _FLAG, "As --log-level debug.", short="-v")
    quiet: bool = option(False, _FLAG, "As --log-level warning.")
    log_level: str = option("info", _choice(*LEVELS), "What is logged at least.")
    log_format: str = option("text", _choice("text", "json"), "How; json is one object a line.")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings and where each value came from."""

    settings: Settings
    origins: Mapping[str, str]
    ignored: str = ""  # why the file of this directory is not read
    endpoint: str = ""  # where that file sends what we say to SQS, credentials included


def load(
    command_line: Mapping[str, Any],
    environment: Mapping[str, str],
    config: str | None,
    app: str = "",
) -> Loaded:
    """Merge and check. `command_line` holds None for what was not given. Raises SettingsError."""
    file, file_name, ignored = _file(config or environment.get("FLEET_CONFIG"))
    values: dict[str, Any] = {}
    automatic = False
    origins: dict[str, str] = {}
    for each in fields(Settings):
        flag, variable = f"--{each.name.replace('_', '-')}", f"FLEET_{each.name.upper()}"
        if command_line.get(each.name) is not None:
            raw, origin = command_line[each.name], "command line"
        elif environment.get(variable) and not variables.is_kubernetes(
            variable, environment[variable]
        ):
            raw, origin = environment[variable], f"environment, {variable}"
        elif each.name in file:
            raw, origin = file[each.name], file_name
        else:
            raw, origin = each.default, "default"
        automatic = automatic or (each.name == "workers" and raw == "auto")
        values[each.name] = (
            None if raw is None else _checked(each.metadata["check"], raw, flag, origin)
        )
        origins[each.name] = origin
    _loudness(values, origins)
    _sizes(values, automatic)
    _polls(values, origins)
    completed = _completed(values, app)
    return Loaded(completed, origins, ignored, _endpoint(completed, origins))


def _endpoint(chosen: Settings, origins: Mapping[str, str]) -> str:
    """What the file of the current directory says of where requests go; whoever starts us there may
    not know.
    """
    if origins["endpoint_url"] == FILE:
        return chosen.endpoint_url or ""
    by_url = (
        origins["queue"] == FILE
        and is_url(chosen.queue or "")
        and not chosen.local
        and not chosen.endpoint_url
    )
    return (chosen.queue or "") if by_url else ""


def _loudness(values: dict[str, Any], origins: dict[str, str]) -> None:
    """--verbose, --quiet and --log-level are about one thing: what is said nearest to the command
    counts.
    """
    meant = {"verbose": "debug", "quiet": "warning", "log_level": values["log_level"]}
    given = [name for name in meant if origins[name] != "default" and values[name] is not False]
    for place in PLACES:
        here = [name for name in given if origins[name].startswith(place)]
        if len(here) > 1:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in here)
            raise SettingsError(
                f"{flags} exclude each other ({place or origins[here[0]]}); give one of them"
            )
        if here:
            values["log_level"] = meant[here[0]]
            origins["log_level"] = origins[here[0]]
            return


def _sizes(values: dict[str, Any], automatic: bool) -> None:
    """The bounds of a pool that sizes itself, and a size between them; `auto` is one."""
    least, most, workers = values["min_workers"], values["max_workers"], values["workers"]
    if least is None and most is None:
        return
    if least and most and least > most:
        raise SettingsError(f"--min-workers is {least}, more than --max-workers, {most}")
    if automatic:
        workers = max(least or 1, min(most or MOST, workers))
    if least and workers < least:
        raise SettingsError(f"--workers is {workers}, fewer than --min-workers, {least}")
    if most and workers > most:
        raise SettingsError(f"--workers is {workers}, more than --max-workers, {most}")
    values |= {"workers": workers, "min_workers": least or workers, "max_workers": most or workers}


def _polls(values: dict[str, Any], origins: dict[str, str]) -> None:
    """A poll as long as the lease would bring messages whose lease, which counts from before it, is
    over.
    """
    if (
        values["local"] and origins["wait_time"] == "default"
    ):  # nothing is billed there, and Ctrl-C need not wait long
        values["wait_time"] = LOCAL_WAIT
    most = poll_seconds(values["wait_time"], values["visibility_timeout"])
    if most < values["wait_time"]:
        values["wait_time"] = most
        origins["wait_time"] = (
            f"two thirds of --visibility-timeout, {values['visibility_timeout']:g}"
        )


def _file(given: str | None) -> tuple[dict[str, Any], str, str]:
    """The keys, the file's name, and why it is ignored. The file of the current directory may be
    anybody's.
    """
    path = Path(given or FILE)
    try:
        content = path.read_bytes() if given else files.read_trusted(path, LARGEST_FILE)
        read = tomllib.loads(content.decode())
    except files.Distrusted as error:
        return (
            {},
            "",
            f"{FILE} in this directory is ignored: {error.strerror}; --config {FILE} takes it all the same",
        )
    except FileNotFoundError:
        if given is None:
            return {}, "", ""
        raise SettingsError(f"--config: there is no file {given}") from None
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # not UTF-8, not TOML, a number too long, brackets too deep
        raise SettingsError(f"{path}: {error}") from None
    known = [each.name for each in fields(Settings)]
    for key in read:
        if key not in known and isinstance(read[key], dict):
            raise SettingsError(f"{path}: options stand at the top of the file, without [{key}]")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
            raise SettingsError(f"{path}: unknown key {key}{hint}")
    return read, str(path), ""


def _checked(check: Check, raw: Any, flag: str, origin: str) -> Any:
    try:
        value = check.kind(raw)
        good = check.rule(value)
    except (ValueError, TypeError, OverflowError):
        good = False
    if not good:
        raise SettingsError(f"{flag} is {raw!r} ({origin}); it must be {check.right}")
    return value


def _completed(values: dict[str, Any], app: str) -> Settings:
    """Fill in the defaults that depend on other values."""
    queue = values["queue"]
    if values["empty_for"] is None:
        values["empty_for"] = 2.0 if values["local"] else 60.0
    if values["name"] is None:
        values["name"] = f"{short(app)}@{queue_name(queue)}" if queue else short(app)
    if not values["name"].isprintable():
        raise SettingsError(
            f"the pool's name would be {values['name']!r}; give it another one with --name"
        )
    if values["on_lease_lost"] is None:
        values["on_lease_lost"] = "kill" if queue and queue.endswith(".fifo") else "continue"
    values["retry_delay"] = values["retry_delay"] or ()
    values["sns_topic"] = values["sns_topic"] or ()
    if values["exit_timeout"] == 0 and (values["exit_handler"] or values["router"]):
        raise SettingsError("--exit-timeout is 0: an exit handler would never have time to run")
    if values["exit_timeout"] == 0 and values["on_failure"]:
        raise SettingsError(
            "--exit-timeout is 0: an --on-failure hook would never have time to run"
        )
    if values["exit_timeout"] == 0 and values["job_exit"]:
        raise SettingsError("--exit-timeout is 0: --job-exit would never have time to run")
    if values["router"] and (values["transformer"] or values["exit_handler"]):
        raise SettingsError(
            "--router excludes --transformer and --exit-handler: it returns arguments and _exit_handler"
        )
    if values["local"] and values["endpoint_url"]:
        raise SettingsError(
            "--local and --endpoint-url exclude each other: the one is the embedded server, the other is not"
        )
    return Settings(**values)


def body_trouble(chosen: Settings) -> str | None:
    """What does not go together with --body: for who starts a pool, not for who shares its
    environment.
    """
    given = "--transformer" if chosen.transformer else "--router" if chosen.router else None
    if chosen.body == "json" and given:
        return f"--body json and {given} exclude each other: {given[2:]}s are called with the message itself"
    if chosen.body != "sns" and chosen.sns_topic:
        return "--sns-topic needs --body sns"
    if chosen.body != "sns" and not chosen.sns_verify:
        return "--no-sns-verify needs --body sns"
    if chosen.body != "sns" and chosen.sns_max_age is not None:
        return "--sns-max-age needs --body sns"
    if chosen.sns_max_age is not None and not chosen.sns_verify:
        return "--sns-max-age and --no-sns-verify exclude each other: only a signature makes a timestamp true"
    return None


def environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ


def warnings(environment: Mapping[str, str]) -> list[str]:
    """What is likely meant for fleet in the environment and is nothing that it knows, a line each."""
    return variables.describe_unknown(environment, [each.name for each in fields(Settings)])
