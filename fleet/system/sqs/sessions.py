"""Where the queue is, and lines to it: region, credentials, endpoint, time-outs, proxies."""

import difflib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from fleet.core.messages import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.system.sqs.errors import classified
from fleet.system.sqs.proxied import Client
from fleet.system.sqs.wire import Means, NoKeys, Site, Wire, rehearse

SHORT_CALL = 5.0  # seconds, at most
KEYS_CALL = 3.0  # seconds: a call for credentials; a dispatcher may have to renew them with a job in hand
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
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        parts = session.get_available_partitions()
        known = sorted({name for part in parts for name in session.get_available_regions("sqs", part)})
    except BotoCoreError:  # no such profile, a file that cannot be parsed: the first call says it
        return None
    if region is None or region in known:
        return None
    close = difflib.get_close_matches(region, known, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else f"; {len(known)} are known, us-east-1 for one"
    return f"unknown region {region!r}{hint}"


class Line(Protocol):
    """A way to ask SQS for something, once."""

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members; raises what errors.py can classify."""

    def close(self) -> None:
        """Hang up."""

    def forget(self) -> None:
        """It is another process's: its connection is left alone."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep, as far as it is known."""


class Sessions:
    """Makes lines to one address. Holds data files and what follows from them; no connection, no credentials."""

    def __init__(self, address: Address, site: Site | None = None) -> None:
        import botocore.session
        from botocore.config import Config

        self.address, self._site = address, site
        self._config = Config
        self._session = botocore.session.Session()
        # For the clients that it makes to get credentials: its own patience is 60 s, five times over.
        once = Config(connect_timeout=KEYS_CALL, read_timeout=KEYS_CALL, retries={"total_max_attempts": 1})
        self._session.set_default_client_config(once)
        if address.access_key:
            self._session.set_credentials(address.access_key, address.secret_key)

    def prepare(self) -> None:
        """Before a fork: load what all children need. What is wrong is said when it is needed.

        Neither connects nor looks for credentials, which may ask the network: the chain of those who may have them is
        made, and asked by each child. Without this a dispatcher's first call costs about 5 ms of CPU more.
        """
        from botocore.exceptions import BotoCoreError

        try:
            self.line(1, 1)
            self._session.get_component("credential_provider")
        except (QueueError, BotoCoreError):
            return
        if self._site:
            rehearse(self._site)

    def renewed(self) -> "Sessions":
        """A new session: a failed credential look-up is remembered by the old one for ever."""
        return Sessions(self.address, self._site)

    @property
    def region(self) -> str | None:
        """The region: as given, as boto3 finds it, as the queue's URL says. Raises QueueError."""
        from botocore.exceptions import BotoCoreError

        try:
            region: str | None = self.address.region or self._session.get_config_variable("region")
        except BotoCoreError as error:
            raise classified(error, self.address.name, self.address.endpoint_url) from None
        if not region and self.address.is_url:
            found = _REGION.search(self.address.queue)
            region = found and found.group()
        if not region and self.address.endpoint_url:
            region = "us-east-1"  # an endpoint of one's own needs a name to sign with, no more
        return region

    def line(self, read_timeout: float, connect_timeout: float = SHORT_CALL, means: Means | None = None) -> Line:
        """A line of its own, with one connection, made at the first call. Raises QueueError."""
        try:
            site = self._site = self._site or self._found()
            if site.proxied:
                return Client(self._client(read_timeout, connect_timeout), self._keys, read_timeout)
            return Wire(site, self._keys, read_timeout, connect_timeout, means)
        except ValueError as error:  # not a URL
            raise QueueError(Trouble.USAGE, f"queue {self.address.name!r}: {error}") from None
        except Exception as error:  # noqa: BLE001 - botocore has no common base for what can be wrong here
            raise classified(error, self.address.name, self.address.endpoint_url) from None

    def _found(self) -> Site:
        """Where botocore would send requests: its rules for regions, partitions and endpoints are its own."""
        from botocore.utils import get_environ_proxies

        client = self._client(1, 1, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106 - asks nobody
        url = client.meta.endpoint_url
        proxy = get_environ_proxies(url).get(urlsplit(url).scheme)
        return Site(url, client.meta.region_name, self._trust() if url.startswith("https:") else None, bool(proxy))

    def _trust(self) -> ssl.SSLContext:
        """AWS_CA_BUNDLE or the profile's ca_bundle, else the authorities that botocore trusts."""
        from botocore.httpsession import get_cert_path

        bundle = self._session.get_config_variable("ca_bundle") or get_cert_path(True)
        try:
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:  # ssl's own errors are such, too
            text = f"queue {self.address.name!r}: the CA bundle {bundle} cannot be used ({error.strerror or error})"
            raise QueueError(Trouble.USAGE, text) from None

    def _keys(self) -> Any:
        """The credentials as they are now; those that expire are renewed by botocore in time. Raises NoKeys."""
        from botocore.exceptions import NoCredentialsError

        try:
            credentials = self._session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials.get_frozen_credentials()
        except Exception as error:  # files, processes and services of all kinds stand behind it
            raise NoKeys from error

    def _client(self, read_timeout: float, connect_timeout: float, **keys: str) -> Any:
        config = self._config(
            read_timeout=read_timeout,
            connect_timeout=connect_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=1,
            tcp_keepalive=True,
            parameter_validation=False,
            user_agent_extra="fleet",
        )
        return self._session.create_client(
            "sqs", region_name=self.region, endpoint_url=self.address.endpoint_url, config=config, **keys
        )
