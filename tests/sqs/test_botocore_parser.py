"""Answers and errors are read as botocore's own parser reads them, whatever they say."""

import base64
import hashlib
import json
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.queue import Message
from fleet.sqs import answers, wire
from fleet.sqs.http_answer import Answer
from fleet.sqs.transport import Refused

MODEL = botocore.session.Session().get_service_model("sqs")
PARSER = create_parser(MODEL.metadata["protocol"])

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ATTRIBUTES = st.one_of(
    st.fixed_dictionaries({"DataType": st.just("String"), "StringValue": TEXTS}),
    st.fixed_dictionaries(
        {
            "DataType": st.just("Binary"),
            "BinaryValue": st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()),
        }
    ),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """As SQS sends one, with members that are null or that nobody knows."""
    body = draw(TEXTS)
    return {
        "MessageId": draw(WORDS),
        "ReceiptHandle": draw(WORDS),
        "Body": body,
        "MD5OfBody": hashlib.md5(body.encode()).hexdigest(),  # noqa: S324 - SQS's
        "Attributes": draw(
            st.none()
            | st.fixed_dictionaries(
                {"ApproximateReceiveCount": st.integers(1, 1000).map(str)},
                optional={"MessageGroupId": WORDS, "SenderId": WORDS},
            )
        ),
        "MessageAttributes": draw(st.none() | st.dictionaries(WORDS, ATTRIBUTES, max_size=3)),
        "NewMember": draw(st.none() | TEXTS),
    }


def theirs(operation: str, status: int, headers: dict[str, str], body: bytes) -> Any:
    """What botocore's parser makes of it."""
    response = {"status_code": status, "headers": headers, "body": body}
    return PARSER.parse(response, MODEL.operation_model(operation).output_shape)


def ours(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Any:
    """What our own wire makes of it. Raises Refused."""
    return wire._parse(Answer(status, headers or {}, body, is_last=False))


def encode(answer: object, *, ascii_only: bool) -> bytes:
    return json.dumps(answer, ensure_ascii=ascii_only).encode()


@given(st.none() | st.lists(messages(), max_size=4), st.booleans())
def test_messages(found: list[dict[str, Any]] | None, ascii_only: bool) -> None:
    body = encode({} if found is None else {"Messages": found}, ascii_only=ascii_only)
    read = answers.messages(ours(body))
    assert read == answers.messages(theirs("ReceiveMessage", 200, {}, body))
    assert len(read) == len(found or ())
    assert not [message for message in read if message.unusable]
    for message, raw in zip(read, found or (), strict=True):
        assert isinstance(message, Message)
        assert (message.id, message.body) == (raw["MessageId"], raw["Body"])


@given(
    st.fixed_dictionaries(
        dict.fromkeys(answers.COUNTS, st.integers(0, 10**9).map(str)), optional={"QueueArn": WORDS}
    ),
    WORDS,
)
def test_attributes_and_urls(attributes: dict[str, str], url: str) -> None:
    body = encode({"Attributes": attributes, "QueueUrl": url, "More": 1}, ascii_only=True)
    assert answers.depth(ours(body)) == answers.depth(theirs("GetQueueAttributes", 200, {}, body))
    assert answers.queue_url(ours(body)) == theirs("GetQueueUrl", 200, {}, body)["QueueUrl"]


CODES = st.from_regex(
    r"\A(com\.amazonaws\.sqs#|aws#)?[A-Za-z]{1,12}(:http://[a-z/#]{1,9})?\Z", fullmatch=True
)


@given(
    status=st.integers(400, 599),
    code=st.none() | CODES,
    said=st.none() | TEXTS,
    key=st.sampled_from(["message", "Message"]),
    query=st.none()
    | st.from_regex(r"\A[A-Za-z.]{1,20};(Sender|Receiver)\Z", fullmatch=True)
    | st.sampled_from(["", "Code", "Code;", "Code; ", "a;b;c", ";Sender"]),
)
def test_errors(
    status: int, code: str | None, said: str | None, key: str, query: str | None
) -> None:
    members = {"__type": code, key: said}
    body = json.dumps({name: each for name, each in members.items() if each is not None}).encode()
    headers = {} if query is None else {"x-amzn-query-error": query}
    meant = theirs("DeleteMessage", status, headers, body)["Error"]
    with pytest.raises(Refused) as caught:
        ours(body, status, headers)
    assert caught.value.said == meant["Message"]
    if code is not None:  # without one botocore puts the status there, and we nothing
        assert caught.value.code == meant["Code"]
