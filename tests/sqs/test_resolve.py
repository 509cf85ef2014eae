"""An address becomes a place and keys; what a pool cannot use is said at the start."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.core.config import Config
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_config import MOST_QUEUES
from fleet.core.queue_place import Keys, QueuePlace
from fleet.core.scout_protocol import Resolved, Unresolved
from fleet.ipc import channel
from fleet.scout import resolver
from fleet.sqs.address import Address
from fleet.sqs.resolve import resolve
from fleet.sqs.sessions import Sessions
from fleet.sqs.transport import Endpoint
from tests.support.queues import one_queue

URL = "http://127.0.0.1:1"
OWN = Address("jobs", "eu-west-1", URL)
AT_AWS = Address("https://sqs.eu-west-1.amazonaws.com/123456789012/jobs")


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy") or name.endswith("_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def find(address: Address, transport: str = "auto") -> tuple[QueuePlace, Keys]:
    """The place of the only queue, and the keys."""
    (place,), keys = resolve([address], transport)
    return place, keys


def refusal(address: Address, transport: str = "auto") -> QueueError:
    with pytest.raises(QueueError) as caught:
        find(address, transport)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_server_of_ones_own() -> None:
    place, keys = find(OWN, "auto")
    assert place == QueuePlace("jobs", f"{URL}/", "eu-west-1", URL, is_own_server=True)
    assert keys == Keys("key", "secret")
    assert keys.expires_at is None


def test_a_queue_at_aws() -> None:
    place, _ = find(AT_AWS, "auto")
    assert place.ca_bundle is not None
    assert Path(place.ca_bundle).name == "cacert.pem"
    assert place == QueuePlace(
        "jobs",
        "https://sqs.eu-west-1.amazonaws.com/",
        "eu-west-1",
        ca_bundle=place.ca_bundle,
        url=AT_AWS.queue,
    )


def test_a_queue_of_somebody_elses() -> None:
    place, _ = find(Address("arn:aws:sqs:eu-west-1:123456789012:jobs"), "auto")
    assert (place.name, place.account, place.url) == ("jobs", "123456789012", None)
    assert not place.is_own_server


def test_keys_of_a_session_and_when_they_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2999-01-01T00:00:00Z")
    _, keys = find(OWN, "auto")
    assert keys == Keys("key", "secret", "token")
    assert keys.expires_at == 32472144000.0


PROXY = {"HTTP_PROXY": "http://127.0.0.1:2"}
OLD_SIGNATURE = {"config": "[default]\nsqs =\n  signature_version = v2\n"}


@pytest.mark.parametrize(
    ("transport", "given", "by_botocore"),
    [
        ("auto", {}, False),
        ("lean", {}, False),
        ("boto3", {}, True),
        ("auto", PROXY, True),
        ("boto3", PROXY, True),
        ("auto", PROXY | {"NO_PROXY": "127.0.0.1"}, False),
        ("lean", PROXY | {"NO_PROXY": "127.0.0.1"}, False),
        ("auto", {"HTTPS_PROXY": "http://127.0.0.1:2"}, False),
        ("auto", OLD_SIGNATURE, True),
    ],
)
def test_what_only_botocores_client_can_do_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    transport: str,
    given: dict[str, str],
    by_botocore: bool,
) -> None:
    for name, value in given.items():
        if name == "config":
            (tmp_path / "config").write_text(value)
        else:
            monkeypatch.setenv(name, value)
    place, _ = find(OWN, transport)
    assert place.by_botocore is by_botocore


@pytest.mark.parametrize("given", [PROXY, OLD_SIGNATURE])
def test_what_the_lean_transport_cannot_do_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str]
) -> None:
    (tmp_path / "config").write_text(given.get("config", ""))
    for name in given.keys() - {"config"}:
        monkeypatch.setenv(name, given[name])
    error = refusal(OWN, "lean")
    assert error.trouble is Trouble.USAGE
    assert "--transport lean" in str(error)


@pytest.mark.parametrize(
    ("address", "environment", "trouble", "said"),
    [
        (Address("jobs", "mars-north-1"), {}, Trouble.USAGE, "unknown region 'mars-north-1'"),
        (Address("jobs"), {}, Trouble.USAGE, "no region given"),
        (OWN, {"AWS_PROFILE": "nobodys"}, Trouble.USAGE, "nobodys"),
        (AT_AWS, {"AWS_CA_BUNDLE": "/no/bundle"}, Trouble.USAGE, "/no/bundle"),
        (Address("jobs", "eu-west-1", "127.0.0.1:9"), {}, Trouble.USAGE, "127.0.0.1:9"),
        (OWN, {"AWS_ACCESS_KEY_ID": ""}, Trouble.SESSION, "no AWS credentials found"),
        (OWN, {"AWS_SECRET_ACCESS_KEY": ""}, Trouble.SESSION, "Partial credentials"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
    address: Address,
    environment: dict[str, str],
    trouble: Trouble,
    said: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    error = refusal(address)
    assert error.trouble is trouble
    assert said in str(error)


def test_the_word_for_it_fits_into_a_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "x" * 100_000)
    answer = resolver.answer(Plan(Config(), one_queue(), 1, "eu-west-1", URL))
    assert isinstance(answer, Unresolved)
    assert answer.trouble == "USAGE"
    assert len(answer.why) < 9000


# Several queues.


def test_each_queue_has_its_place_and_all_have_the_same_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endpoint is found once for all that share it: it takes botocore its time."""
    found: list[str] = []
    find_endpoint = Sessions.find_endpoint

    def count(sessions: Sessions) -> Endpoint:
        found.append(sessions.name)
        return find_endpoint(sessions)

    monkeypatch.setattr(Sessions, "find_endpoint", count)
    north = "https://sqs.eu-north-1.amazonaws.com/123456789012/low"
    addresses = [AT_AWS, replace(AT_AWS, queue=f"{AT_AWS.queue}2"), Address(north)]
    places, keys = resolve(addresses, "auto")
    assert [(place.name, place.region, place.url) for place in places] == [
        ("jobs", "eu-west-1", AT_AWS.queue),
        ("jobs2", "eu-west-1", f"{AT_AWS.queue}2"),
        ("low", "eu-north-1", north),
    ]
    assert places[2].endpoint == "https://sqs.eu-north-1.amazonaws.com/"
    assert keys == Keys("key", "secret")
    assert found == ["jobs", "low"]


def test_the_queue_that_cannot_be_found_is_named() -> None:
    with pytest.raises(QueueError, match=r"queue 'https://sqs.eu-west-1.*/low': its URL says"):
        resolve(
            [
                Address("jobs", "eu-north-1"),
                Address("https://sqs.eu-west-1.amazonaws.com/1/low", "eu-north-1"),
            ],
            "auto",
        )


def test_keys_leave_room_for_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is one packet, with the longest names and tokens."""
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/"
    names = [f"{url}{number:03}{'q' * 77}" for number in range(MOST_QUEUES)]
    addresses = [Address(name) for name in names]
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", "t" * 9_990)
    assert channel.fits(Resolved(*resolve(addresses, "auto")))
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t" * 10_000)
    with pytest.raises(QueueError, match="longer than 10000 bytes"):
        resolve(addresses, "auto")
    resolve(addresses[:1], "auto")
