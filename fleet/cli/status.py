"""`fleet status`: what a pool answers (core/view/status.py has its keys), as text for people."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from fleet.cli.common import cli, say
from fleet.cli.running_pool import Name, ask, find_pool
from fleet.cli.tables import describe_duration, describe_roughly, drop_empty, fit, tabulate
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
OF_SEVERAL = (*COLUMNS[:3], "queue", *COLUMNS[3:])
QUEUE_COLUMNS = (
    *("queue", "state", "busy", "limit", "weight", "visible", "in flight", "delayed", "a job"),
)
TEXT_COLUMNS = ("state", "message", "queue")  # to the left; numbers to the right


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
    dispatchers, queues = pool["dispatchers"], pool.get("queues", [])
    several = len(queues) > 1
    for line in (
        *_describe_pool(pool, queues),
        *_describe_work(pool, several=several),
        *(_describe_queues(queues) if several else ()),
        "",
        *_describe_dispatchers(dispatchers, several=several),
        *_describe_returned(dispatchers),
    ):
        say(line)
    return DONE


def _describe_pool(pool: dict[str, Any], queues: list[dict[str, Any]]) -> list[str]:
    """Its name, its processes and its size."""
    resize = pool["last_resize"]
    why = f": {pool['reason']}" if pool["reason"] else ""
    bounds = f", {pool['min']} to {pool['max']}" if pool["min"] != pool["max"] else ""
    busy = f"{pool['busy']} busy, {pool['polling']} polling, {pool['idle']} idle"
    process = f"pid {pool['pid']}, up {describe_duration(pool['uptime'])}"
    what = f"app {pool['app']}, queue {pool['queue']}"
    if len(queues) > 1:
        apps = pool["app"].split(", ")
        what = f"{f'{len(apps)} apps' if len(apps) > 1 else f'app {apps[0]}'}, {len(queues)} queues"
    lines = [
        f"{pool['name']}  {pool['state']}{why}",
        f"  {process}, {what}",
        f"  dispatchers: {pool['size']} (desired {pool['desired']}{bounds}), {busy}",
    ]
    if resize:
        lines.append(f"  last resize {resize['from']} → {resize['to']}: {resize['reason']}")
    return lines


def _describe_work(pool: dict[str, Any], *, several: bool) -> list[str]:
    """The queue, the messages and the jobs."""
    counts, depth, seconds = pool["counts"], pool["depth"], pool["job_seconds"]
    lines = []
    if depth:
        ago = describe_duration(depth["sampled_ago"])
        lines.append(
            f"  {'queues' if several else 'queue'} about {depth['visible']} visible, "
            f"{depth['in_flight']} in flight, {depth['delayed']} delayed ({ago} ago)"
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


def _describe_queues(queues: list[dict[str, Any]]) -> list[str]:
    """A line for each queue below their titles, and what is wrong with which."""
    rows = [_queue_row(each) for each in queues]
    table = fit(*drop_empty(QUEUE_COLUMNS, rows, ("limit", "weight", "delayed")), "queue")
    wrong = [
        f"  {each['name']}: {each['reason']}" for each in queues if each["state"] == "degraded"
    ]
    return ["", *tabulate(*table, TEXT_COLUMNS), *wrong]


def _queue_row(queue: dict[str, Any]) -> tuple[str, ...]:
    """The cells of QUEUE_COLUMNS; what is not known is empty."""
    depth, seconds = queue["depth"] or {}, queue["job_seconds"]
    return (
        queue["name"],
        queue["state"],
        str(queue["busy"]),
        "" if queue["limit"] is None else str(queue["limit"]),
        "" if queue["weight"] is None else f"{queue['weight']:g}",
        str(depth.get("visible", "")),
        str(depth.get("in_flight", "")),
        str(depth.get("delayed", "") or ""),
        "" if seconds is None else f"{seconds['recent']:.3g} s",
    )


def _describe_dispatchers(dispatchers: list[dict[str, Any]], *, several: bool) -> list[str]:
    """A line for each dispatcher below their titles; the table fits 80 columns.

    Of several queues there is one column more, so ages are told in their largest unit alone.
    """
    if not several:
        rows = [_row(each, describe_duration) for each in dispatchers]
        return tabulate(COLUMNS, rows, TEXT_COLUMNS)
    wide = []
    for each in dispatchers:
        row = _row(each, describe_roughly)
        wide.append((*row[:3], each["queue"] or "", *row[3:]))
    return tabulate(*fit(*drop_empty(OF_SEVERAL, wide, ("deaths",)), "queue"), TEXT_COLUMNS)


def _row(dispatcher: dict[str, Any], describe: Callable[[float], str]) -> tuple[str, ...]:
    """The cells of COLUMNS; what is not known is empty."""

    def text(key: str) -> str:
        return "" if dispatcher[key] is None else str(dispatcher[key])

    def seconds(key: str) -> str:
        return "" if dispatcher[key] is None else describe(dispatcher[key])

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
