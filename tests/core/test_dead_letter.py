"""A message as it is sent to a dead-letter queue by hand."""

from collections.abc import Mapping
from typing import Any

import pytest

from fleet.core.dead_letter import LARGEST, MOST_ATTRIBUTES, dead_letter
from fleet.core.queue import Message

TEXT = {"DataType": "String", "StringValue": "text"}
DEATH = {"FleetDeath": "exit 1"}


def letter(
    attributes: Mapping[str, Any] | None = None,
    system: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    *,
    body: str = "body",
    fifo: bool = False,
) -> dict[str, Any]:
    message = Message("id", "handle", body, 3, attributes or {}, system or {})
    return dead_letter(message, extra or {}, fifo=fifo)


def test_a_letter_is_the_message() -> None:
    assert letter() == {"MessageBody": "body", "MessageAttributes": {}}


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        {"DataType": "Number", "StringValue": "7"},
        {"DataType": "String.Kind", "StringValue": "text"},
        {"DataType": "Binary", "BinaryValue": b"\x00\xff\x80"},
    ],
)
def test_attributes_are_kept_as_they_are(value: dict[str, Any]) -> None:
    assert letter({"name": value})["MessageAttributes"] == {"name": value}


@pytest.mark.parametrize("lists", [{"StringListValues": []}, {"BinaryListValues": [b"x"]}])
def test_list_values_are_dropped(lists: dict[str, Any]) -> None:
    """SQS hands them out and does not take them back."""
    assert letter({"name": TEXT | lists})["MessageAttributes"] == {"name": TEXT}
    assert letter({"name": {"DataType": "String"} | lists})["MessageAttributes"] == {}


@pytest.mark.parametrize("name", ["AWS.Trace", "aws.trace", "Amazon.Thing", "AMAZON.thing"])
def test_reserved_names_are_dropped(name: str) -> None:
    assert letter({name: TEXT, "name": TEXT})["MessageAttributes"] == {"name": TEXT}


@pytest.mark.parametrize("name", ["AWSome", "amazonian", "my.aws.name"])
def test_names_that_only_look_reserved_are_kept(name: str) -> None:
    assert name in letter({name: TEXT})["MessageAttributes"]


def test_the_certificate_is_an_attribute_too() -> None:
    attributes = letter({"name": TEXT}, extra=DEATH)["MessageAttributes"]
    assert attributes == {
        "name": TEXT,
        "FleetDeath": {"DataType": "String", "StringValue": "exit 1"},
    }


@pytest.mark.parametrize(("own", "kept"), [(9, True), (10, False)])
def test_there_are_ten_attributes_at_most_and_the_messages_own_come_first(
    own: int, kept: bool
) -> None:
    mine = {f"name{number}": TEXT for number in range(own)}
    attributes = letter(mine, extra=DEATH)["MessageAttributes"]
    assert len(attributes) == MOST_ATTRIBUTES == 10
    assert mine.keys() <= attributes.keys()
    assert ("FleetDeath" in attributes) is kept


def test_what_is_dropped_makes_room() -> None:
    mine = {f"name{number}": TEXT for number in range(9)} | {"AWS.Trace": TEXT}
    assert "FleetDeath" in letter(mine, extra=DEATH)["MessageAttributes"]


def test_the_messages_own_attribute_is_not_overwritten() -> None:
    assert letter({"FleetDeath": TEXT}, extra=DEATH)["MessageAttributes"] == {"FleetDeath": TEXT}


def test_an_empty_attribute_is_left_out() -> None:
    assert letter(extra={"FleetDeath": ""})["MessageAttributes"] == {}


@pytest.mark.parametrize(
    "attributes", [{}, {"name": {"DataType": "Binary", "BinaryValue": b"\xff" * 100}}]
)
@pytest.mark.parametrize("letters", ["x", "ö"])
def test_the_certificate_fits_or_is_left_out(attributes: dict[str, Any], letters: str) -> None:
    """SQS counts the body, and names, types and values of the attributes, in bytes."""
    taken = sum(len(name) + 6 + 100 for name in attributes)
    room = LARGEST - taken - len("FleetDeath" + "String" + "exit 1")
    fits = letters * (room // len(letters.encode()))
    fits += "x" * (room - len(fits.encode()))
    assert "FleetDeath" in letter(attributes, extra=DEATH, body=fits)["MessageAttributes"]
    assert len(fits.encode()) + taken + 22 == 1024 * 1024
    full = letter(attributes, extra=DEATH, body=fits + "x")
    assert full["MessageAttributes"] == attributes
    assert full["MessageBody"] == fits + "x"


def test_the_trace_header_travels_as_a_system_attribute() -> None:
    found = letter(system={"AWSTraceHeader": "Root=1-2", "SenderId": "me"})
    assert found["MessageSystemAttributes"] == {
        "AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2"},
    }


def test_a_fifo_letter_keeps_its_group_and_makes_no_second_one() -> None:
    """Its deduplication id is the message's id, whatever the message's own was."""
    system = {"MessageGroupId": "customer 7", "MessageDeduplicationId": "other"}
    found = letter(system=system, fifo=True)
    assert (found["MessageGroupId"], found["MessageDeduplicationId"]) == ("customer 7", "id")
    assert letter(fifo=True)["MessageGroupId"] == "id"


def test_a_standard_letter_keeps_its_group_if_it_has_one_and_has_no_deduplication() -> None:
    """As SQS's own redrive does: the queue may be a fair one."""
    found = letter(system={"MessageGroupId": "fair"})
    assert found["MessageGroupId"] == "fair"
    assert "MessageDeduplicationId" not in found
    assert "MessageGroupId" not in letter()


def test_the_message_itself_is_not_changed() -> None:
    mine: dict[str, Any] = {"name": TEXT | {"StringListValues": []}}
    letter(mine, extra=DEATH)
    assert mine == {"name": TEXT | {"StringListValues": []}}
