"""`fleet status`."""

from typing import Annotated, Any

import typer

from fleet.cli.common import cli, say
from fleet.cli.running_pool import Name, ask, find_pool
from fleet.core.exit_codes import DONE
from fleet.core.plain_text import dump_json

CUT_ID = 8  # characters of a message's id, as in the process's title


@cli.command()
def status(
    name: Name = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One object; docs/operating.md lists its keys.")
    ] = False,
) -> int:
    """Tell what a running pool does and why."""
    told = ask(find_pool(name), "status")["status"]
    if as_json:
        typer.echo(dump_json(told))
        return DONE
    for line in (
        *_head(told),
        "",
        *_dispatchers(told["dispatchers"]),
        *_returned(told["dispatchers"]),
    ):
        say(line)
    return DONE


def _head(told: dict[str, Any]) -> list[str]:
    counts, depth, resize = told["counts"], told["depth"], told["last_resize"]
    why = f": {told['reason']}" if told["reason"] else ""
    bounds = f", {told['min']} to {told['max']}" if told["min"] != told["max"] else ""
    in_hand = counts["received"] - sum(
        counts[each] for each in ("deleted", "released", "dead_lettered", "left")
    )
    busy = f"{told['busy']} busy, {told['polling']} polling, {told['idle']} idle"
    lines = [
        f"{told['name']}  {told['state']}{why}",
        f"  pid {told['pid']}, up {duration(told['uptime'])}, app {told['app']}, queue {told['queue']}",
        f"  dispatchers: {told['size']} (desired {told['desired']}{bounds}), {busy}",
    ]
    if resize:
        lines.append(f"  last resize {resize['from']} → {resize['to']}: {resize['reason']}")
    if depth:
        lines.append(
            f"  queue about {depth['visible']} visible, {depth['in_flight']} in flight, "
            f"{depth['delayed']} delayed ({duration(depth['sampled_ago'])} ago)"
        )
    if seconds := told["job_seconds"]:
        lines.append(f"  a job takes {seconds['mean']:.3g} s, lately {seconds['recent']:.3g} s")
    lines.append(
        f"  received {counts['received']} = deleted {counts['deleted']} + released {counts['released']} + "
        f"dead-lettered {counts['dead_lettered']} + left {counts['left']} + in hand {in_hand}"
    )
    odd = [f"{counts[each]} {phrase}" for each, phrase in ODD.items() if counts[each]]
    lines.append(f"  jobs: {counts['succeeded']} succeeded" + "".join(f", {each}" for each in odd))
    if counts["dispatcher_deaths"]:
        lines.append(f"  deaths of dispatchers: {counts['dispatcher_deaths']}")
    return lines


ODD = {
    "failed": "failed",
    "timed_out": "timed out",
    "signalled": "died by a signal",
    "lease_lost": "lost the lease",
}
COLUMNS = ("slot", "pid", "state", "message", "try", "job", "age", "lease", "deaths")


def _dispatchers(dispatchers: list[dict[str, Any]]) -> list[str]:
    """A table that fits 80 columns; numbers to the right."""
    rows = [COLUMNS, *(_row(each) for each in dispatchers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    left = {"state", "message"}
    return [
        "  ".join(
            cell.ljust(width) if title in left else cell.rjust(width)
            for title, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _returned(dispatchers: list[dict[str, Any]]) -> list[str]:
    return [
        f"  job of slot {each['slot']} returned; waits for {each['waits']}"
        for each in dispatchers
        if each["waits"]
    ]


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    def shown(key: str) -> str:
        return "" if each[key] is None else str(each[key])

    return (
        str(each["slot"]),
        shown("pid"),
        each["state"],
        shown("message_id")[:CUT_ID],
        shown("attempt"),
        shown("job_pid"),
        "" if each["job_age"] is None else duration(each["job_age"]),
        "" if each["lease_left"] is None else duration(each["lease_left"]),
        str(each["deaths"] or ""),
    )


def duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`; below zero as it is."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for size, unit, below, small in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
