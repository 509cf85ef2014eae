"""A queue of what a program has made with boto3 already: its session, or its Queue resource."""

from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest

from fleet import Dispatcher, Queue
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from tests.library.conftest import Words
from tests.support.servers import REGION, Depth, LiveQueue

KEYS = {
    "aws_access_key_id": "theirs",
    "aws_secret_access_key": "secret",
    "aws_session_token": "token",
}


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither credentials nor a region are to be found here."""
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def session(**more: Any) -> Any:
    return boto3.Session(**{**KEYS, "region_name": "eu-north-1", **more})


def sessions_of(queue: SqsQueue) -> Sessions:
    assert isinstance(queue.access, Sessions)
    return queue.access


def keys(queue: SqsQueue) -> tuple[str, str, str]:
    lent = sessions_of(queue).read_credentials()
    return lent.access_key, lent.secret_key, lent.token


def dispatched(queue: SqsQueue, words: Words) -> None:
    with closing(queue):
        assert Dispatcher(queue, wait_time=1).dispatch(words.say)


def test_a_session_lends_its_credentials_and_its_region(queue: LiveQueue, words: Words) -> None:
    queue.send("7")
    opened = Queue.open(queue.name, endpoint_url=queue.server.endpoint, session=session())
    assert keys(opened) == ("theirs", "secret", "token")
    assert opened.region == "eu-north-1"
    opened.renew()
    assert keys(opened) == ("theirs", "secret", "token")
    opened = Queue.open(
        queue.name, endpoint_url=queue.server.endpoint, session=session(region_name=REGION)
    )
    dispatched(opened, words)
    assert words.all() == [["7"]]
    assert queue.depth() == Depth(0, 0, 0)


def test_what_is_given_and_what_the_queues_url_says_come_before_a_sessions_region() -> None:
    url = "https://sqs.us-west-2.amazonaws.com/123456789012/jobs"
    assert Queue.open(url, session=session()).region == "us-west-2"
    assert Queue.open("jobs", region="us-east-2", session=session()).region == "us-east-2"


def test_botocores_own_session_will_do() -> None:
    made = botocore.session.Session()
    made.set_credentials("theirs", "secret", "token")
    made.set_config_variable("region", "eu-north-1")
    opened = Queue.open("jobs", session=made)
    assert (keys(opened), opened.region) == (("theirs", "secret", "token"), "eu-north-1")


def test_a_profile_is_lent_too(tmp_path: Path) -> None:
    secrets = "aws_access_key_id = profiled\naws_secret_access_key = secret\n"
    profile = f"[profile work]\nregion = ap-south-1\n{secrets}"
    (tmp_path / "config").write_text(profile + "ca_bundle = /no/such/bundle.pem\n")
    opened = Queue.open("jobs", session=boto3.Session(profile_name="work"))
    assert (keys(opened)[0], opened.region) == ("profiled", "ap-south-1")
    assert sessions_of(opened)._session.get_config_variable("ca_bundle") == "/no/such/bundle.pem"


def test_a_resource_is_its_queue(queue: LiveQueue, words: Words) -> None:
    queue.send("7")
    resource = session(region_name=REGION).resource("sqs", endpoint_url=queue.server.endpoint)
    with closing(resource.meta.client):
        wrapped = Queue.wrap(resource.get_queue_by_name(QueueName=queue.name))
    assert (wrapped.name, wrapped.region, keys(wrapped)) == (
        queue.name,
        REGION,
        ("theirs", "secret", "token"),
    )
    dispatched(wrapped, words)
    assert words.all() == [["7"]]
    assert queue.depth() == Depth(0, 0, 0)


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        (None, "https://sqs.eu-north-1.amazonaws.com/"),
        ("https://sqs-fips.us-east-1.amazonaws.com", "https://sqs-fips.us-east-1.amazonaws.com/"),
        ("https://sqs.example.org:8443", "https://sqs.example.org:8443/"),
    ],
)
def test_a_resources_endpoint_is_its_own(endpoint: str | None, found: str) -> None:
    made = session().resource("sqs", endpoint_url=endpoint)
    wrapped = Queue.wrap(made.Queue("https://sqs.eu-north-1.amazonaws.com/123456789012/jobs"))
    assert sessions_of(wrapped).find_endpoint().url.rstrip("/") == found.rstrip("/")


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(TypeError, match="session is of type dict; it must be a boto3 session"):
        Queue.open("jobs", session=KEYS)
    for wrong in ("jobs", session(), session().client("sqs")):
        with pytest.raises(TypeError, match="it must be boto3's Queue resource"):
            Queue.wrap(wrong)
