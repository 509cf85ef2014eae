"""Amazon SQS behind the `Queue` seam: the sole importer of boto3, and only when it is used.

Two clients: one for the long poll, whose read time-out is longer than any wait (a shorter one makes botocore
ask again, and every abandoned try can swallow a message), and one for the short calls, which the callers
repeat themselves. Both try once. They are made after the fork, from data files that `preload` read before it.
"""

import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.core.books import Depth
from fleet.core.messages import Plan
from fleet.core.queue import Message, QueueError, Trouble

READ_MARGIN = 10.0  # seconds on top of the wait time
SHORT_CALL = 5.0  # seconds, at most
_RETRYABLE = re.compile(r"Throttl|TooManyRequests|RequestLimit|SlowDown|ServiceUnavailable|Internal", re.IGNORECASE)
_DENIED = re.compile(r"AccessDenied|Forbidden|NotAuthorized|AuthFailure|OptInRequired|KmsAccessDenied", re.IGNORECASE)
_CREDENTIALS = re.compile(
    r"ExpiredToken|RequestExpired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId|SignatureDoesNotMatch"
)
_HANDLE = re.compile(r"ReceiptHandle|MessageNotInflight|InvalidParameterValue")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the queue is. `queue` is a name or a URL; None for the rest means boto3's own choice."""

    queue: str
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The queue's name: the URL's last segment."""
        return self.queue.rstrip("/").rsplit("/", 1)[-1]

    @property
    def is_url(self) -> bool:
        """Whether the queue was given as a URL."""
        return "://" in self.queue


def address(plan: Plan) -> Address:
    """Where the plan's queue is."""
    return Address(plan.queue, plan.region, plan.endpoint_url, plan.access_key, plan.secret_key)


@dataclass(frozen=True, slots=True)
class Redrive:
    """A queue's redrive policy."""

    dead_letter_arn: str
    max_receive_count: int


def region_trouble(region: str | None) -> str | None:
    """What is wrong with a region's name, with the closest ones that exist; None if it is good."""
    import difflib

    from botocore.session import Session

    session = Session()
    known = sorted(
        {name for part in session.get_available_partitions() for name in session.get_available_regions("sqs", part)}
    )
    if region is None or region in known:
        return None
    close = difflib.get_close_matches(region, known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; {len(known)} are known, us-east-1 for one"
    return f"unknown region {region!r}{hint}"


class Sessions:
    """Makes clients for one address. Holds the data files, no connection, until `clients` is called."""

    def __init__(self, address: Address) -> None:
        import botocore.session
        from botocore.config import Config

        self.address = address
        self._config = Config
        self._session = botocore.session.Session()
        loader = self._session.get_component("data_loader")
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model("sqs", kind)
        for name in ("endpoints", "partitions", "sdk-default-configuration", "_retry"):
            loader.load_data(name)
        if address.access_key:
            self._session.set_credentials(address.access_key, address.secret_key)

    @property
    def region(self) -> str | None:
        """The region: as given, as boto3 finds it, as the queue's URL says."""
        region: str | None = self.address.region or self._session.get_config_variable("region")
        if not region and self.address.is_url:
            found = _REGION.search(self.address.queue)
            region = found and found.group()
        if not region and self.address.endpoint_url:
            region = "us-east-1"  # an endpoint of one's own needs a name to sign with, no more
        return region

    def client(self, read_timeout: float, connect_timeout: float = SHORT_CALL) -> Any:
        """A new SQS client with one connection. Raises QueueError."""
        config = self._config(
            read_timeout=read_timeout,
            connect_timeout=connect_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=1,
            tcp_keepalive=True,
            parameter_validation=False,
            user_agent_extra="fleet",
        )
        try:
            return self._session.create_client(
                "sqs", region_name=self.region, endpoint_url=self.address.endpoint_url, config=config
            )
        except Exception as error:  # noqa: BLE001 - botocore has no common base for what can be wrong here
            raise classified(error, self.address) from None


class SqsQueue:
    """One queue, through boto3. `url` is looked up at the first call if it is not given."""

    def __init__(
        self,
        sessions: Sessions,
        url: str | None = None,
        wait_time: float = 20.0,
        short_call: float = SHORT_CALL,
    ):
        self._sessions = sessions
        self._url = url or (sessions.address.queue if sessions.address.is_url else None)
        self._wait_time, self._short_call = wait_time, short_call
        self._long: Any = None
        self._short: Any = None

    @property
    def url(self) -> str:
        """The queue's URL. Raises QueueError when it cannot be found."""
        if self._url is None:
            self._url = self._call("get_queue_url", QueueName=self._sessions.address.name)["QueueUrl"]
        return self._url

    @property
    def region(self) -> str | None:
        """The region that requests are signed for."""
        return self._sessions.region

    def renew(self) -> None:
        """Forget session and clients: a failed credential look-up is remembered by botocore for ever."""
        self._sessions = Sessions(self._sessions.address)
        self._long = self._short = None

    def receive(self, wait: float, visibility: float) -> Message | None:
        """See core/queue.py."""
        if self._long is None:
            self._long = self._sessions.client(self._wait_time + READ_MARGIN)
        answer = self._ask(
            self._long.receive_message,
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=math.ceil(wait),
            VisibilityTimeout=math.ceil(visibility),
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        found = answer.get("Messages")
        return _message(found[0]) if found else None

    def extend(self, message: Message, seconds: int) -> None:
        """See core/queue.py."""
        self._visibility(message, seconds)

    def release(self, message: Message, delay: int = 0) -> None:
        """See core/queue.py."""
        self._visibility(message, delay)

    def _visibility(self, message: Message, seconds: int) -> None:
        self._call(
            "change_message_visibility",
            QueueUrl=self.url,
            ReceiptHandle=message.handle,
            VisibilityTimeout=seconds,
        )

    def delete(self, message: Message) -> None:
        """See core/queue.py."""
        self._call("delete_message", QueueUrl=self.url, ReceiptHandle=message.handle)

    def send(self, bodies: list[str]) -> int:
        """Send up to ten messages; returns how many SQS took. Raises QueueError when it refuses any."""
        entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]
        if self.url.endswith(".fifo"):
            for entry in entries:
                entry["MessageGroupId"] = "fleet"
        answer = self._call("send_message_batch", QueueUrl=self.url, Entries=entries)
        for refused in answer.get("Failed", []):
            raise QueueError(
                Trouble.FINAL,
                f"queue {self._sessions.address.name!r} refused a message: {refused.get('Code')}",
            )
        return len(answer["Successful"])

    def depth(self) -> Depth:
        """See core/queue.py."""
        found = self.attributes(
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        )
        return Depth(
            *(int(found.get(f"ApproximateNumberOfMessages{kind}", 0)) for kind in ("", "NotVisible", "Delayed"))
        )

    def redrive(self) -> Redrive | None:
        """The redrive policy; None without one."""
        policy = self.attributes("RedrivePolicy").get("RedrivePolicy")
        if not policy:
            return None
        read = json.loads(policy)
        return Redrive(read["deadLetterTargetArn"], int(read["maxReceiveCount"]))  # a number or its text

    def max_receive_count(self) -> int | None:
        """See core/queue.py."""
        policy = self.redrive()
        return policy.max_receive_count if policy else None

    def attributes(self, *names: str) -> dict[str, str]:
        """Attributes of the queue, those it has."""
        found: dict[str, str] = self._call("get_queue_attributes", QueueUrl=self.url, AttributeNames=list(names)).get(
            "Attributes", {}
        )
        return found

    def create(self, attributes: dict[str, str]) -> None:
        """Make the queue if it is missing; one that is there keeps its attributes."""
        try:
            self._url = self._call("get_queue_url", QueueName=self._sessions.address.name)["QueueUrl"]
        except QueueError as error:
            if error.trouble is not Trouble.FINAL:
                raise
            made = self._call("create_queue", QueueName=self._sessions.address.name, Attributes=attributes)
            self._url = made["QueueUrl"]

    def _call(self, operation: str, **arguments: Any) -> Any:
        if self._short is None:
            self._short = self._sessions.client(self._short_call, self._short_call)
        return self._ask(getattr(self._short, operation), **arguments)

    def _ask(self, call: Any, **arguments: Any) -> Any:
        try:
            return call(**arguments)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is told apart in one place
            raise classified(error, self._sessions.address) from None


def make_with_dead_letter_queue(address: Address) -> None:
    """Make the queue and its dead-letter queue `NAME-dlq` (maxReceiveCount 3) if they are missing."""
    fifo = address.name.endswith(".fifo")
    base = address.name.removesuffix(".fifo")
    kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} if fifo else {}
    dead_letters = SqsQueue(Sessions(replace(address, queue=f"{base}-dlq{'.fifo' if fifo else ''}")))
    dead_letters.create(kind)
    arn = dead_letters.attributes("QueueArn")["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "3"})
    SqsQueue(Sessions(address)).create(kind | {"RedrivePolicy": policy})


def _message(raw: dict[str, Any]) -> Message:
    system = raw.get("Attributes", {})
    return Message(
        id=raw["MessageId"],
        handle=raw["ReceiptHandle"],
        body=raw["Body"],
        attempt=int(system.get("ApproximateReceiveCount", 1)),
        attributes=raw.get("MessageAttributes", {}),
        system_attributes=system,
    )


def classified(error: Exception, address: Address) -> QueueError:
    """What an exception of botocore's means; its text names the queue and what to do, and no body."""
    from botocore import exceptions as e

    name = f"queue {address.name!r}"
    where = address.endpoint_url or "SQS"
    match error:
        case QueueError():
            return error
        case e.ClientError():
            return _refusal(error.response, name)
        case (
            e.NoCredentialsError()
            | e.PartialCredentialsError()
            | e.CredentialRetrievalError()
            | e.TokenRetrievalError()
        ):
            return QueueError(
                Trouble.SESSION, f"{name}: no AWS credentials found (environment, profile or instance role)"
            )
        case e.ProfileNotFound():
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case ValueError():
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case e.NoRegionError():
            return QueueError(Trouble.USAGE, f"{name}: no region given; use --region or AWS_DEFAULT_REGION")
        case e.InvalidRegionError() | e.EndpointProviderError():
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case e.EndpointConnectionError() | e.ConnectTimeoutError() | e.SSLError() | e.ProxyConnectionError():
            return QueueError(Trouble.PASSING, f"{name}: {where} cannot be reached ({type(error).__name__})")
        case e.HTTPClientError() | e.ResponseParserError():
            return QueueError(Trouble.PASSING, f"{name}: no usable answer from {where} ({type(error).__name__})")
        case _:
            return QueueError(Trouble.PASSING, f"{name}: {type(error).__name__}")


def _refusal(response: Any, name: str) -> QueueError:
    """SQS answered, and the answer was no."""
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return QueueError(Trouble.FINAL, f"{name} does not exist; create it, or check --queue and --region")
    if _CREDENTIALS.search(code):
        return QueueError(Trouble.SESSION, f"{name}: SQS does not accept the credentials ({code})")
    if _DENIED.search(code) or status == 403:
        return QueueError(Trouble.FINAL, f"{name}: access denied ({code}); the role needs sqs:ReceiveMessage and more")
    if _RETRYABLE.search(code) or status >= 500 or status == 429:
        return QueueError(Trouble.PASSING, f"{name}: SQS answers {code or status}")
    if _HANDLE.search(code):
        return QueueError(Trouble.MESSAGE, f"{name}: {code}")
    return QueueError(Trouble.FINAL, f"{name}: SQS refuses the call ({code or status})")
