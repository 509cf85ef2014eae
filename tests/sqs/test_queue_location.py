"""Where the queue is, and what is asked then.

Its name, the host of its URL, its ARN, the options and the environment may say it.
"""

import itertools
import os
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointVariantError

from fleet.core.config import Config
from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_names import queue_name
from fleet.sqs.address import Address, address_of
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from fleet.sqs.transport import Endpoint
from tests.support.queues import one_queue

LOADER = botocore.session.Session().get_component("data_loader")
PARTITIONS = LOADER.load_data("partitions")["partitions"]
ACCOUNT = "123456789012"


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if (
            name.startswith("AWS_")
            or name.lower().endswith("_proxy")
            or name == "REQUESTS_CA_BUNDLE"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def at(queue: str, **given: Any) -> Sessions:
    keys: dict[str, Any] = {"access_key": "key", "secret_key": "secret"}  # nobody's
    return Sessions(Address(queue, **keys, **given))


def endpoint_of(sessions: Sessions) -> Endpoint:
    """Where its calls go."""
    return sessions.find_endpoint()


def endpoint(sessions: Sessions) -> str:
    sessions.make_transport(1, 1)  # tells what is wrong
    return endpoint_of(sessions).url.rstrip("/")


# The host of a URL.

HOSTS = [
    # host, its region, and whether it is itself what is asked
    ("sqs.eu-west-1.amazonaws.com", "eu-west-1", False),
    ("SQS.EU-WEST-1.amazonaws.com", "eu-west-1", False),
    ("sqs.eu-west-1.amazonaws.com.", "eu-west-1", False),
    ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1", False),
    ("sqs.us-gov-west-1.amazonaws.com", "us-gov-west-1", False),
    ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", False),
    ("sqs.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", False),
    ("sqs.eu-isoe-west-1.cloud.adc-e.uk", "eu-isoe-west-1", False),
    ("sqs.us-isof-south-1.csp.hci.ic.gov", "us-isof-south-1", False),
    ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", False),
    ("eu-west-1.queue.amazonaws.com", "eu-west-1", False),
    ("cn-north-1.queue.amazonaws.com.cn", "cn-north-1", False),
    ("sqs-fips.us-east-1.amazonaws.com", "us-east-1", True),
    ("sqs.eu-west-1.api.aws", "eu-west-1", True),
    ("sqs-fips.us-west-2.api.aws", "us-west-2", True),
    ("sqs.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1", True),
    ("vpce-0a1b-c2d3.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1", True),
    ("vpce-0a1b-c2d3-us-west-2a.sqs.us-east-1.vpce.amazonaws.com", "us-east-1", True),
    ("us-west-2.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1", True),
    ("vpce-0a1b.sqs.us-gov-west-1.vpce.amazonaws.com", "us-gov-west-1", True),
    ("vpce-0a1b.sqs-fips.us-east-1.vpce.amazonaws.com", "us-east-1", True),
    # not SQS's, or of no region
    ("queue.amazonaws.com", None, False),
    ("127.0.0.1:9324", None, True),
    ("[::1]:9324", None, True),
    ("sqs.eu-west-1.example.com", None, True),
    ("sqs.eu-west-1.amazonaws.com.example.com", None, True),
    ("sqs.eu-west-1.evil-amazonaws.com", None, True),
    ("sqs.no-region.amazonaws.com", None, True),
    ("sqs.cn-north-1.amazonaws.com", None, True),
    ("eu-west-1.elb.amazonaws.com", None, True),
    ("sqs.us-east-1.localhost.localstack.cloud:4566", None, True),
]


@pytest.mark.parametrize(("host", "region", "itself"), HOSTS)
def test_the_host_of_a_url_says_the_region_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, host: str, region: str | None, itself: bool
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    url = f"https://{host}/{ACCOUNT}/prod-us-west-2-jobs"
    found = at(url)
    assert found.location.region == region
    assert found.region == (region or "ap-south-1")
    where = endpoint_of(found)
    assert where.region == (region or "ap-south-1")
    assert found.location.name == "prod-us-west-2-jobs"
    assert SqsQueue(found).url == url
    assert (found.endpoint_url == f"https://{host}") is itself
    if itself:
        assert endpoint(found) == f"https://{host}"
    else:
        client = botocore.session.Session().create_client("sqs", where.region, **KEYS)
        assert endpoint(found) == endpoint_of_client(client)


KEYS = {"aws_access_key_id": "n", "aws_secret_access_key": "n"}


def endpoint_of_client(client: Any) -> str:
    return str(client.generate_presigned_url("list_queues").partition("?")[0].rstrip("/"))


@pytest.mark.parametrize("host", ["queue.amazonaws.com", "127.0.0.1:9324"])
def test_without_a_region_anywhere_there_is_one_to_sign_with(host: str) -> None:
    assert at(f"https://{host}/{ACCOUNT}/jobs").region == "us-east-1"


def test_a_name_alone_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert at("prod-us-west-2-jobs").region is None
    with pytest.raises(QueueError, match="no region given") as caught:
        at("jobs").make_transport(1, 1)
    assert caught.value.trouble is Trouble.USAGE
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    assert at("prod-us-west-2-jobs").region == "ap-south-1"


def test_an_endpoint_that_is_given_beats_the_urls_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:3")
    local = at("http://127.0.0.1:1/000000000000/jobs", endpoint_url="http://127.0.0.1:2")
    assert endpoint(local) == "http://127.0.0.1:2"
    assert endpoint(at("http://127.0.0.1:1/000000000000/jobs")) == "http://127.0.0.1:1"
    assert endpoint(at("jobs", region="eu-west-1")) == "http://127.0.0.1:3"


@pytest.mark.parametrize(
    "queue",
    [
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs",
        f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs",
    ],
)
def test_an_option_that_says_another_region_is_refused_in_one_line(queue: str) -> None:
    with pytest.raises(QueueError) as caught:
        at(queue, region="us-east-1").make_transport(1, 1)
    assert caught.value.trouble is Trouble.USAGE
    assert "region eu-west-1, and --region us-east-1" in str(caught.value)
    assert "\n" not in str(caught.value)
    at(queue, region="eu-west-1").make_transport(1, 1)
    at(queue, region="fips-eu-west-1")  # botocore takes that for a wish for FIPS


@pytest.mark.parametrize(
    ("queue", "said"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/", "without a queue's name"),
        ("https://sqs.eu-west-1.amazonaws.com", "without a queue's name"),
        ("ftp://sqs.eu-west-1.amazonaws.com/1/jobs", "must be as in https"),
        ("https:///1/jobs", "must be as in https"),
        ("https://127.0.0.1:x/1/jobs", "Port"),
        ("https://[::1/1/jobs", "Invalid IPv6"),
        ("http://user:password@127.0.0.1/1/jobs", "password"),
        ("http://127.0.0.1/1/jobs?x=1", "must be as in https"),
        ("arn:aws:sns:eu-west-1:123456789012:jobs", "must be as in arn"),
        ("arn:aws:sqs:eu-west-1:123456789012", "must be as in arn"),
        ("arn:aws:sqs::123456789012:jobs", "must be as in arn"),
        ("arn:aws:sqs:eu-west-1::jobs", "must be as in arn"),
        ("arn:aws:sqs:eu-west-1:123456789012:", "must be as in arn"),
        ("arn:aws:sqs:eu-west-1:123456789012:jobs:more", "must be as in arn"),
        (
            "arn:aws-cn:sqs:eu-west-1:123456789012:jobs",
            "says partition aws-cn, and its region eu-west-1 is in aws",
        ),
        ("arn:aws:sqs:us-gov-west-1:123456789012:jobs", "is in aws-us-gov"),
    ],
)
def test_what_names_no_queue_is_said_in_one_line(queue: str, said: str) -> None:
    with pytest.raises(QueueError, match=said) as caught:
        at(queue, region=None).make_transport(1, 1)
    assert caught.value.trouble is Trouble.USAGE
    assert "\n" not in str(caught.value)


def test_a_configuration_that_cannot_be_read_is_said_wherever_it_is_met_first(
    tmp_path: Path,
) -> None:
    (tmp_path / "config").write_text("[default\n")
    asks: list[Callable[[Sessions], object]] = [
        lambda made: made.location,
        lambda made: made.region,
        lambda made: made.endpoint_url,
        lambda made: made.make_transport(1, 1),
    ]
    for ask in asks:
        with pytest.raises(QueueError) as caught:
            ask(at(f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs"))
        assert caught.value.trouble is Trouble.USAGE


# ARNs, and queues of others.


class FakeTransport:
    """Knows every queue, and what it was asked."""

    descriptors = ()

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def call(self, operation: str, arguments: Any) -> Any:
        self.asked.append((operation, dict(arguments)))
        return {"QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs"}

    def close(self) -> None:
        """Nothing."""

    def forget(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("queue", "asked"),
    [
        ("jobs", {"QueueName": "jobs"}),
        (
            f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs",
            {"QueueName": "jobs", "QueueOwnerAWSAccountId": ACCOUNT},
        ),
    ],
)
def test_a_queue_is_looked_up_in_the_account_that_is_named(
    monkeypatch: pytest.MonkeyPatch, queue: str, asked: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    transport = FakeTransport()
    sessions = at(queue)
    monkeypatch.setattr(sessions, "make_transport", lambda *_: transport)
    target = SqsQueue(sessions)
    assert target.url == f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs"
    assert transport.asked == [("GetQueueUrl", asked)]
    assert target.name == "jobs"
    assert target.region == ("eu-west-1" if queue.startswith("arn") else "ap-south-1")


def test_an_emulators_arn_is_good_at_its_own_endpoint() -> None:
    local = at("arn:aws:sqs:elasticmq:000000000000:jobs", endpoint_url="http://127.0.0.1:1")
    assert (local.region, local.location.name) == ("elasticmq", "jobs")


@pytest.mark.parametrize(
    ("queue", "name"),
    [
        ("jobs", "jobs"),
        ("jobs.fifo", "jobs.fifo"),
        (f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs/", "jobs"),
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs.fifo", "jobs.fifo"),
    ],
)
def test_a_queues_own_name(queue: str, name: str) -> None:
    assert queue_name(queue) == at(queue).address.name == name


@pytest.mark.parametrize(
    ("queue", "given", "then"),
    [
        (
            f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/jobs",
            {},
            "https://sqs.us-east-1.amazonaws.com",
        ),
        (
            f"https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com/{ACCOUNT}/jobs",
            {},
            "https://sqs.us-east-1.amazonaws.com",
        ),
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs", {}, "https://sqs.us-east-1.amazonaws.com"),
        ("http://127.0.0.1:1/000000000000/jobs", {"region": "eu-west-1"}, "http://127.0.0.1:1"),
        (
            "jobs",
            {"region": "eu-west-1", "endpoint_url": "http://127.0.0.1:1"},
            "http://127.0.0.1:1",
        ),
    ],
)
def test_a_dead_letter_queue_elsewhere(queue: str, given: dict[str, Any], then: str) -> None:
    """Its ARN may say another region: an SQS server of one's own is asked all the same."""
    found = at(queue, **given).for_region("us-east-1")
    assert (found.region, endpoint(found)) == ("us-east-1", then)


# The embedded server.


def test_the_embedded_servers_queue_is_the_one_of_that_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And nothing that is meant for others comes between: no proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:2")
    plan = Plan(
        Config(),
        one_queue(queue=f"arn:aws:sqs:eu-west-1:{ACCOUNT}:jobs"),
        1,
        region="us-east-1",
        local_port=9324,
    )
    local = Sessions(address_of(replace(plan, endpoint_url="http://127.0.0.1:1"), plan.queues[0]))
    assert (local.region, local.location.name, local.location.account) == (
        "us-east-1",
        "jobs",
        None,
    )
    assert not endpoint_of(local).by_botocore
    assert endpoint_of(
        at("jobs", region="eu-west-1", endpoint_url="http://127.0.0.1:1")
    ).by_botocore


# The endpoint.

REGIONS = sorted(
    {
        region
        for partition in botocore.session.Session().get_available_partitions()
        for region in botocore.session.Session().get_available_regions("sqs", partition)
    }
    | {
        region
        for partition in PARTITIONS
        for region in partition["regions"]
        if "global" not in region
    }
)


@pytest.mark.parametrize(("fips", "dual"), list(itertools.product([False, True], repeat=2)))
def test_the_endpoint_is_that_of_botocores_rules_in_every_region(
    monkeypatch: pytest.MonkeyPatch, fips: bool, dual: bool
) -> None:
    """By the rules themselves; where botocore's client fails before it uses them, so do we."""
    shared = botocore.session.Session()
    monkeypatch.setattr(botocore.session, "Session", lambda **_: shared)  # its files are read once
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: None)  # nor are authorities'
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", str(fips))
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", str(dual))
    rules = EndpointProvider(
        LOADER.load_service_model("sqs", "endpoint-rule-set-1"), LOADER.load_data("partitions")
    )
    wished: dict[str, Any] = {"UseFIPS": fips, "UseDualStack": dual}
    different = []
    for region in REGIONS:
        by_rules = rules.resolve_endpoint(Region=region, **wished).url
        try:
            ours = endpoint(at("jobs", region=region))
        except QueueError as error:
            ours = str(error)
        if ours != by_rules:
            different.append((region, ours))
    assert len(REGIONS) > 40
    for region, ours in different:
        with pytest.raises(EndpointVariantError):
            botocore.session.Session().create_client("sqs", region, **KEYS)
        assert "variant" in ours
        assert "\n" not in ours


def test_a_region_with_fips_in_its_name_is_that_region_with_fips() -> None:
    assert (
        endpoint(at("jobs", region="fips-us-east-1")) == "https://sqs-fips.us-east-1.amazonaws.com"
    )


# Whom we trust.


@pytest.mark.parametrize(
    ("environment", "used"),
    [
        ({"REQUESTS_CA_BUNDLE": "/no/requests"}, "/no/requests"),
        ({"REQUESTS_CA_BUNDLE": "/no/requests", "AWS_CA_BUNDLE": "/no/aws"}, "/no/aws"),
        ({}, None),
    ],
)
def test_the_authorities_are_boto3s(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], used: str | None
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if used is None:
        assert endpoint_of(at("jobs", region="eu-west-1")).tls is not None
        return
    with pytest.raises(QueueError, match=f"the CA bundle {used} cannot be used") as caught:
        at("jobs", region="eu-west-1").make_transport(1, 1)
    assert caught.value.trouble is Trouble.USAGE
