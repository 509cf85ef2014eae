"""What a client asks a running pool for, and the pool's answer: one JSON object each, in one line.

A connection carries one request and one answer.

    {"command": "status"}                    {"ok": true, "status": {…}}
    {"command": "scale", "to": 12}           {"ok": true, "said": "workers 8 → 12"}
    {"command": "scale", "to": "auto"}       {"ok": false, "error": "this pool has a fixed size: …"}
    {"command": "pause"}, "resume"           {"ok": true, "said": "paused"}
    {"command": "stop", "now": false}        {"ok": true, "said": "draining", "pid": 4711}

A request that is not understood changes nothing and is answered with what would be right.
"""

import json
from dataclasses import dataclass
from typing import Any

from fleet.core.pool import Event, Level, Pool, PoolPhase, events, size_refusal

AUTO = "auto"
COMMANDS = ("status", "scale", "pause", "resume", "stop")


class BadRequest(Exception):
    """What is wrong with a request, or why the pool refuses it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `to` belongs to scale (None is auto), `now` to stop."""

    command: str
    to: int | None = None
    now: bool = False


def read_request(line: bytes) -> Request:
    """The request in a line. Raises BadRequest for what is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRequest("a request is one line with one JSON object") from None
    command = request.get("command") if isinstance(request, dict) else None
    if command not in COMMANDS:
        raise BadRequest(f"a request has a command: {', '.join(COMMANDS)}")
    to, now = request.get("to"), request.get("now", False)
    if command == "scale" and to != AUTO and (not isinstance(to, int) or isinstance(to, bool)):
        raise BadRequest("scale goes to a number or to auto")
    if not isinstance(now, bool):
        raise BadRequest("now is true or false")
    return Request(command, to if command == "scale" and to != AUTO else None, now)


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
            return events.PauseAsked(False), "resumed"
        case _:
            return None, ""


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
