"""`fleet status`: what a pool answers (core/view/status.py has its keys), as text for people."""

from typing import Annotated, Any

import typer

from fleet.cli.common import cli, say
from fleet.cli.running_pool import Name, ask, find_pool
from fleet.core.exit_codes import DONE
from fleet.core.plain_text import dump_json

CUT_ID = 8  # characters of a message's id, as in the process's title
BAD_ENDS = {
    "failed": "failed",
    "timed_out": "timed out",
    "signalled": "died by a signal",
    "lease_lost": "lost the lease",
}
COLUMNS = ("slot", "pid", "state", "message", "try", "job", "age", "lease", "deaths")
TEXT_COLUMNS = ("state", "message")  # to the left; numbers to the right
UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


@cli.command()
def status(
    name: Name = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object; docs/operating.md lists its keys.")
    ] = False,
) -> int:
    """Tell what a running pool does and why."""
    pool = ask(find_pool(name), "status")["status"]
    if as_json:
        typer.echo(dump_json(pool))
        return DONE
    dispatchers = pool["dispatchers"]
    for line in (
        *_describe_pool(pool),
        *_describe_work(pool),
        "",
        *_tabulate(dispatchers),
        *_describe_returned(dispatchers),
    ):
        say(line)
    return DONE


def _describe_pool(pool: dict[str, Any]) -> list[str]:
    """Its name, its processes and its size."""
    resize = pool["last_resize"]
    why = f": {pool['reason']}" if pool["reason"] else ""
    bounds = f", {pool['min']} to {pool['max']}" if pool["min"] != pool["max"] else ""
    busy = f"{pool['busy']} busy, {pool['polling']} polling, {pool['idle']} idle"
    process = f"pid {pool['pid']}, up {describe_duration(pool['uptime'])}"
    lines = [
        f"{pool['name']}  {pool['state']}{why}",
        f"  {process}, app {pool['app']}, queue {pool['queue']}",
        f"  dispatchers: {pool['size']} (desired {pool['desired']}{bounds}), {busy}",
    ]
    if resize:
        lines.append(f"  last resize {resize['from']} → {resize['to']}: {resize['reason']}")
    return lines


def _describe_work(pool: dict[str, Any]) -> list[str]:
    """The queue, the messages and the jobs."""
    counts, depth, seconds = pool["counts"], pool["depth"], pool["job_seconds"]
    lines = []
    if depth:
        lines.append(
            f"  queue about {depth['visible']} visible, {depth['in_flight']} in flight, "
            f"{depth['delayed']} delayed ({describe_duration(depth['sampled_ago'])} ago)"
        )
    if seconds:
        lines.append(f"  a job takes {seconds['mean']:.3g} s, lately {seconds['recent']:.3g} s")
    settled = sum(counts[each] for each in ("deleted", "released", "dead_lettered", "left"))
    lines.append(
        f"  received {counts['received']} = deleted {counts['deleted']} + "
        f"released {counts['released']} + dead-lettered {counts['dead_lettered']} + "
        f"left {counts['left']} + in hand {counts['received'] - settled}"
    )
    bad = "".join(f", {counts[each]} {text}" for each, text in BAD_ENDS.items() if counts[each])
    lines.append(f"  jobs: {counts['succeeded']} succeeded{bad}")
    if counts["dispatcher_deaths"]:
        lines.append(f"  deaths of dispatchers: {counts['dispatcher_deaths']}")
    return lines


def _tabulate(dispatchers: list[dict[str, Any]]) -> list[str]:
    """A line for each dispatcher below their titles; the table fits 80 columns."""
    rows = [COLUMNS, *(_row(each) for each in dispatchers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.ljust(width) if title in TEXT_COLUMNS else cell.rjust(width)
            for title, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _row(dispatcher: dict[str, Any]) -> tuple[str, ...]:
    """The cells of COLUMNS; what is not known is empty."""

    def text(key: str) -> str:
        return "" if dispatcher[key] is None else str(dispatcher[key])

    def seconds(key: str) -> str:
        return "" if dispatcher[key] is None else describe_duration(dispatcher[key])

    return (
        text("slot"),
        text("pid"),
        text("state"),
        text("message_id")[:CUT_ID],
        text("attempt"),
        text("job_pid"),
        seconds("job_age"),
        seconds("lease_left"),
        str(dispatcher["deaths"] or ""),
    )


def _describe_returned(dispatchers: list[dict[str, Any]]) -> list[str]:
    """The jobs that have returned, and whose processes wait for something that they have left."""
    return [
        f"  job of slot {each['slot']} returned; waits for {each['waits']}"
        for each in dispatchers
        if each["waits"]
    ]


def describe_duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`; below zero as it is."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller_unit in UNITS:
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"
