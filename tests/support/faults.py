"""Every way a call to SQS can go wrong, by name; each fault is made once, at the next call."""

from collections.abc import Callable

from tests.support.proxy import FaultProxy

WITH_AN_ANSWER = ("of another shape",)
"""Faults only where the answer says something."""

FAULTS: dict[str, Callable[[FaultProxy, str], None]] = {
    "500": lambda proxy, action: proxy.fail(action),
    "throttle": lambda proxy, action: proxy.throttle(action),
    "stall": lambda proxy, action: proxy.swallow(action),
    "cut before": lambda proxy, action: proxy.cut(action),
    "cut after": lambda proxy, action: proxy.cut(action, after=True),
    "expired credentials": lambda proxy, action: proxy.fail(
        action, status=403, code="ExpiredToken"
    ),
    "expired handle": lambda proxy, action: proxy.fail(
        action, status=400, code="ReceiptHandleIsInvalid"
    ),
    "malformed": lambda proxy, action: proxy.say(action, b"<html>"),
    "of another shape": lambda proxy, action: proxy.say(
        action, b'{"Messages": [7], "QueueUrl": null, "Attributes": 1}'
    ),
}
