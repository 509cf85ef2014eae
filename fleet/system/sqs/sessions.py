"""Where the queue is, and clients for it: region, credentials, endpoint, time-outs."""

import difflib
import re
from dataclasses import dataclass, field
from typing import Any

from fleet.core.messages import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.system.sqs.errors import classified

SHORT_CALL = 5.0  # seconds, at most
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


def region_trouble(region: str | None) -> str | None:
    """What is wrong with a region's name, with the closest ones that exist; None if it is good."""
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
        except ValueError as error:  # not a URL
            raise QueueError(Trouble.USAGE, f"queue {self.address.name!r}: {error}") from None
        except Exception as error:  # noqa: BLE001 - botocore has no common base for what can be wrong here
            raise classified(error, self.address.name, self.address.endpoint_url) from None
