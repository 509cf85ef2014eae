"""The rules between options.

Which value counts of several that are about one thing, which ones exclude each other, and the
defaults that depend on other values.

The values come checked one by one (checks.py), and are changed here in place.
"""

from typing import Any

from fleet.core.code_names import short_name
from fleet.core.config import MOST_WORKERS, poll_seconds
from fleet.core.queue_names import is_fifo, queue_name
from fleet.options.checks import SettingsError
from fleet.options.settings import Settings

LOCAL_WAIT = 2.0  # seconds: the default long poll with --local
EMPTY_FOR, LOCAL_EMPTY_FOR = 60.0, 2.0  # seconds: the defaults of --empty-for
# Where a value may come from, the nearest to the command first; else from a file.
PLACES = ("command line", "environment", "")


def make_consistent(
    values: dict[str, Any], origins: dict[str, str], app: str, *, may_resize: bool
) -> None:
    """Apply every rule. `may_resize`: nobody has said how many workers. Raises SettingsError."""
    _choose_log_level(values, origins)
    _bound_workers(values, may_resize=may_resize)
    _shorten_polls(values, origins)
    _fill_in_defaults(values, app)
    _refuse_handlers_without_time(values)
    _refuse_opposites(values)


def _choose_log_level(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Of --verbose, --quiet and --log-level the one counts that is nearest to the command."""
    levels = {"verbose": "debug", "quiet": "warning", "log_level": values["log_level"]}
    given = [name for name in levels if origins[name] != "default" and values[name] is not False]
    for place in PLACES:
        here = [name for name in given if origins[name].startswith(place)]
        if len(here) > 1:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name in here)
            raise SettingsError(
                f"{flags} exclude each other ({place or origins[here[0]]}); give one of them"
            )
        if here:
            values["log_level"] = levels[here[0]]
            origins["log_level"] = origins[here[0]]
            return


def _bound_workers(values: dict[str, Any], *, may_resize: bool) -> None:
    """A pool that sizes itself has two bounds, and begins with a size between them.

    A bound that is not given is the size.
    """
    least, most, workers = values["min_workers"], values["max_workers"], values["workers"]
    if least is None and most is None:
        return
    if least and most and least > most:
        raise SettingsError(f"--min-workers is {least}, more than --max-workers, {most}")
    if may_resize:
        workers = max(least or 1, min(most or MOST_WORKERS, workers))
    if least and workers < least:
        raise SettingsError(f"--workers is {workers}, fewer than --min-workers, {least}")
    if most and workers > most:
        raise SettingsError(f"--workers is {workers}, more than --max-workers, {most}")
    values |= {"workers": workers, "min_workers": least or workers, "max_workers": most or workers}


def _shorten_polls(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Keep polls shorter than the lease.

    A lease counts from before the poll that brings the message: a poll as long as the lease would
    bring messages whose lease is over.
    """
    # Nothing is billed by the embedded server, and Ctrl-C need not wait long.
    if values["local"] and origins["wait_time"] == "default":
        values["wait_time"] = LOCAL_WAIT
    longest = poll_seconds(values["wait_time"], values["visibility_timeout"])
    if longest < values["wait_time"]:
        values["wait_time"] = longest
        origins["wait_time"] = (
            f"two thirds of --visibility-timeout, {values['visibility_timeout']:g}"
        )


def _fill_in_defaults(values: dict[str, Any], app: str) -> None:
    """The defaults that depend on other values."""
    queue = values["queue"] or ""
    if values["empty_for"] is None:
        values["empty_for"] = LOCAL_EMPTY_FOR if values["local"] else EMPTY_FOR
    if values["name"] is None:
        values["name"] = f"{short_name(app)}@{queue_name(queue)}" if queue else short_name(app)
    if not values["name"].isprintable():
        raise SettingsError(
            f"the pool's name would be {values['name']!r}; give it another one with --name"
        )
    if values["on_lease_lost"] is None:
        values["on_lease_lost"] = "kill" if is_fifo(queue) else "continue"
    values["retry_delay"] = values["retry_delay"] or ()
    values["sns_topic"] = values["sns_topic"] or ()


def _refuse_handlers_without_time(values: dict[str, Any]) -> None:
    """What runs for --exit-timeout seconds at the most needs some."""
    if values["exit_timeout"] > 0:
        return
    for names, what in (
        (("exit_handler", "router"), "an exit handler"),
        (("on_failure",), "an --on-failure hook"),
        (("job_exit",), "--job-exit"),
    ):
        if any(values[name] for name in names):
            raise SettingsError(f"--exit-timeout is 0: {what} would never have time to run")


def _refuse_opposites(values: dict[str, Any]) -> None:
    """What cannot be meant at once."""
    if values["router"] and (values["transformer"] or values["exit_handler"]):
        raise SettingsError(
            "--router excludes --transformer and --exit-handler: "
            "it returns arguments and _exit_handler"
        )
    if values["local"] and values["endpoint_url"]:
        raise SettingsError(
            "--local and --endpoint-url exclude each other: "
            "the one is the embedded server, the other is not"
        )


def find_body_conflict(chosen: Settings) -> str | None:
    """What does not go together with --body, and None if all does.

    Only a pool that is started reads bodies: other commands may share its environment, and are not
    refused.
    """
    given = "--transformer" if chosen.transformer else "--router" if chosen.router else None
    if chosen.body == "json" and given:
        return (
            f"--body json and {given} exclude each other: "
            f"{given[2:]}s are called with the message itself"
        )
    if chosen.body != "sns" and chosen.sns_topic:
        return "--sns-topic needs --body sns"
    if chosen.body != "sns" and not chosen.sns_verify:
        return "--no-sns-verify needs --body sns"
    if chosen.body != "sns" and chosen.sns_max_age is not None:
        return "--sns-max-age needs --body sns"
    if chosen.sns_max_age is not None and not chosen.sns_verify:
        return (
            "--sns-max-age and --no-sns-verify exclude each other: "
            "only a signature makes a timestamp true"
        )
    return None
