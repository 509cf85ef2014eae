"""SNS's envelope: what is one, what is signed, what can be trusted before a fetch."""

import json

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.core import sns
from fleet.core.sns import Notification, Unusable
from tests.support.sns import CERTIFICATE_URL, OTHER_TOPIC, TOPIC, envelope

SIGNED = {"SignatureVersion": "1", "Signature": "c2lnbmVk", "SigningCertURL": CERTIFICATE_URL}


def dumped(*arguments: str, **more: object) -> str:
    return json.dumps(envelope(*arguments, **more))  # type: ignore[arg-type]


def test_what_is_in_an_envelope() -> None:
    found = sns.read_notification(dumped("the text", subject="about it"), [TOPIC], verified=True)
    assert (found.message, found.subject, found.topic) == ("the text", "about it", TOPIC)
    assert (found.id, found.timestamp) == (
        "5d1dc3a1-0000-5f7e-8a3c-9a1d2f3b4c5d",
        "2026-01-31T12:00:00.000Z",
    )


@pytest.mark.parametrize("subject", [{}, {"Subject": None}])
def test_a_subject_is_optional(subject: dict[str, None]) -> None:
    assert sns.read_notification(dumped("text", **subject), [], verified=True).subject is None


@pytest.mark.parametrize(
    "body",
    [
        "plain text",
        "",
        "7",
        '["a", "list"]',
        '{"Type": "Notification"}',
        '{"Message": "text", "TopicArn": "' + TOPIC + '"}',
        dumped("text", Type="Something"),
        dumped("text", Message={"not": "text"}),
        "[" * 100_000,
    ],
    ids=lambda body: body[:20],
)
def test_a_raw_delivery_has_no_envelope(body: str) -> None:
    assert sns.read_notification(body, [], verified=False) == Notification(body)
    with pytest.raises(Unusable, match="no signature"):
        sns.read_notification(body, [], verified=True)
    with pytest.raises(Unusable, match="does not say its topic"):
        sns.read_notification(body, [TOPIC], verified=False)


@pytest.mark.parametrize("verified", [True, False])
def test_only_topics_of_the_list_are_taken(verified: bool) -> None:
    assert (
        sns.read_notification(dumped("text"), [OTHER_TOPIC, TOPIC], verified=verified).message
        == "text"
    )
    with pytest.raises(Unusable, match="--sns-topic"):
        sns.read_notification(dumped("text"), [OTHER_TOPIC], verified=verified)


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_what_is_not_a_notification_is_named(kind: str) -> None:
    with pytest.raises(Unusable, match=kind):
        sns.read_notification(dumped("text", Type=kind), [], verified=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"MessageId": "a\nb"},
        {"Timestamp": "a\nTopicArn\nb"},
        {"Subject": "a\nb"},
        {"Subject": 7},
        {"TopicArn": TOPIC + "\nType\nNotification"},
        {"TopicArn": "mail"},
    ],
    ids=str,
)
def test_a_value_that_could_be_cut_in_two_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(Unusable, match="malformed"):
        sns.read_notification(dumped("text", **wrong), [], verified=True)


LINE = st.text(st.characters(exclude_characters="\n", codec="utf-8"))


@given(
    st.lists(
        st.tuples(st.text(), LINE, st.none() | LINE, LINE), min_size=2, max_size=2, unique=True
    )
)
def test_no_two_notifications_are_signed_alike(two: list[tuple[str, str, str | None, str]]) -> None:
    """Whoever has a good signature has it for these values and no others."""
    first, second = (
        sns.signed_text(envelope(message, subject, MessageId=id_, Timestamp=timestamp))
        for message, id_, subject, timestamp in two
    )
    assert first != second


def test_what_is_signed() -> None:
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    found = envelope("two\nlines")
    assert sns.signed_text(found) == "".join(f"{name}\n{found[name]}\n" for name in names)
    found["Subject"] = "s"
    assert "Subject\ns\nTimestamp\n" in sns.signed_text(found)


def test_a_signature_is_told() -> None:
    found = sns.read_signature(dumped("text", **SIGNED))
    assert (found.version, found.value, found.certificate) == ("1", "c2lnbmVk", CERTIFICATE_URL)
    assert found.text == sns.signed_text(envelope("text"))


@pytest.mark.parametrize("without", SIGNED)
def test_a_signature_has_three_parts(without: str) -> None:
    for wrong in ({without: None}, {without: 7}):
        with pytest.raises(Unusable, match="no SNS signature"):
            sns.read_signature(dumped("text", **(SIGNED | wrong)))


@pytest.mark.parametrize("version", ["0", "3", "", "1\n"])
def test_an_unknown_version(version: str) -> None:
    with pytest.raises(Unusable, match="version"):
        sns.read_signature(dumped("text", **(SIGNED | {"SignatureVersion": version})))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        (CERTIFICATE_URL, True),
        ("https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0f.pem", True),
        ("https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-0f.pem", True),
        ("https://sns.s3.amazonaws.com/a.pem", False),
        ("https://sns.s3-us-west-2.amazonaws.com/a.pem", False),
        ("https://sns.execute-api.amazonaws.com/a.pem", False),
        ("https://sns.execute-api.us-east-1.amazonaws.com/a.pem", False),
        ("https://sns.--.amazonaws.com/a.pem", False),
        ("https://sns.us-nowhere-1.amazonaws.com/a.pem", False),
        ("https://sns.us-east-.amazonaws.com/a.pem", False),
        ("https://sns.us-east-0.amazonaws.com/a.pem", False),
        ("https://sns.us-east-\u0661.amazonaws.com/a.pem", False),
        ("https://sns.aws-global.amazonaws.com/a.pem", False),
        ("https://sns.US-EAST-1.amazonaws.com/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com.cn/a.pem", False),
        ("https://sns.cn-north-1.amazonaws.com/a.pem", False),
        ("https://sns.us-iso-east-1.amazonaws.com/a.pem", False),
        ("https://sns.us-iso-east-1xc2s.ic.gov/a.pem", False),
        ("http://sns.us-east-1.amazonaws.com/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com.evil.org/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com@evil.org/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com:8443/a.pem", False),
        ("https://evil.org/https://sns.us-east-1.amazonaws.com/a.pem", False),
        ("https://evil.org/#sns.us-east-1.amazonaws.com/a.pem", False),
        ("https://sns.evil.org/.amazonaws.com/a.pem", False),
        ("https://s3.us-east-1.amazonaws.com/a.pem", False),
        ("https://sns.us-east-1.amazonaws.com/../a/b.pem", False),
        ("https://sns.us-east-1.amazonaws.com/a.pem?b", False),
        ("https://sns.us-east-1.amazonaws.com/a.pem\n", False),
        ("https://sns.us-east-1.amazonaws.com/a.txt", False),
        ("file:///etc/a.pem", False),
        ("", False),
    ],
)
def test_a_certificate_is_at_snss_own_host(url: str, good: bool) -> None:
    body = dumped("text", **(SIGNED | {"SigningCertURL": url}))
    if good:
        assert sns.read_signature(body).certificate == url
    else:
        with pytest.raises(Unusable, match="not fetched"):
            sns.read_signature(body)


def test_a_certificate_may_be_at_the_host_of_every_region_and_in_its_partitions_domain_only() -> (
    None
):
    partitions = (
        botocore.session.Session()
        .get_component("data_loader")
        .load_data("partitions")["partitions"]
    )
    domains = {each["outputs"]["dnsSuffix"] for each in partitions}
    regions = [
        (region, each["outputs"]["dnsSuffix"])
        for each in partitions
        for region in each["regions"]
        if not region.endswith("-global")
    ]
    assert len(regions) > 40
    for region, domain in regions:
        for each in domains:
            good = sns.CERTIFICATE.fullmatch(f"https://sns.{region}.{each}/a.pem")
            assert bool(good) == (each == domain), (region, each)


SENT = 1_769_860_800.0  # the envelope's timestamp


@pytest.mark.parametrize("age", [-60.0, 0.0, 60.0])
def test_what_is_young_enough(age: float) -> None:
    sns.check_age(sns.read_notification(dumped("text"), [], verified=True), SENT + age, 60.0)


def test_what_is_too_old() -> None:
    with pytest.raises(Unusable, match="61 s ago, longer than --sns-max-age, 60 s"):
        sns.check_age(sns.read_notification(dumped("text"), [], verified=True), SENT + 61, 60.0)


@pytest.mark.parametrize(
    "timestamp", ["", "yesterday", "2026-01-31T12:00:00.000", "2026-01-31", "99999-01-01T00:00Z"]
)
def test_a_timestamp_that_says_nothing(timestamp: str) -> None:
    found = sns.read_notification(dumped("text", Timestamp=timestamp), [], verified=True)
    with pytest.raises(Unusable, match="cannot be read"):
        sns.check_age(found, SENT, 1e9)
