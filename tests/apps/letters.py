"""The app of tests/pool/test_bodies.py: it tells what it was called with."""

import json
from typing import Any

import jobs
from jobs import write

import fleet


def shown(value: Any) -> Any:
    """The value as JSON can show it."""
    if isinstance(value, fleet.Message):
        return {"Message": [value.id, value.body, value.attempt]}
    return value


def take(*args: Any, **kwargs: Any) -> None:
    """Report the arguments."""
    detail = [[shown(each) for each in args], {name: shown(each) for name, each in kwargs.items()}]
    write("took", fleet.message().body, detail)


def take_notification(text: str) -> None:
    """Report what SNS delivered."""
    found = fleet.notification()
    write("took", text, [found.message, found.subject, found.topic, found.id, found.timestamp])


def transform(message: fleet.Message) -> list[Any]:
    """A message and what SNS said of it."""
    return [message, fleet.notification().topic]


def route(message: fleet.Message) -> dict[str, Any]:
    """By topic."""
    return {"_job": take, "topic": fleet.notification().topic, "length": len(message.body)}


def hold(value: Any) -> None:
    """Work until the gate opens that the body names."""
    jobs.pass_gate(value["gate"])


def clean_up(*args: Any, **_: Any) -> None:
    """An exit handler."""
    write("cleaned", fleet.message().body, [json.loads(json.dumps(shown(each))) for each in args])
