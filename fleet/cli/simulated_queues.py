"""`fleet simulate --queue`: several queues share a pool of a fixed size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import typer

from fleet.cli.failure import CommandFailed
from fleet.core.exit_codes import DONE, USAGE
from fleet.core.queue_config import MOST_QUEUES
from fleet.options import checks
from fleet.options.checks import Check, SettingsError, check_value, read_number
from fleet.options.queues import MIXED, TOO_MANY, WEIGHT
from fleet.simulate import queue_rows, traces
from fleet.simulate.scenario import Load, Scenario
from fleet.simulate.service import Service
from fleet.simulate.shared import Arrival, Plan, SharedPool
from fleet.simulate.traces import SHAPES, Trace, TraceError

FACTOR = Check(read_number, lambda value: value >= 0, "a number of at least 0")
KEYS = {
    "weight": WEIGHT,
    "limit": checks.BOUND,
    "rate": FACTOR,
    "job-seconds": checks.seconds(0.001),
    "job-variation": FACTOR,
}
ORIGIN = "command line"


@dataclass(frozen=True, slots=True)
class SimulatedQueue:
    """A queue as it is given: `options` by their keys."""

    name: str
    trace: Trace
    service: Service
    options: Mapping[str, float]

    def arrivals(self, place: int, seed: int) -> list[Arrival]:
        """Its messages; the queues of one run have seeds of their own."""
        load = Load.of(Scenario(self.trace, self.service, seed=seed + place))
        return [
            Arrival(at, place, seconds)
            for at, seconds in zip(load.arrivals, load.seconds, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class QueuesOptions:
    """What is the same for all queues. `rate`, `service`: unless a queue says so itself."""

    workers: int
    wait_time: float
    visibility_timeout: float
    starve_after: float | None
    rate: float
    service: Service
    seed: int
    as_json: bool


def simulate_queues(given: Sequence[str], options: QueuesOptions) -> int:
    """Run them until the longest trace ends, and print a row a queue. Raises CommandFailed."""
    try:
        queues = _read_queues(given, options)
    except (SettingsError, TraceError) as error:
        raise CommandFailed(USAGE, str(error)) from None
    plan = Plan(
        dispatchers=options.workers,
        queues=len(queues),
        arrivals=[
            arrival
            for place, queue in enumerate(queues)
            for arrival in queue.arrivals(place, options.seed)
        ],
        wait_time=options.wait_time,
        visibility_timeout=options.visibility_timeout,
        limits=[queue.options.get("limit", inf) for queue in queues],
        weights=_weights(queues),
        starve_after=inf if options.starve_after is None else options.starve_after,
        seed=options.seed,
    )
    pool = SharedPool(plan, float(max(queue.trace.seconds for queue in queues))).run()
    rows = queue_rows.rows(pool, [queue.name for queue in queues])
    if options.as_json:
        for row in rows:
            typer.echo(json.dumps(queue_rows.record(row)))
    else:
        typer.echo(queue_rows.table(rows, pool))
    return DONE


def _read_queues(given: Sequence[str], options: QueuesOptions) -> list[SimulatedQueue]:
    """The queues in their order. Raises SettingsError, TraceError."""
    if len(given) > MOST_QUEUES:
        raise SettingsError(TOO_MANY.format(len(given)))
    queues = [
        _read(text, options.seed + place, options.rate, options.service)
        for place, text in enumerate(given)
    ]
    names = [queue.name for queue in queues]
    for name in names:
        if names.count(name) > 1:
            raise SettingsError(f"two queues have the same name: {name}")
    if len({"weight" in queue.options for queue in queues}) > 1:
        raise SettingsError(MIXED)
    if options.starve_after is not None and _weights(queues):
        raise SettingsError("--starve-after and weights exclude each other")
    return queues


def _read(text: str, seed: int, rate: float, service: Service) -> SimulatedQueue:
    """`NAME=TRACE,KEY=N,…`."""
    first, *rest = text.split(",")
    name, _, what = first.partition("=")
    if not name or not what:
        raise SettingsError(f"--queue is {text!r} ({ORIGIN}); it must be NAME=TRACE[,KEY=N…]")
    options: dict[str, float] = {}
    for part in rest:
        key, _, value = part.partition("=")
        if key not in KEYS:
            raise SettingsError(f"--queue {name}: {key} is no key; known are {', '.join(KEYS)}")
        options[key] = check_value(KEYS[key], value, f"--queue {name}: {key}", ORIGIN)
    trace = _read_trace(what, seed, options.get("rate", rate))
    if trace.failing:
        raise SettingsError(f"--queue {name}: {what}: in a pool of several queues no job fails")
    jobs = Service(
        options.get("job-seconds", service.mean), options.get("job-variation", service.variation)
    )
    return SimulatedQueue(name, trace, jobs, options)


def _read_trace(what: str, seed: int, rate: float) -> Trace:
    """A shape's or a file's. Raises TraceError."""
    try:
        return traces.built_in(what, seed, rate) if what in SHAPES else traces.read(Path(what))
    except TraceError as error:
        raise TraceError(f"{error}; a shape is one of {', '.join(SHAPES)}") from None


def _weights(queues: Sequence[SimulatedQueue]) -> list[float]:
    """By queue; empty in an order."""
    return [queue.options["weight"] for queue in queues if "weight" in queue.options]
