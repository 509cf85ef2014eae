"""A message as it is sent to a dead-letter queue by hand."""

from collections.abc import Mapping
from typing import Any

from fleet.core.queue import Message

MOST_ATTRIBUTES = 10
LARGEST = 1_048_576  # bytes
RESERVED = ("aws.", "amazon.")
LISTS = ("StringListValues", "BinaryListValues")  # SQS hands them out and does not take them back


def dead_letter(message: Message, extra: Mapping[str, str], *, fifo: bool) -> dict[str, Any]:
    """The arguments of SendMessage.

    What does not fit of `extra` is left out; the message's own come first.

    On a FIFO queue the deduplication id is the original message's id, so that a crash between send
    and delete makes no second letter for five minutes.
    """
    attributes: dict[str, dict[str, Any]] = {}
    for name, value in message.attributes.items():
        kept = {key: each for key, each in value.items() if key not in LISTS}
        if not name.lower().startswith(RESERVED) and (
            "StringValue" in kept or "BinaryValue" in kept
        ):
            attributes[name] = kept
    for name, text in extra.items():
        wanted = attributes | {name: {"DataType": "String", "StringValue": text}}
        if (
            name not in attributes
            and text
            and len(wanted) <= MOST_ATTRIBUTES
            and _size(message.body, wanted) <= LARGEST
        ):
            attributes = wanted
    letter: dict[str, Any] = {"MessageBody": message.body, "MessageAttributes": attributes}
    if trace := message.system_attributes.get("AWSTraceHeader"):
        letter["MessageSystemAttributes"] = {
            "AWSTraceHeader": {"DataType": "String", "StringValue": trace}
        }
    group = message.system_attributes.get("MessageGroupId", message.id if fifo else "")
    if group:  # a standard queue's messages may have one, too: who shares it is served fairly
        letter["MessageGroupId"] = group
    if fifo:
        letter["MessageDeduplicationId"] = message.id
    return letter


def _size(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """What SQS counts: the body, and names, types and values of the attributes, in bytes."""
    size = len(body.encode(errors="surrogatepass"))
    for name, value in attributes.items():
        texts = [name, *(each if isinstance(each, bytes) else str(each) for each in value.values())]
        size += sum(
            len(each if isinstance(each, bytes) else each.encode(errors="surrogatepass"))
            for each in texts
        )
    return size
