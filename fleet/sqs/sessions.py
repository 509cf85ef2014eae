"""From the address of a queue to transports: region, credentials, endpoint, time-outs, proxies.

The sole place that asks botocore for them. In a pool that is done by a process that ends then
(fleet/scout/resolver.py).

docs/decisions/0016 has the reasons.
"""

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys
from fleet.sqs import credentials
from fleet.sqs.address import Address
from fleet.sqs.borrowed_session import BorrowedSession
from fleet.sqs.botocore_transport import BotocoreTransport
from fleet.sqs.errors import classify
from fleet.sqs.queue_location import QueueLocation, locate
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL, Endpoint, Transport
from fleet.sqs.trust import trust
from fleet.sqs.wire import Wire

SIGNATURE = "v4"  # what wire.py knows, as botocore calls it
# Seconds: a call for credentials; a dispatcher may have to renew them with a job in hand.
CREDENTIALS_CALL = 3.0
FIRST_REGION = "us-east-1"
# Around the names of some regions: botocore takes it for a wish.
FIPS_BEFORE, FIPS_BEHIND = "fips-", "-fips"


class Sessions:
    """Access (access.py) to the queue of one address, by one session of botocore's.

    Holds data files and what follows from them; no connection, and no credentials.
    """

    def __init__(
        self,
        address: Address,
        endpoint: Endpoint | None = None,
        borrowed: BorrowedSession | None = None,
    ) -> None:
        import botocore.session
        from botocore.config import Config

        self.address, self._endpoint, self._borrowed = address, endpoint, borrowed
        self._is_chain_ready = borrowed is not None
        self._config = Config
        self._session = botocore.session.Session(profile=borrowed and borrowed.profile)
        # For the clients that it makes to get credentials: its own patience is 60 s, five times
        # over.
        once = Config(
            connect_timeout=CREDENTIALS_CALL,
            read_timeout=CREDENTIALS_CALL,
            retries={"total_max_attempts": 1},
        )
        self._session.set_default_client_config(once)
        if address.access_key:
            self._session.set_credentials(address.access_key, address.secret_key)
        elif borrowed:
            self._session.register_component("credential_provider", borrowed)

    def prepare(self) -> None:
        """Before a fork: load what all children need. What is wrong is said when it is needed.

        It neither connects nor looks for credentials, which may ask the network: the chain of
        providers is made, and asked by each child.
        """
        from botocore.exceptions import BotoCoreError

        try:
            self.make_transport(1, 1)
            self._prepare_chain()
        except (QueueError, BotoCoreError):
            return

    def renew(self) -> "Sessions":
        """A new session: the old one remembers a failed credential look-up for ever."""
        return Sessions(self.address, self._endpoint, self._borrowed)

    def for_region(self, region: str) -> "Sessions":
        """A session for another region.

        At an SQS server of one's own the endpoint is the same, at AWS it is that region's.
        """
        endpoint_url = self.endpoint_url if self.is_own_server else None
        address = replace(
            self.address, queue=self.location.name, region=region, endpoint_url=endpoint_url
        )
        return Sessions(address, borrowed=self._borrowed)

    @functools.cached_property
    def location(self) -> QueueLocation:
        """Where the queue is, by the way it is named.

        Raises QueueError for what names no queue, or contradicts the region given.
        """
        from botocore.exceptions import BotoCoreError

        address = self.address
        try:
            data = self._session.get_component("data_loader").load_data("partitions")
            location = locate(
                address.queue, data["partitions"], any_partition=address.endpoint_url is not None
            )
        except BotoCoreError as error:  # where its data lies may be configured
            raise classify(error, address.name, address.endpoint_url) from None
        except ValueError as error:
            raise QueueError(Trouble.USAGE, f"queue {address.queue!r}: {error}") from None
        given = (address.region or "").removeprefix(FIPS_BEFORE).removesuffix(FIPS_BEHIND)
        if given and location.region and given != location.region:
            what = "ARN" if location.account else "URL"
            raise QueueError(
                Trouble.USAGE,
                f"queue {address.queue!r}: its {what} says region {location.region}, "
                f"and --region {given}; leave --region away, or name the queue that is meant",
            )
        return location

    @property
    def name(self) -> str:
        """See access.py."""
        return self.address.name

    @property
    def url(self) -> str | None:
        """See access.py. Raises QueueError, as `location`."""
        return self.location.url

    @property
    def account(self) -> str | None:
        """See access.py. Raises QueueError, as `location`."""
        return self.location.account

    @property
    def is_own_server(self) -> bool:
        """Whether the endpoint is one SQS server's, whatever the region. Raises QueueError."""
        is_named = self.location.endpoint_url is not None and self.location.region is None
        return self.address.endpoint_url is not None or is_named

    @property
    def endpoint_url(self) -> str | None:
        """The endpoint that is wished for: by the option, else by the queue's URL.

        None for botocore's own choice.
        """
        return self.address.endpoint_url or self.location.endpoint_url

    @property
    def region(self) -> str | None:
        """The region: as given, as the queue's URL or ARN says, as boto3 finds it.

        Raises QueueError.
        """
        from botocore.exceptions import BotoCoreError

        try:
            region = self.address.region or self.location.region
            if not region and self._borrowed:
                region = self._borrowed.region
            region = region or self._session.get_config_variable("region")
        except BotoCoreError as error:
            raise classify(error, self.address.name, self.address.endpoint_url) from None
        if region:
            return str(region)
        # An endpoint of one's own needs a name to sign with, no more; queue.amazonaws.com is in the
        # first region.
        return FIRST_REGION if self.endpoint_url or self.location.url else None

    def make_transport(
        self,
        read_timeout: float,
        connect_timeout: float = SHORT_CALL,
        options: ConnectOptions | None = None,
    ) -> Transport:
        """A transport with a connection of its own, made at the first call. Raises QueueError."""
        endpoint, read_keys = self.endpoint, self.read_credentials
        with self._classify_errors():
            if endpoint.by_botocore:
                client = self._make_client(read_timeout, connect_timeout)
                return BotocoreTransport(client, read_keys, read_timeout)
            return Wire(endpoint, read_keys, read_timeout, connect_timeout, options)

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go, found once. Raises QueueError."""
        if self._endpoint is None:
            with self._classify_errors():
                self._endpoint = self.find_endpoint()
        return self._endpoint

    @contextlib.contextmanager
    def _classify_errors(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:  # not a URL
            raise QueueError(Trouble.USAGE, f"queue {self.address.name!r}: {error}") from None
        except Exception as error:  # noqa: BLE001 - botocore's errors have no common base
            raise classify(error, self.address.name, self.endpoint_url) from None

    def find_endpoint(self) -> Endpoint:
        """Where botocore would send requests: its rules for regions and partitions are its own.

        A client's `meta.endpoint_url` is by older rules, which it uses no more: for ISO regions it
        is another one. What it does use can be seen of a URL that it signs.
        """
        from botocore.utils import get_environ_proxies

        keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}  # nobody is asked
        client = self._make_client(1, 1, **keys)
        is_ours = client.meta.config.signature_version == SIGNATURE
        if not is_ours:  # not every signature can be in a URL
            client = self._make_client(1, 1, SIGNATURE, **keys)
        parts = urlsplit(client.generate_presigned_url("list_queues"))
        url = f"{parts.scheme}://{parts.netloc}{parts.path}"
        has_proxy = not self.address.direct and bool(get_environ_proxies(url).get(parts.scheme))
        by_botocore = has_proxy or not is_ours
        if parts.scheme != "https":
            return Endpoint(url, client.meta.region_name, None, None, by_botocore)
        bundle = self._find_ca_bundle()
        tls = trust(bundle, self.name)
        return Endpoint(url, client.meta.region_name, tls, bundle, by_botocore)

    def _find_ca_bundle(self) -> str:
        """The file of the authorities that boto3 trusts.

        It is AWS_CA_BUNDLE or the profile's ca_bundle, REQUESTS_CA_BUNDLE, else botocore's own. But
        a variable that is empty is none, and not leave to trust everybody, as it was to older
        versions.
        """
        from botocore.httpsession import get_cert_path

        bundle = self._session.get_config_variable("ca_bundle")
        return str(bundle or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True))

    def read_credentials(self) -> Keys:
        """The credentials as they are now; botocore renews in time those that expire.

        Raises QueueError.
        """
        from botocore.exceptions import NoCredentialsError

        try:
            self._prepare_chain()
            held = self._session.get_credentials()
            if held is None:
                raise NoCredentialsError
            now = held.get_frozen_credentials()
            expiry = getattr(held, "_expiry_time", None)  # botocore tells it to nobody
            until = expiry and expiry.timestamp()
            return Keys(now.access_key, now.secret_key, now.token or "", until)
        except Exception as error:  # noqa: BLE001 - any file, process or service may be behind it
            name = f"queue {self.address.name!r}"
            program = credentials.credential_process(self._session)
            raise credentials.trouble(error, name, self._session.profile, program) from None

    def _prepare_chain(self) -> None:
        """Prepare the chain of providers of credentials, once.

        An address that brings keys needs none.
        """
        if not self._is_chain_ready and not self.address.access_key:
            credentials.prepare(self._session)
        self._is_chain_ready = True

    def _make_client(
        self,
        read_timeout: float,
        connect_timeout: float,
        signature_version: str | None = None,
        **keys: str,
    ) -> Any:
        """botocore's client, which tries once; without `keys` it looks for credentials.

        Without `signature_version` it signs as it is configured.
        """
        if not keys:
            self._prepare_chain()
        config = self._config(
            read_timeout=read_timeout,
            connect_timeout=connect_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=1,
            tcp_keepalive=True,
            parameter_validation=False,
            user_agent_extra="fleet",
            signature_version=signature_version,
        )
        return self._session.create_client(
            "sqs", region_name=self.region, endpoint_url=self.endpoint_url, config=config, **keys
        )
