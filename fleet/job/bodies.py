"""--body: what of a message the job is called with.

Bodies are read in the job's process, so that a hostile body costs that job only.
"""

import json
import time
from typing import Any

from fleet.core import sns
from fleet.core.config import Config
from fleet.core.queue import Message
from fleet.core.sns import Notification, Unusable


def prepare(config: Config) -> None:
    """Before the fork: load what reading bodies needs, so that no job has to."""
    if config.body == "sns" and config.sns_verify:
        from fleet.sqs import sns_signature  # noqa: F401


def argument(config: Config, message: Message) -> Any:
    """What the job is called with. Raises Unusable."""
    match config.body:
        case "json":
            return _json(message.body)
        case "message":
            return message
        case _:
            return message.body


def notification(config: Config, message: Message) -> Notification:
    """What SNS has delivered, of the right topic, with a good signature and not too old.

    Raises Unusable.
    """
    delivered = sns.read_notification(message.body, config.sns_topic, verified=config.sns_verify)
    if config.sns_verify:
        from fleet.sqs import sns_signature

        sns_signature.check(sns.read_signature(message.body))
    if config.sns_max_age is not None:
        sns.check_age(delivered, time.time(), config.sns_max_age)
    return delivered


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        raise Unusable(f"it is not JSON: {error}") from None
    except (ValueError, RecursionError) as error:  # a number that is too long, brackets too deep
        raise Unusable(f"it is not JSON that can be read: {type(error).__name__}") from None
