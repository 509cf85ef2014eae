"""--body: what of a message the job is called with. Runs in the job's process: a hostile body costs
that job only.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fleet.core import sns
from fleet.core.queue import Message
from fleet.core.sns import Notification, Unusable


@dataclass(frozen=True, slots=True)
class Reading:
    """How bodies are read: --body, --sns-topic, --sns-verify, --sns-max-age (seconds)."""

    kind: str = "text"
    topics: Sequence[str] = ()
    verify: bool = True
    max_age: float | None = None

    def prepare(self) -> None:
        """Before the fork: load what reading needs, so that no job has to."""
        if self.kind == "sns" and self.verify:
            from fleet.sqs import sns_signature  # noqa: F401


def argument(reading: Reading, message: Message) -> Any:
    """What the job is called with. Raises Unusable."""
    match reading.kind:
        case "json":
            return _json(message.body)
        case "message":
            return message
        case _:
            return message.body


def notification(reading: Reading, message: Message) -> Notification:
    """What SNS has delivered, of the right topic, with a good signature and not too old. Raises
    Unusable.
    """
    found = sns.notification(message.body, reading.topics, verified=reading.verify)
    if reading.verify:
        from fleet.sqs import sns_signature

        sns_signature.check(sns.signature(message.body))
    if reading.max_age is not None:
        sns.check_age(found, time.time(), reading.max_age)
    return found


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Unusable(f"it is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:  # a number that is too long, brackets too deep
        raise Unusable(f"it is not JSON that can be read: {type(error).__name__}") from None
