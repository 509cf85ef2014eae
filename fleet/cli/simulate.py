"""`fleet simulate`."""

import json
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli.common import cli
from fleet.cli.failure import CommandFailed
from fleet.cli.simulated_queues import KEYS, QueuesOptions, simulate_queues
from fleet.core.config import Config
from fleet.core.exit_codes import DONE, USAGE
from fleet.simulate import optimum, picture, tables, traces
from fleet.simulate.optimum import Optimum
from fleet.simulate.results import Result
from fleet.simulate.rivals import POLICIES
from fleet.simulate.scenario import Load, Scenario
from fleet.simulate.service import Service
from fleet.simulate.traces import SHAPES, Trace, TraceError
from fleet.simulate.world import World

ALL = "all"
MANY_HOSTS = {"fleet", "max", "sum"}
OPTIONS = Config()  # the defaults of fleet start
ABOUT_ONE = (
    "what",
    "policy",
    "hosts",
    "min_workers",
    "max_workers",
    "target_wait",
    "shrink_after",
    "depth_interval",
    "png",
)
QUEUE_WORDS = (
    "One of several queues, in their order: its trace (a file or a shape), and what is not as the "
    f"options say it ({', '.join(KEYS)}). With weights the order says nothing."
)
SHAPE_WORDS = "; ".join(f"{name} ({shape.words})" for name, shape in SHAPES.items())


@cli.command()
def simulate(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(help=f"A CSV file (second,arrivals), {ALL}, or shapes: {SHAPE_WORDS}."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", "-p", help=f"{', '.join(POLICIES)} or {ALL}; may be repeated. [fleet]"
        ),
    ] = None,
    hosts: Annotated[
        int, typer.Option(min=1, help="Hosts on the queue; others' policies know one.")
    ] = 1,
    workers: Annotated[
        int, typer.Option("--workers", "-w", min=1, help="What each host starts with.")
    ] = 1,
    min_workers: Annotated[int, typer.Option(min=1, help="The fewest on a host.")] = 1,
    max_workers: Annotated[int, typer.Option(min=1, help="The most on a host.")] = 64,
    target_wait: Annotated[
        float, typer.Option(min=0.1, help="How long a message may wait, seconds.")
    ] = OPTIONS.target_wait,
    shrink_after: Annotated[
        float, typer.Option(min=0.0, help="How long a smaller need must last, seconds.")
    ] = OPTIONS.shrink_after,
    depth_interval: Annotated[
        float, typer.Option(min=0.1, help="Between samples, seconds.")
    ] = OPTIONS.depth_interval,
    wait_time: Annotated[
        float, typer.Option(min=0.0, max=20.0, help="Long poll, seconds.")
    ] = OPTIONS.wait_time,
    visibility_timeout: Annotated[
        float, typer.Option(min=2.0, help="The lease, seconds.")
    ] = OPTIONS.visibility_timeout,
    job_seconds: Annotated[
        float, typer.Option(min=0.001, help="What a job takes on average.")
    ] = 2.0,
    job_variation: Annotated[
        float, typer.Option(min=0.0, help="Its standard deviation, in parts of that.")
    ] = 1.0,
    rate: Annotated[
        float, typer.Option(min=0.0, help="Times as many messages as the shape says.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed is the same run.")] = 1,
    plot: Annotated[bool, typer.Option(help="Draw curves with characters.")] = True,
    png: Annotated[
        Path | None, typer.Option(help="Draw one trace as a picture (extra fleet-sqs[plot]).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
    queue: Annotated[
        list[str] | None,
        typer.Option("--queue", "-q", metavar="NAME=TRACE[,KEY=N…]", help=QUEUE_WORDS),
    ] = None,
    starve_after: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds until a lower queue gets a turn. [never]"),
    ] = None,
) -> int:
    """Try the sizing rule, or several queues, on a trace of arrivals."""
    _check_finite(
        job_seconds=job_seconds, job_variation=job_variation, rate=rate, target_wait=target_wait
    )
    service = Service(job_seconds, job_variation)
    if queue:
        _refuse_with_queues(context)
        return simulate_queues(
            queue,
            QueuesOptions(
                workers, wait_time, visibility_timeout, starve_after, rate, service, seed, as_json
            ),
        )
    if starve_after is not None:
        raise CommandFailed(USAGE, "--starve-after is about several queues: give --queue")
    if not min_workers <= workers <= max_workers:
        raise CommandFailed(
            USAGE, f"--workers {workers} must lie between {min_workers} and {max_workers}"
        )
    arrivals = _read_traces(what or ["steady"], seed, rate)
    policies = _check_policies(policy or ["fleet"], hosts)
    if png and len(arrivals) > 1:
        raise CommandFailed(USAGE, "--png draws one trace")
    base = Scenario(
        trace=arrivals[0],
        service=service,
        config=Config(
            workers=workers,
            min_workers=min_workers,
            max_workers=max_workers,
            target_wait=target_wait,
            shrink_after=shrink_after,
            visibility_timeout=visibility_timeout,
            wait_time=wait_time,
            depth_interval=depth_interval,
        ),
        hosts=hosts,
        seed=seed,
    )
    table: list[tuple[str, list[tuple[str, ...]]]] = []
    for trace in arrivals:
        best, results = _try_policies(replace(base, trace=trace), policies)
        table.append((trace.name, [tables.row(each, best, target_wait) for each in results]))
        for result in results:
            if as_json:
                typer.echo(json.dumps(tables.record(result, best, target_wait)))
            elif plot and len(arrivals) == 1:
                typer.echo(tables.plot(result, trace.arrivals, trace.seconds) + "\n")
        if png:
            _draw(png, results, target_wait)
    if not as_json:
        typer.echo(tables.table(table))
    return DONE


def _refuse_with_queues(context: typer.Context) -> None:
    """Raises CommandFailed for what is about one queue."""
    for name in ABOUT_ONE:
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            given = "WHAT" if name == "what" else f"--{name.replace('_', '-')}"
            raise CommandFailed(
                USAGE, f"{given} is about one queue; with --queue the size is --workers"
            )


def _check_finite(**given: float) -> None:
    """typer takes `inf` and `nan` for numbers. Raises CommandFailed."""
    for name, value in given.items():
        if not isfinite(value):
            raise CommandFailed(
                USAGE, f"--{name.replace('_', '-')} is {value}; it must be a finite number"
            )


def _read_traces(names: list[str], seed: int, rate: float) -> list[Trace]:
    """The arrivals of each shape or file. Raises CommandFailed."""
    try:
        return [
            traces.built_in(name, seed, rate) if name in SHAPES else traces.read(Path(name))
            for name in (list(SHAPES) if names == [ALL] else names)
        ]
    except TraceError as error:
        raise CommandFailed(USAGE, f"{error}; a shape is one of {', '.join(SHAPES)}") from None


def _check_policies(names: list[str], hosts: int) -> list[str]:
    """The policies' names. Raises CommandFailed for what is no policy, or knows one host only."""
    chosen = list(POLICIES) if names == [ALL] else names
    for name in chosen:
        if name not in POLICIES:
            raise CommandFailed(
                USAGE, f"--policy {name}: it must be one of {', '.join(POLICIES)} or {ALL}"
            )
    if hosts > 1 and set(chosen) - MANY_HOSTS:
        raise CommandFailed(
            USAGE,
            f"--hosts: only the policies {', '.join(sorted(MANY_HOSTS))} know more than one host",
        )
    return chosen


def _try_policies(scenario: Scenario, policies: list[str]) -> tuple[Optimum, list[Result]]:
    """Every policy on the same messages, and what none can do better."""
    load = Load.of(scenario)
    return optimum.of(scenario, load), [
        World(scenario, load, POLICIES[name](scenario)).run() for name in policies
    ]


def _draw(path: Path, results: list[Result], target_wait: float) -> None:
    """Raises CommandFailed."""
    try:
        picture.draw(path, results, target_wait)
    except picture.NoMatplotlib:
        raise CommandFailed(
            USAGE, "--png needs matplotlib: pip install 'fleet-sqs[plot]'"
        ) from None
    except OSError as error:
        raise CommandFailed(USAGE, f"--png: {error}") from None
