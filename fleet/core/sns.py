"""What Amazon SNS puts around a message that it delivers to a queue, and what of it can be trusted.

SNS signs the values of some fields, each after its name, a line each (`signed_text`). A value with
a line end in it could be cut in two and still fit the signature, so only the message itself may
have one. See docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOTIFICATION = "Notification"
TYPES = (NOTIFICATION, "SubscriptionConfirmation", "UnsubscribeConfirmation")
ENVELOPE = ("Type", "MessageId", "TopicArn", "Message", "Timestamp")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")

# Regions as AWS names them, each in the domain of its own partition: `sns.s3.amazonaws.com` belongs
# to whoever has a bucket `sns`, and `sns.execute-api…` may be anybody too. A test holds the table
# against botocore's.
_WHERE = r"(central|north|south|(north|south)?(east|west))-[1-9]\d?"
_HOSTS = (
    (rf"(af|ap|ca|eu|il|me|mx|sa|us|us-gov)-{_WHERE}", "amazonaws.com"),
    (rf"cn-{_WHERE}", "amazonaws.com.cn"),
    (rf"eusc-de-{_WHERE}", "amazonaws.eu"),
    (rf"us-iso-{_WHERE}", "c2s.ic.gov"),
    (rf"us-isob-{_WHERE}", "sc2s.sgov.gov"),
    (rf"eu-isoe-{_WHERE}", "cloud.adc-e.uk"),
    (rf"us-isof-{_WHERE}", "csp.hci.ic.gov"),
)
_HOST = "|".join(rf"{region}\.{re.escape(domain)}" for region, domain in _HOSTS)
CERTIFICATE = re.compile(rf"https://sns\.({_HOST})/[A-Za-z0-9_.-]+\.pem", re.ASCII)


class Unusable(Exception):
    """A message's body cannot be handed to the job. The text says why, without the body."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What SNS delivered: the message's text, and what its envelope said. Private: never logged.

    `subject`, `topic` (its ARN), `id` and `timestamp` are None where there was none: a raw delivery
    has no envelope.
    """

    message: str = field(repr=False)
    subject: str | None = field(default=None, repr=False)
    topic: str | None = None
    id: str | None = None
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """What SNS signed, how, and with whose key."""

    text: str = field(repr=False)
    version: str
    value: str = field(repr=False)
    certificate: str


def open_envelope(body: str) -> Mapping[str, Any] | None:
    """The envelope's fields; None for a raw delivery, which has no envelope."""
    try:
        envelope = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(envelope, dict) or envelope.get("Type") not in TYPES:
        return None
    return envelope if all(isinstance(envelope.get(name), str) for name in ENVELOPE) else None


def read_notification(body: str, topics: Sequence[str], *, verified: bool) -> Notification:
    """What the body delivers, if it is of one of the topics, of any if none is given.

    `verified`: its signature must be good, so that a raw delivery, which has none, is refused.
    Raises Unusable.
    """
    envelope = open_envelope(body)
    if envelope is None:
        if verified:
            raise Unusable(
                "it is not in an SNS envelope: "
                "a raw delivery has no signature (--no-sns-verify takes it)"
            )
        if topics:
            raise Unusable(
                "it is not in an SNS envelope: a raw delivery does not say its topic (--sns-topic)"
            )
        return Notification(body)
    if envelope["Type"] != NOTIFICATION:
        raise Unusable(f"it is SNS's {envelope['Type']}, not a notification")
    subject = envelope.get("Subject")
    lines = [envelope["MessageId"], envelope["Timestamp"], "" if subject is None else subject]
    if not all(isinstance(line, str) and "\n" not in line for line in lines) or not TOPIC.fullmatch(
        envelope["TopicArn"]
    ):
        raise Unusable("its SNS envelope is malformed")
    if topics and envelope["TopicArn"] not in topics:
        raise Unusable("its SNS topic is not one of --sns-topic")
    return Notification(
        envelope["Message"],
        subject,
        envelope["TopicArn"],
        envelope["MessageId"],
        envelope["Timestamp"],
    )


def read_signature(body: str) -> Signature:
    """The signature on an envelope. Raises Unusable without one that could be good."""
    envelope = open_envelope(body) or {}
    version, value, certificate = (
        envelope.get(name) for name in ("SignatureVersion", "Signature", "SigningCertURL")
    )
    if not (isinstance(version, str) and isinstance(value, str) and isinstance(certificate, str)):
        raise Unusable("it has no SNS signature")
    if version not in ("1", "2"):
        raise Unusable("its SNS signature is of an unknown version")
    if not CERTIFICATE.fullmatch(certificate):
        raise Unusable(
            "its signing certificate is not at https://sns.REGION.amazonaws.com, "
            "and was not fetched"
        )
    return Signature(signed_text(envelope), version, value, certificate)


def check_age(notification: Notification, now: float, most: float) -> None:
    """Raise Unusable for what SNS was given more than `most` seconds before `now`.

    `now` is seconds since the epoch.

    The age is taken from the signed timestamp: without a good signature it means nothing.
    """
    from datetime import datetime  # for this alone: a process without --sns-max-age goes without

    try:
        sent = datetime.fromisoformat(notification.timestamp or "")
    except ValueError:
        sent = None
    if sent is None or sent.tzinfo is None:
        raise Unusable("its SNS timestamp cannot be read, and --sns-max-age goes by it")
    if (age := now - sent.timestamp()) > most:
        raise Unusable(f"SNS was given it {age:.0f} s ago, longer than --sns-max-age, {most:g} s")


def signed_text(envelope: Mapping[str, Any]) -> str:
    """The text that SNS signs of a notification."""
    subject = () if envelope.get("Subject") is None else ("Subject",)
    names = ("Message", "MessageId", *subject, "Timestamp", "TopicArn", "Type")
    return "".join(f"{name}\n{envelope[name]}\n" for name in names)
