"""The transports against a server that says what a test wants.

It is about connections, errors, TLS, proxies and credentials.
"""

import base64
import calendar
import email.utils
import http.server
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from fleet.core.queue import Message, QueueError, Trouble
from fleet.core.queue_place import Keys
from fleet.sqs import answers, server_clock, stream
from fleet.sqs.address import Address
from fleet.sqs.dns import Addresses
from fleet.sqs.queue import SqsQueue
from fleet.sqs.sessions import Sessions
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import Endpoint as Endpoint_
from fleet.sqs.transport import Unreachable
from fleet.sqs.wire import Wire
from tests.support.eventually import eventually

RECEIVED = {
    "Messages": [
        {
            "MessageId": "m1",
            "ReceiptHandle": "h1",
            "Body": "body",
            "Attributes": {"ApproximateReceiveCount": "2"},
            "MessageAttributes": {
                "text": {"DataType": "String", "StringValue": "ü"},
                "bytes": {
                    "DataType": "Binary",
                    "BinaryValue": base64.b64encode(b"\0\xff").decode(),
                },
            },
        }
    ]
}


class Endpoint:
    """An HTTP server that answers with `status`, `headers` and `text`, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.connections = self.closed = 0
        self.status, self.headers, self.text = 200, dict[str, str](), b"{}"
        self.hang_up = False  # after each answer, without a word of it
        self.cut = False  # hang up before the answer
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                endpoint.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                endpoint.asked.append((self.path, dict(self.headers), json.loads(body)))
                if endpoint.cut:
                    self.close_connection = True
                    return
                self.send_response_only(endpoint.status)
                for name, value in endpoint.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(endpoint.text)))
                self.end_headers()
                self.wfile.write(endpoint.text)
                self.close_connection = endpoint.hang_up

            def log_message(self, *_: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def shutdown_request(self, request: Any) -> None:
                super().shutdown_request(request)
                endpoint.closed += 1

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, found: object) -> None:
        self.text = json.dumps(found).encode()

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
    for name in (
        "AWS_PROFILE",
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)


Open = Callable[..., SqsQueue]


@pytest.fixture
def queue() -> Iterator[Open]:
    """Opens a queue behind an endpoint; its URL needs no look-up."""
    opened: list[SqsQueue] = []

    def open_(url: str, *, keys: bool = True) -> SqsQueue:
        pair = ("key", "secret") if keys else (None, None)
        address = Address(f"{url}/000000000000/jobs", "eu-west-1", url, *pair)
        opened.append(SqsQueue(Sessions(address), short_call=5.0))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_what_is_asked_is_what_botocores_own_client_asks(
    queue: Open, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same calls over a wire, and by botocore's client through a proxy.

    The proxy is the endpoint itself.
    """
    message = Message(
        "m1", "h1", "body", attributes={"b": {"DataType": "Binary", "BinaryValue": b"\0\xff"}}
    )
    policy = {
        "deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:jobs-dlq",
        "maxReceiveCount": "3",
    }

    def call_all(target: SqsQueue) -> list[Any]:
        endpoint.asked.clear()
        attributes = {"RedrivePolicy": json.dumps(policy)}
        attributes |= dict.fromkeys(answers.COUNTS, "1")
        endpoint.answer(
            RECEIVED | {"Attributes": attributes, "QueueUrl": "http://q/dlq", "MessageId": "m2"}
        )
        received = target.receive(0, 20)
        target.extend(message, 60)
        target.release(message, 5)
        target.delete(message)
        target.dead_letter(message, {"FleetDeath": "exit 1"})
        return [received, target.send(["one", "two"]), target.depth()]

    def asked() -> list[tuple[str, Any]]:
        return [(headers["X-Amz-Target"], body) for _, headers, body in endpoint.asked]

    over_wire, first = call_all(queue(endpoint.url)), asked()
    monkeypatch.setenv("http_proxy", endpoint.url)
    through_proxy, second = call_all(queue("http://sqs.example")), asked()
    assert over_wire == through_proxy
    assert [(target, _without_host(body)) for target, body in first] == [
        (target, _without_host(body)) for target, body in second
    ]
    assert len(first) == 9


def _without_host(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "QueueUrl"}


@pytest.mark.parametrize("variable", ["https_proxy", "no_proxy"])
def test_a_proxy_for_something_else_is_no_proxy(
    queue: Open, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "example.com")
    queue(endpoint.url).delete(Message("m", "h", ""))
    assert endpoint.asked[0][1]["User-Agent"].startswith("fleet/")  # not botocore's


def test_requests_are_signed_for_the_region(queue: Open, endpoint: Endpoint) -> None:
    queue(endpoint.url).delete(Message("m", "h", ""))
    path, headers, _ = endpoint.asked[0]
    assert path == "/"
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
    assert "/eu-west-1/sqs/aws4_request" in headers["Authorization"]
    assert headers["User-Agent"].startswith("fleet/")


SEGMENTS = st.sampled_from(["", ".", "..", "a", "a@b", "a%20b", "a+b=c", "~x", "a:b", "q&"])
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(
    host=st.sampled_from(["sqs.eu-west-1.amazonaws.com", "127.0.0.1", "[::1]", "a-b.example"]),
    port=st.none() | st.integers(1024, 65_535),
    segments=st.lists(SEGMENTS, max_size=5),
    secret=PRINTABLE,
    token=st.just("") | PRINTABLE,
    operation=st.sampled_from(["ReceiveMessage", "DeleteMessage"]),
    body=st.binary(max_size=100),
)
def test_a_request_is_signed_as_botocore_signs_it(
    host: str,
    port: int | None,
    segments: list[str],
    secret: str,
    token: str,
    operation: str,
    body: bytes,
) -> None:
    """Host with its port, the token of a session, the path of somebody's own server."""
    keys = Keys("key", secret, token)
    url = f"http://{host}{'' if port is None else f':{port}'}/{'/'.join(segments)}"
    wire = Wire(Endpoint_(url, "eu-west-1", None), lambda: keys, 1, 1)
    written = wire.write_request(operation, body)
    assert written.endswith(b"\r\n\r\n" + body)
    first, *lines = written.removesuffix(body).decode().split("\r\n")[:-2]
    assert first == f"POST /{'/'.join(segments)} HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    signed = ("Content-Type", "X-Amz-Target")
    request = AWSRequest("POST", url, {name: headers[name] for name in signed}, body)
    request.context["timestamp"] = headers["X-Amz-Date"]
    signer = SigV4Auth(ReadOnlyCredentials("key", secret, token or None), "sqs", "eu-west-1")
    signer._modify_request_before_signing(request)
    request.headers.replace_header("X-Amz-Date", headers["X-Amz-Date"])
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")
    assert headers.get("X-Amz-Security-Token", "") == token
    assert headers["Host"] == url.split("/")[2]


def test_requests_are_signed_with_the_keys_as_they_are_now() -> None:
    """What is remembered of one session's token is not sent with another one's keys."""
    keys = [Keys("first", "s", "token-1"), Keys("second", "s", "token-2"), Keys("third", "s")]
    current = iter(keys)
    wire = Wire(Endpoint_("http://127.0.0.1/", "x", None), lambda: next(current), 1, 1)
    for each in keys:
        request = wire.write_request("DeleteMessage", b"{}").decode()
        assert f"Credential={each.access_key}/" in request
        assert re.findall(r"\r\nX-Amz-Security-Token: (.*)\r\n", request) == [
            token for token in [each.token] if token
        ]


@pytest.mark.parametrize(
    ("url", "region", "keys"),
    [
        ("http://127.0.0.1/", "x", Keys("key\r\nX-Other: y", "s")),
        ("http://127.0.0.1/", "x", Keys("key", "s", "token\n")),
        ("http://127.0.0.1/", "x", Keys("kéy", "s")),
        ("http://127.0.0.1/a b", "x", Keys("key", "s")),
        ("http://127.0.0.1/ü", "x", Keys("key", "s")),
        ("http://127.0.0.1/", "x\r\n", Keys("key", "s")),
    ],
)
def test_what_would_not_stay_in_its_line_is_not_sent(url: str, region: str, keys: Keys) -> None:
    wire = Wire(Endpoint_(url, region, None), lambda: keys, 1, 1)
    for _ in range(2):  # nor the second time
        with pytest.raises(Unreachable, match="has a character that no HTTP header can have"):
            wire.write_request("DeleteMessage", b"{}")


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://127.0.0.1:9324/", ("127.0.0.1", 9324)),
        ("http://127.0.0.1", ("127.0.0.1", 80)),
        ("http://[::1]:9324/x", ("::1", 9324)),
        ("http://[::1]/", ("::1", 80)),
    ],
)
def test_where_an_endpoint_is(
    url: str, where: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def connect(name: str, port: int, *_: object) -> None:
        asked.append((name, port))
        raise ConnectionRefusedError

    monkeypatch.setattr("fleet.sqs.wire.connect", connect)
    with pytest.raises(Unreachable):
        Wire(Endpoint_(url, "x", None), lambda: Keys("k", "s"), 1, 1).call("X", {})
    assert asked == [where]


def test_binary_attributes_arrive_as_bytes(queue: Open, endpoint: Endpoint) -> None:
    endpoint.answer(RECEIVED)
    message = queue(endpoint.url).receive(0, 20)
    assert message is not None
    assert message.attributes["bytes"]["BinaryValue"] == b"\0\xff"
    assert message.attempt == 2


def test_the_connection_is_kept(queue: Open, endpoint: Endpoint) -> None:
    target = queue(endpoint.url)
    for _ in range(3):
        target.delete(Message("m", "h", ""))
    assert endpoint.connections == 1


def test_a_connection_that_the_server_closed_is_made_anew(queue: Open, endpoint: Endpoint) -> None:
    target = queue(endpoint.url)
    endpoint.hang_up = True
    for _ in range(3):
        target.delete(Message("m", "h", ""))
        eventually(lambda: endpoint.closed == endpoint.connections, what="the server's hanging up")
    assert endpoint.connections == 3


@pytest.mark.parametrize("through", ["our own wire", "botocore's client"])
@pytest.mark.parametrize(
    ("status", "headers", "text", "trouble", "said"),
    [
        (
            400,
            {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
            b"{}",
            Trouble.GONE,
            "not exist",
        ),
        (400, {}, b'{"__type": "com.amazonaws.sqs#QueueDoesNotExist"}', Trouble.GONE, "not exist"),
        (
            400,
            {},
            b'{"__type": "com.amazonaws.sqs#ReceiptHandleIsInvalid"}',
            Trouble.MESSAGE,
            "ReceiptHandleIsInvalid",
        ),
        (
            400,
            {},
            b'{"__type": "com.amazon.coral.service#ExpiredTokenException"}',
            Trouble.SESSION,
            "ExpiredToken",
        ),
        (
            403,
            {},
            b'{"__type": "x#AccessDeniedException"}',
            Trouble.DENIED,
            "denied.*needs sqs:DeleteMessage",
        ),
        (
            403,
            {},
            b"<html>the gateway says no",
            Trouble.PASSING,
            "403, from something that is not SQS",
        ),
        (302, {}, b"", Trouble.PASSING, "302, from something that is not SQS"),
        (429, {}, b"slow down", Trouble.PASSING, "429"),
        (503, {}, b"<html>", Trouble.PASSING, "503"),
        (500, {}, b"[1]", Trouble.PASSING, "500"),
        (400, {}, b'{"__type": "x#RequestThrottled"}', Trouble.PASSING, "RequestThrottled"),
        (
            403,
            {},
            b'{"__type": "x#InvalidSignatureException"}',
            Trouble.SESSION,
            "InvalidSignature",
        ),  # our clock is wrong
        (403, {"x-amzn-query-error": "OverLimit;Sender"}, b"{}", Trouble.PASSING, "OverLimit"),
        (400, {}, b'{"__type": "x#RequestAbortedException"}', Trouble.PASSING, "RequestAborted"),
        (408, {}, b'{"__type": "x#RequestTimeoutException"}', Trouble.PASSING, "RequestTimeout"),
        (418, {}, b"\xff\xfe", Trouble.PASSING, "418"),
        (418, {}, b'{"__type": "x#Teapot"}', Trouble.PASSING, "Teapot"),
        (200, {}, b"not json", Trouble.PASSING, "no usable answer"),
        (200, {}, b'["a list"]', Trouble.PASSING, "no usable answer"),
    ],
)
def test_an_answer_that_is_an_error(
    queue: Open,
    endpoint: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    through: str,
    status: int,
    headers: dict[str, str],
    text: bytes,
    trouble: Trouble,
    said: str,
) -> None:
    if through == "botocore's client":
        monkeypatch.setenv("HTTP_PROXY", endpoint.url)
    endpoint.status, endpoint.headers, endpoint.text = status, headers, text
    with pytest.raises(QueueError, match=said) as caught:
        queue(endpoint.url).delete(Message("m", "h", "secret"))
    assert caught.value.trouble is trouble
    assert not caught.value.unanswered
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("minutes", [-20, 7])
def test_a_clock_that_is_off_is_put_right_by_the_refusal(
    queue: Open, endpoint: Endpoint, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call, of a new session too, is signed with the server's time."""
    monkeypatch.setattr(server_clock, "_offset", 0.0)
    date = email.utils.formatdate(time.time() + 60 * minutes, usegmt=True)
    endpoint.status, endpoint.headers = 403, {"Date": date}
    endpoint.answer({"__type": "x#InvalidSignatureException"})
    with pytest.raises(QueueError, match=f"clock is {abs(minutes)} min"):
        queue(endpoint.url).delete(Message("m", "h", ""))
    endpoint.status, endpoint.headers = 200, {}
    endpoint.answer({})
    queue(endpoint.url).delete(Message("m", "h", ""))
    _, headers, _ = endpoint.asked[-1]
    signed = calendar.timegm(time.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
    assert abs(signed - time.time() - 60 * minutes) < 30


@pytest.mark.parametrize("code", ["AccessDeniedException", "x#ReceiptHandleIsInvalid"])
def test_another_refusal_says_nothing_of_the_clock(
    queue: Open, endpoint: Endpoint, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_clock, "_offset", 0.0)
    endpoint.status, endpoint.headers = 403, {"Date": email.utils.formatdate(0, usegmt=True)}
    endpoint.answer({"__type": code})
    with pytest.raises(QueueError):
        queue(endpoint.url).delete(Message("m", "h", ""))
    assert server_clock._offset == 0.0


@pytest.mark.parametrize("through", ["our own wire", "botocore's client"])
@pytest.mark.parametrize("status", [408, 502, 504])
def test_a_gateway_that_waits_no_longer_has_passed_the_call_on(
    queue: Open, endpoint: Endpoint, through: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS does not know that nobody listens. Its own error of that status is its answer."""
    endpoint.status, endpoint.text = status, b"<html>"
    if through == "botocore's client":
        monkeypatch.setenv("HTTP_PROXY", endpoint.url)
    target = queue(endpoint.url)
    with pytest.raises(QueueError, match=str(status)) as caught:
        target.receive(0, 20)
    assert (caught.value.unanswered, caught.value.answered) == (True, True)
    endpoint.answer({"__type": "x#InternalError"})
    with pytest.raises(QueueError, match="InternalError") as caught:
        target.receive(0, 20)
    assert (caught.value.unanswered, caught.value.answered) == (False, True)


@pytest.mark.parametrize("through", ["our own wire", "botocore's client"])
def test_a_call_that_was_cut_may_be_going_on(
    queue: Open, endpoint: Endpoint, through: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.cut = True
    if through == "botocore's client":
        monkeypatch.setenv("HTTP_PROXY", endpoint.url)
    with pytest.raises(QueueError, match=r"no usable answer|ProxyConnectionError") as caught:
        queue(endpoint.url).receive(0, 20)
    assert caught.value.trouble is Trouble.PASSING
    assert (caught.value.unanswered, caught.value.answered) == (True, False)
    assert len(endpoint.asked) == 1


def test_nobody_there(queue: Open) -> None:
    with socket.socket() as bound:  # and not listening: the port is nobody else's meanwhile
        bound.bind(("127.0.0.1", 0))
        target = queue(f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(QueueError, match="cannot be reached") as caught:
            target.delete(Message("m", "h", ""))
    assert caught.value.trouble is Trouble.PASSING
    assert (caught.value.unanswered, caught.value.answered) == (False, False)


def test_a_name_that_nobody_knows(endpoint: Endpoint, queue: Open) -> None:
    def resolve(*_: object) -> Addresses:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    target = SqsQueue(
        queue(endpoint.url).access, endpoint.url + "/1/jobs", options=ConnectOptions(resolve)
    )
    with pytest.raises(QueueError, match=r"cannot be reached \(its name cannot be looked up\)"):
        target.delete(Message("m", "h", ""))


def test_one_of_several_addresses_that_answers(endpoint: Endpoint) -> None:
    """Each step of making a connection is followed by a heartbeat."""
    said: list[str] = []
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        found = [
            (socket.AF_INET, bound.getsockname()),
            (socket.AF_INET, ("127.0.0.1", endpoint.server.server_port)),
        ]

        def resolve(host: str, port: int, seconds: float) -> Addresses:
            said.append(f"{host} {port} {seconds:g}")
            return found

        address = Address(
            "http://queue.test:1234/000000000000/jobs",
            "eu-west-1",
            "http://queue.test:1234",
            "k",
            "s",
        )
        target = SqsQueue(
            Sessions(address),
            short_call=5.0,
            options=ConnectOptions(resolve, lambda: said.append("heartbeat")),
        )
        target.delete(Message("m", "h", ""))
        target.close()
    assert said == ["heartbeat", "queue.test 1234 5", "heartbeat", "heartbeat"]
    assert [headers["Host"] for _, headers, _ in endpoint.asked] == ["queue.test:1234"]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_several_addresses_that_are_silent_take_no_longer_than_one(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Time is what connecting takes here."""
    spent = [0.0]

    class Silent(socket.socket):
        def connect(self, _address: object) -> None:
            spent.append(self.gettimeout() or 0.0)
            raise TimeoutError

    monkeypatch.setattr(socket, "socket", Silent)
    with pytest.raises(TimeoutError):
        stream.connect_to_first(
            [(socket.AF_INET, ("192.0.2.1", 80))] * count, 5.0, lambda: sum(spent)
        )
    assert spent[1:] == pytest.approx([5.0 / count] * count)


def test_a_name_without_an_address() -> None:
    with pytest.raises(OSError, match="no address"):
        stream.connect_to_first([], 5.0)


def test_without_credentials(queue: Open, endpoint: Endpoint) -> None:
    with pytest.raises(QueueError, match="no AWS credentials") as caught:
        queue(endpoint.url, keys=False).delete(Message("m", "h", ""))
    assert caught.value.trouble is Trouble.SESSION
    assert endpoint.asked == []


def test_credentials_that_appear_are_found_after_a_renewal(
    queue: Open, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = queue(endpoint.url, keys=False)
    with pytest.raises(QueueError):
        target.delete(Message("m", "h", ""))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "late")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    target.renew()
    target.delete(Message("m", "h", ""))
    assert "Credential=late/" in endpoint.asked[0][1]["Authorization"]


def test_credentials_that_expire_are_renewed(
    queue: Open, endpoint: Endpoint, tmp_path: Path
) -> None:
    """A credential process whose keys are good for a minute only: each call asks it again."""
    script = tmp_path / "keys"
    script.write_text(
        "#!/bin/sh\n"
        f'echo x >>"{tmp_path}/asked"; n=$(wc -l <"{tmp_path}/asked"); n=$((n))\n'
        "until=$(date -u -d '+60 seconds' +%Y-%m-%dT%H:%M:%SZ)\n"
        """printf '{"Version":1,"AccessKeyId":"key%s","SecretAccessKey":"s",'"""
        """'"SessionToken":"t%s","Expiration":"%s"}' """
        '"$n" "$n" "$until"\n'
    )
    script.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    target = queue(endpoint.url, keys=False)
    for _ in range(2):
        target.delete(Message("m", "h", ""))
    tokens = [headers["X-Amz-Security-Token"] for _, headers, _ in endpoint.asked]
    assert len(set(tokens)) == 2


@pytest.mark.parametrize("through", ["our own wire", "botocore's client"])
def test_a_credential_process_that_fails_is_no_refusal_of_sqss(
    queue: Open, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str
) -> None:
    """Its own words are told, and it heals with a new session."""
    script = tmp_path / "keys"
    script.write_text("#!/bin/sh\necho 'the vault is sealed' >&2\nexit 1\n")
    script.chmod(0o700)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    if through == "botocore's client":
        monkeypatch.setenv("HTTP_PROXY", endpoint.url)
    target = queue(endpoint.url, keys=False)
    with pytest.raises(QueueError, match=r"no AWS credentials.*the vault is sealed") as caught:
        target.delete(Message("m", "h", ""))
    assert caught.value.trouble is Trouble.SESSION
    assert not caught.value.unanswered
    assert endpoint.asked == []
    script.write_text(
        """#!/bin/sh\necho '{"Version":1,"AccessKeyId":"k","SecretAccessKey":"s"}'\n"""
    )
    target.renew()
    target.delete(Message("m", "h", ""))
    assert len(endpoint.asked) == 1


def test_a_token_service_that_does_not_answer_is_asked_once(
    queue: Open, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dispatcher with a job in hand must not wait as long as botocore does.

    The caller asks again itself.
    """
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/jobs")
    with socket.create_server(("127.0.0.1", 0)) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{service.getsockname()[1]}")
        asked: list[str] = []

        def hang_up() -> None:
            while True:
                end, _ = service.accept()
                with end:
                    if not (said := end.recv(9)):
                        return
                    asked.append(said.decode())

        thread = threading.Thread(target=hang_up)
        thread.start()
        try:
            with pytest.raises(QueueError) as caught:
                queue(endpoint.url, keys=False).delete(Message("m", "h", ""))
        finally:
            socket.create_connection(service.getsockname()).close()
            thread.join()
    assert asked == ["POST / HT"]
    assert caught.value.trouble in (Trouble.PASSING, Trouble.SESSION)
    assert endpoint.asked == []


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


def test_tls_with_an_authority_of_ones_own(
    queue: Open, endpoint: Endpoint, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    target = queue(endpoint.url.replace("http:", "https:"))
    for _ in range(2):
        target.delete(Message("m", "h", ""))
    assert len(endpoint.asked) == 2
    assert endpoint.connections == 1


@pytest.mark.usefixtures("authority")
def test_tls_that_nobody_vouches_for(queue: Open, endpoint: Endpoint) -> None:
    with pytest.raises(QueueError, match="SSLCertVerificationError") as caught:
        queue(endpoint.url.replace("http:", "https:")).delete(Message("m", "h", ""))
    assert caught.value.trouble is Trouble.PASSING
    assert endpoint.asked == []
