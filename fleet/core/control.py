"""What a client asks a running pool for, and the pool's answer: one JSON object each, in one line.

A connection carries one request and one answer.

    {"command": "status"}                    {"ok": true, "status": {…}}
    {"command": "scale", "to": 12}           {"ok": true, "said": "workers 8 → 12"}
    {"command": "scale", "to": "auto"}       {"ok": false, "error": "this pool has a fixed size: …"}
    {"command": "scale", "queue": "low", "limit": 2}      "limit": "none" lifts it
    {"command": "pause"}, "resume"           {"ok": true, "said": "paused"}
    {"command": "pause", "queue": "low"}     of that queue alone, by its own name
    {"command": "stop", "now": false}        {"ok": true, "said": "draining", "pid": 4711}

A request that is not understood changes nothing and is answered with what would be right.
"""

import json
from dataclasses import dataclass
from math import inf
from typing import Any, TypeGuard

from fleet.core.config import MOST_WORKERS
from fleet.core.pool import Event, Level, Pool, PoolPhase, events, size_refusal

AUTO, NO_LIMIT = "auto", "none"
COMMANDS = ("status", "scale", "pause", "resume", "stop")
OF_A_QUEUE = ("scale", "pause", "resume")  # commands that may be about one
LONGEST_NAME = 80  # characters of a queue's name, as SQS has it: more of a wrong one says nothing


class BadRequest(Exception):
    """What is wrong with a request, or why the pool refuses it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `to` (None is auto) and, of a queue, `limit` (infinite is none) belong to scale, `now` to stop.
    `queue`: the name of the one that it is about; None is the whole pool.
    """

    command: str
    to: int | None = None
    now: bool = False
    queue: str | None = None
    limit: float = inf


def read_request(line: bytes) -> Request:
    """The request in a line. Raises BadRequest for what is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest("a request is one line with one JSON object") from None
    command = request.get("command") if isinstance(request, dict) else None
    if command not in COMMANDS:
        raise BadRequest(f"a request has a command: {', '.join(COMMANDS)}")
    to, now, queue = request.get("to"), request.get("now", False), request.get("queue")
    if not isinstance(now, bool):
        raise BadRequest("now is true or false")
    if queue is not None and not isinstance(queue, str):
        raise BadRequest("queue is the name of a queue")
    if queue is not None and command not in OF_A_QUEUE:
        raise BadRequest(f"{command} is of the whole pool, not of a queue")
    if command != "scale":
        return Request(command, now=now, queue=queue)
    if queue is not None:
        return Request(command, queue=queue, limit=_read_limit(request))
    if "limit" in request:
        raise BadRequest("limit is of a queue; scale has a queue then")
    if to != AUTO and not _is_whole(to):
        raise BadRequest("scale goes to a number or to auto")
    return Request(command, None if to == AUTO else to)


def _read_limit(request: dict[str, Any]) -> float:
    """Raises BadRequest."""
    limit = request.get("limit")
    if "to" in request:
        raise BadRequest("scale of a queue has a limit, and no number to go to")
    if limit == NO_LIMIT:
        return inf
    if not _is_whole(limit) or not 1 <= limit <= MOST_WORKERS:
        raise BadRequest(f"limit is a number from 1 to {MOST_WORKERS}, or none")
    return float(limit)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def decide(pool: Pool, request: Request) -> tuple[Event | None, str]:
    """The event that a request means for this pool, and the text that answers it.

    Raises BadRequest for a request that the pool refuses.
    """
    if request.command == "stop":
        level = Level.NOW if request.now else Level.DRAIN
        return events.StopAsked(level, "an operator stopped it", by_signal=False), _describe_stop(
            pool, level
        )
    if pool.phase in (PoolPhase.DRAINING, PoolPhase.STOPPED) and request.command != "status":
        raise BadRequest("the pool is draining")
    if request.queue is not None:
        return _decide_of_queue(pool, request, _place_of(pool, request.queue))
    match request.command:
        case "scale":
            if why := size_refusal(pool, request.to):
                raise BadRequest(why)
            change = (
                "the pool sizes itself"
                if request.to is None
                else f"workers {pool.desired} → {request.to}"
            )
            return events.ScaleAsked(request.to), change
        case "pause":
            return events.PauseAsked(True), "paused: nothing more is received; running jobs go on"
        case "resume":
            still = ", ".join(queue.name for queue in pool.queues if queue.paused)
            return events.PauseAsked(False), "resumed" + (f"; still paused: {still}" * bool(still))
        case _:
            return None, ""


def _decide_of_queue(pool: Pool, request: Request, place: int) -> tuple[Event, str]:
    """What a request means for one queue."""
    queue = pool.queues[place]
    if request.command == "scale":
        change = f"limit of {queue.name}: {_shown(queue.limit)} → {_shown(request.limit)}"
        return events.LimitAsked(place, request.limit), change
    if request.command == "pause":
        said = f"{queue.name} is paused: nothing more is received from it; running jobs go on"
        return events.PauseAsked(True, place), said
    but = "; the pool is paused" if pool.paused else ""
    return events.PauseAsked(False, place), f"{queue.name} is resumed{but}"


def _place_of(pool: Pool, name: str) -> int:
    """The place of the queue of that name. Raises BadRequest with the names that there are."""
    names = [queue.name for queue in pool.queues]
    if name in names:
        return names.index(name)
    shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    raise BadRequest(f"this pool has no queue {shown!r}; it has {', '.join(names)}")


def _shown(limit: float) -> str:
    return NO_LIMIT if limit == inf else f"{limit:g}"


def _describe_stop(pool: Pool, level: Level) -> str:
    """What a request to stop changes."""
    if pool.level is not None and pool.level >= level:
        return f"it stops already: {pool.end.why if pool.end else 'it was told to'}"
    if level is Level.NOW:
        return "draining: jobs are stopped"
    return f"draining: running jobs have {pool.config.drain_timeout:g} s"


def encode_answer(**fields: Any) -> bytes:
    """The line of an answer."""
    return json.dumps(fields).encode() + b"\n"
