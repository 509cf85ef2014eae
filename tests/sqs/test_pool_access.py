"""A queue's access inside a pool: a place that was found out, and keys that are handed in."""

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs.address import Address
from fleet.sqs.pool_access import Keyring, PoolAccess, PoolAccesses, open_local
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions

FIRST, SECOND = Keys("first", "secret", "a token"), Keys("second", "secret")
OURS = Message("m", "h", "")
POLICY = {"deadLetterTargetArn": "arn:aws:sqs:eu-north-1:1:dlq", "maxReceiveCount": "3"}


class Endpoint:
    """Says yes to everything, and keeps what it was asked: operation, credential, user agent."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.code = ""  # of an error instead
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].rpartition(".")[2]
                credential = self.headers["Authorization"].partition("Credential=")[2]
                scope = credential.split("/")
                who = f"{scope[0]} {scope[2]}"
                endpoint.asked.append((operation, who, self.headers["User-Agent"].split("/")[0]))
                answer: dict[str, Any] = {
                    "QueueUrl": "http://q/dlq",
                    "MessageId": "1",
                    "Attributes": {"RedrivePolicy": json.dumps(POLICY)},
                }
                if endpoint.code:
                    answer = {"__type": f"x#{endpoint.code}"}
                text = json.dumps(answer).encode()
                self.send_response_only(403 if endpoint.code else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(params=["our own wire", "botocore's client"])
def place(request: pytest.FixtureRequest, endpoint: Endpoint) -> QueuePlace:
    """Of a queue on the endpoint."""
    return QueuePlace(
        "jobs",
        f"{endpoint.url}/",
        "eu-west-1",
        endpoint.url,
        by_botocore=request.param == "botocore's client",
        is_own_server=True,
        url=f"{endpoint.url}/0/jobs",
    )


class Pool:
    """What a process of a pool holds. `heard`: of the keys that it has told are refused."""

    def __init__(self, endpoint: Endpoint, place: QueuePlace) -> None:
        self.heard: list[Keys] = []
        self.has_master = True
        self.keyring = Keyring(FIRST, self._tell_refused)
        address = Address("jobs", "eu-west-1", endpoint.url)
        self.queue = SqsQueue(PoolAccess(address, place, self.keyring))

    def _tell_refused(self, keys: Keys) -> bool:
        self.heard.append(keys)
        return self.has_master


@pytest.fixture
def pool(endpoint: Endpoint, place: QueuePlace) -> Iterator[Pool]:
    made = Pool(endpoint, place)
    yield made
    made.queue.close()


def test_calls_are_signed_with_the_keys_as_they_are_now(pool: Pool, endpoint: Endpoint) -> None:
    """Over one connection."""
    pool.queue.delete(OURS)
    pool.keyring.take(SECOND)
    pool.queue.delete(OURS)
    assert [who for _, who, _ in endpoint.asked] == ["first eu-west-1", "second eu-west-1"]


def test_the_client_is_the_one_that_the_place_needs(
    pool: Pool, endpoint: Endpoint, place: QueuePlace
) -> None:
    pool.queue.delete(OURS)
    assert endpoint.asked[0][2] == ("Boto3" if place.by_botocore else "fleet") or (
        place.by_botocore and endpoint.asked[0][2] == "Botocore"
    )


def test_a_refusal_of_the_keys_is_told_and_changes_nothing_else(
    pool: Pool, endpoint: Endpoint
) -> None:
    endpoint.code = "ExpiredTokenException"
    with pytest.raises(QueueError) as caught:
        pool.queue.delete(OURS)
    assert caught.value.trouble is Trouble.SESSION
    access = pool.queue.access
    pool.queue.renew()
    assert pool.heard == [FIRST]
    assert pool.queue.access is access
    endpoint.code = ""
    pool.keyring.take(SECOND)
    pool.queue.delete(OURS)
    assert endpoint.asked[-1][1] == "second eu-west-1"


def test_without_a_master_the_keys_are_those_of_our_own_surroundings(
    pool: Pool, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same endpoint, and by the same client."""
    pool.queue.delete(OURS)
    pool.has_master = False
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    pool.queue.renew()
    pool.queue.delete(OURS)
    pool.queue.renew()
    pool.queue.delete(OURS)
    (_, _, client), *later = endpoint.asked
    assert later == [("DeleteMessage", "own eu-west-1", client)] * 2


def test_a_dead_letter_queue_in_another_region_of_ones_own_server(
    pool: Pool, endpoint: Endpoint
) -> None:
    pool.queue.dead_letter(OURS, {})
    pool.keyring.take(SECOND)
    pool.queue.dead_letter(OURS, {})
    assert [(what, who) for what, who, _ in endpoint.asked] == [
        ("GetQueueAttributes", "first eu-west-1"),
        ("GetQueueUrl", "first eu-north-1"),
        ("SendMessage", "first eu-north-1"),
        ("SendMessage", "second eu-north-1"),
    ]


def test_one_at_aws_is_botocores_to_find_with_the_same_keys(place: QueuePlace) -> None:
    at_aws = replace(
        place, endpoint="https://sqs.eu-west-1.amazonaws.com/", given_endpoint=None, url=None
    )
    keyring = Keyring(FIRST)
    address = Address("https://sqs.eu-west-1.amazonaws.com/123456789012/jobs")
    access = PoolAccess(address, replace(at_aws, is_own_server=False), keyring)
    other = access.for_region("us-east-1")
    assert isinstance(other, Sessions)
    assert other.find_endpoint().url == "https://sqs.us-east-1.amazonaws.com/"
    assert other.read_credentials() == FIRST
    keyring.take(SECOND)
    assert other.read_credentials() == SECOND


def test_the_embedded_server_needs_nothing_else(endpoint: Endpoint) -> None:
    address = Address("jobs", "us-east-1", endpoint.url, "fleet", "fleet", direct=True)
    queue = SqsQueue(open_local(address))
    assert (queue.name, queue.url) == ("jobs", "http://q/dlq")
    assert endpoint.asked == [("GetQueueUrl", "fleet us-east-1", "fleet")]
    queue.close()


# Trust.


@pytest.fixture
def authority(endpoint: Endpoint, tmp_path: Path) -> Path:
    """The endpoint speaks TLS; the path is of the one authority that vouches for it."""
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    endpoint.server.socket = context.wrap_socket(endpoint.server.socket, server_side=True)
    path = tmp_path / "authority.pem"
    made.cert_pem.write_to_path(str(path))
    return path


def over_tls(place: QueuePlace, bundle: Path) -> QueuePlace:
    endpoint = place.endpoint.replace("http:", "https:")
    return replace(
        place, endpoint=endpoint, ca_bundle=str(bundle), given_endpoint=endpoint.rstrip("/")
    )


@pytest.mark.parametrize("place", ["our own wire"], indirect=True)
def test_the_bundle_of_the_place_is_trusted(
    endpoint: Endpoint, place: QueuePlace, authority: Path
) -> None:
    pool = Pool(endpoint, over_tls(place, authority))
    pool.queue.delete(OURS)
    pool.queue.close()
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("place", ["our own wire"], indirect=True)
@pytest.mark.usefixtures("authority")
def test_and_no_other(endpoint: Endpoint, place: QueuePlace, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(str(stranger))
    pool = Pool(endpoint, over_tls(place, stranger))
    with pytest.raises(QueueError, match="SSLCertVerificationError"):
        pool.queue.delete(OURS)
    assert endpoint.asked == []


@pytest.mark.parametrize("place", ["our own wire"], indirect=True)
def test_a_bundle_that_has_gone_is_named(endpoint: Endpoint, place: QueuePlace) -> None:
    access = Pool(endpoint, over_tls(place, Path("/no/bundle"))).queue.access
    assert isinstance(access, PoolAccess)
    with pytest.raises(QueueError, match="the CA bundle /no/bundle cannot be used"):
        access.prepare()


@pytest.mark.parametrize("place", ["our own wire"], indirect=True)
def test_queues_with_the_same_bundle_share_what_is_loaded_of_it(
    place: QueuePlace, authority: Path
) -> None:
    """It is a megabyte. Nothing is loaded again for the same places, nor kept after a failure."""
    addresses = [Address(name, "eu-west-1") for name in ("high", "low")]
    places = [replace(over_tls(place, authority), name=each.name) for each in addresses]
    accesses = PoolAccesses(addresses, Keyring(FIRST))
    assert accesses.find(places)
    found = [accesses[0], accesses[1]]
    assert found[0].prepare().tls is found[1].prepare().tls
    assert [each.name for each in found] == ["high", "low"]
    assert not accesses.find(places)
    with pytest.raises(QueueError, match="queue 'low': the CA bundle /no/bundle cannot be used"):
        accesses.find([places[0], replace(places[1], ca_bundle="/no/bundle")])
    assert [accesses[0], accesses[1]] == found


LOADED = """
import sys
from fleet.core.queue import Message, QueueError
from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs import foresight
from fleet.sqs.address import Address
from fleet.sqs.pool_access import Keyring, PoolAccess
from fleet.sqs.queue import SqsQueue
url, transport, *environment = sys.argv[1:]
address = Address("jobs", "eu-west-1", url or None)
foresight.preload(address, transport, dict(each.split("=") for each in environment))
print(*sorted({"ssl", "botocore", "http", "email", "urllib"} & sys.modules.keys()))
"""


def loaded(url: str, transport: str = "auto", *environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", LOADED, url, transport, *environment],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


EVERYTHING = "botocore email http ssl urllib"


@pytest.mark.parametrize(
    ("url", "transport", "environment", "names"),
    [
        ("http://127.0.0.1:1", "auto", [], ""),
        ("https://127.0.0.1:1", "auto", [], "ssl"),
        ("", "auto", [], "ssl"),
        ("", "lean", [], "ssl"),
        ("", "auto", ["AWS_ENDPOINT_URL=http://127.0.0.1:1"], ""),
        ("", "auto", ["AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1"], ""),
        ("", "boto3", [], EVERYTHING),
        ("", "auto", ["HTTPS_PROXY=http://127.0.0.1:2"], EVERYTHING),
        ("", "auto", ["https_proxy=http://127.0.0.1:2"], EVERYTHING),
        ("", "auto", ["http_proxy=http://127.0.0.1:2"], "ssl"),
        ("", "auto", ["HTTPS_PROXY=http://127.0.0.1:2", "NO_PROXY=x, .amazonaws.com"], "ssl"),
        ("", "auto", ["HTTPS_PROXY=http://127.0.0.1:2", "no_proxy=amazonaws.org"], EVERYTHING),
        ("", "auto", ["HTTPS_PROXY=http://127.0.0.1:2", "no_proxy=*"], "ssl"),
        ("http://127.0.0.1:1", "auto", ["HTTP_PROXY=http://127.0.0.1:2"], EVERYTHING),
        (
            "http://127.0.0.1:1",
            "auto",
            ["HTTP_PROXY=http://127.0.0.1:2", "NO_PROXY=127.0.0.1"],
            "",
        ),
    ],
)
def test_a_template_loads_before_the_import_what_calls_will_need(
    url: str, transport: str, environment: list[str], names: str
) -> None:
    assert loaded(url, transport, *environment) == names
