"""Where the queue is, and lines to it: region, credentials, endpoint, time-outs, proxies."""

import difflib
import functools
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from fleet.core.protocol import Plan
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_names import queue_name
from fleet.sqs import credentials as sqs_credentials
from fleet.sqs.errors import classified
from fleet.sqs.lent import Lent
from fleet.sqs.places import Place, place
from fleet.sqs.proxied import Client
from fleet.sqs.wire import Means, Site, Wire, rehearse

SHORT_CALL = 5.0  # seconds, at most
FIRST_REGION = "us-east-1"
FIPS_BEFORE, FIPS_BEHIND = (
    "fips-",
    "-fips",
)  # around the names of some regions: botocore takes it for a wish
KEYS_CALL = (
    3.0  # seconds: a call for credentials; a dispatcher may have to renew them with a job in hand
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the queue is. `queue` is a name, a URL or an ARN; None for the rest means that, or
    boto3's own choice.

    `direct`: no proxy is between us, whatever the environment says.
    """

    queue: str
    region: str | None = None
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    direct: bool = False

    @property
    def name(self) -> str:
        """The queue's name: the last part of its URL or ARN."""
        return queue_name(self.queue)


def address(plan: Plan) -> Address:
    """Where the plan's queue is. On the embedded server it is the queue of that name, wherever that
    is else.
    """
    local = plan.local_port is not None
    queue = queue_name(plan.queue) if local else plan.queue
    return Address(
        queue, plan.region, plan.endpoint_url, plan.access_key, plan.secret_key, direct=local
    )


def region_trouble(region: str | None) -> str | None:
    """What is wrong with a region's name, with the closest ones that exist; None if it is good."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        parts = session.get_available_partitions()
        known = sorted(
            {name for part in parts for name in session.get_available_regions("sqs", part)}
        )
    except BotoCoreError:  # no such profile, a file that cannot be parsed: the first call says it
        return None
    if region is None or region in known:
        return None
    close = difflib.get_close_matches(region, known, n=3)
    hint = (
        f"; did you mean {' or '.join(close)}?"
        if close
        else f"; {len(known)} are known, us-east-1 for one"
    )
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
    """Makes lines to one address. Holds data files and what follows from them; no connection, no
    credentials.
    """

    def __init__(
        self, address: Address, site: Site | None = None, lent: Lent | None = None
    ) -> None:
        import botocore.session
        from botocore.config import Config

        self.address, self._site, self._prepared = address, site, lent is not None
        self._config = Config
        self._lent = lent
        self._session = botocore.session.Session(profile=lent and lent.profile)
        # For the clients that it makes to get credentials: its own patience is 60 s, five times
        # over.
        once = Config(
            connect_timeout=KEYS_CALL, read_timeout=KEYS_CALL, retries={"total_max_attempts": 1}
        )
        self._session.set_default_client_config(once)
        if address.access_key:
            self._session.set_credentials(address.access_key, address.secret_key)
        elif lent:
            self._session.register_component("credential_provider", lent)

    def prepare(self) -> None:
        """Before a fork: load what all children need. What is wrong is said when it is needed.

        Neither connects nor looks for credentials, which may ask the network: the chain of those
        who may have them is made, and asked by each child. Without this a dispatcher's first call
        costs about 5 ms of CPU more.
        """
        from botocore.exceptions import BotoCoreError

        try:
            self.line(1, 1)
            self._prepare_chain()
        except (QueueError, BotoCoreError):
            return
        if self._site:
            rehearse(self._site)

    def renewed(self) -> "Sessions":
        """A new session: a failed credential look-up is remembered by the old one for ever."""
        return Sessions(self.address, self._site, self._lent)

    @functools.cached_property
    def place(self) -> Place:
        """Where the queue is, by its name. Raises QueueError for what names none, or contradicts
        the region given.
        """
        from botocore.exceptions import BotoCoreError

        try:
            partitions = self._session.get_component("data_loader").load_data("partitions")[
                "partitions"
            ]
            found = place(
                self.address.queue, partitions, ours=self.address.endpoint_url is not None
            )
        except BotoCoreError as error:  # where its data lies may be configured
            raise classified(error, self.address.name, self.address.endpoint_url) from None
        except ValueError as error:
            raise QueueError(Trouble.USAGE, f"queue {self.address.queue!r}: {error}") from None
        given = (self.address.region or "").removeprefix(FIPS_BEFORE).removesuffix(FIPS_BEHIND)
        if given and found.region and given != found.region:
            what = "ARN" if found.account else "URL"
            text = f"queue {self.address.queue!r}: its {what} says region {found.region}, and --region {given}"
            raise QueueError(
                Trouble.USAGE, f"{text}; leave --region away, or name the queue that is meant"
            )
        return found

    @property
    def endpoint_url(self) -> str | None:
        """The endpoint that is asked for: by the option, else by the queue's URL; None for
        botocore's own choice.
        """
        return self.address.endpoint_url or self.place.endpoint_url

    def elsewhere(self, region: str) -> "Sessions":
        """For another region: at an SQS server of one's own the endpoint is the same, at AWS it is
        that region's.
        """
        own = self.place.endpoint_url if self.place.region is None else None
        endpoint_url = self.address.endpoint_url or own
        address = replace(
            self.address, queue=self.place.name, region=region, endpoint_url=endpoint_url
        )
        return Sessions(address, lent=self._lent)

    @property
    def region(self) -> str | None:
        """The region: as given, as the queue's URL or ARN says, as boto3 finds it. Raises
        QueueError.
        """
        from botocore.exceptions import BotoCoreError

        try:
            region = self.address.region or self.place.region or (self._lent and self._lent.region)
            region = region or self._session.get_config_variable("region")
        except BotoCoreError as error:
            raise classified(error, self.address.name, self.address.endpoint_url) from None
        if region:
            return str(region)
        # An endpoint of one's own needs a name to sign with, no more; queue.amazonaws.com is in the
        # first region.
        return FIRST_REGION if self.endpoint_url or self.place.url else None

    def line(
        self, read_timeout: float, connect_timeout: float = SHORT_CALL, means: Means | None = None
    ) -> Line:
        """A line of its own, with one connection, made at the first call. Raises QueueError."""
        try:
            site = self._site = self._site or self._found()
            if site.proxied:
                return Client(self._client(read_timeout, connect_timeout), self._keys, read_timeout)
            return Wire(site, self._keys, read_timeout, connect_timeout, means)
        except ValueError as error:  # not a URL
            raise QueueError(Trouble.USAGE, f"queue {self.address.name!r}: {error}") from None
        except Exception as error:  # noqa: BLE001 - botocore has no common base for what can be wrong here
            raise classified(error, self.address.name, self.endpoint_url) from None

    def _found(self) -> Site:
        """Where botocore would send requests: its rules for regions, partitions and endpoints are
        its own.

        A client's `meta.endpoint_url` is by older rules, which it uses no more: for ISO regions it
        is another one. What it does use can be seen of a URL that it signs.
        """
        from botocore.utils import get_environ_proxies

        client = self._client(1, 1, aws_access_key_id="none", aws_secret_access_key="none")  # noqa: S106 - asks nobody
        parts = urlsplit(client.generate_presigned_url("list_queues"))
        url = f"{parts.scheme}://{parts.netloc}{parts.path}"
        proxied = not self.address.direct and bool(get_environ_proxies(url).get(parts.scheme))
        return Site(
            url,
            client.meta.region_name,
            self._trust() if parts.scheme == "https" else None,
            proxied,
        )

    def _trust(self) -> ssl.SSLContext:
        """AWS_CA_BUNDLE or the profile's ca_bundle, REQUESTS_CA_BUNDLE, else the authorities that
        botocore trusts.

        As boto3; but a variable that is empty is none, and not leave to trust everybody, as it was
        to older ones.
        """
        from botocore.httpsession import get_cert_path

        bundle = self._session.get_config_variable("ca_bundle") or os.environ.get(
            "REQUESTS_CA_BUNDLE"
        )
        bundle = bundle or get_cert_path(True)
        try:
            return ssl.create_default_context(cafile=bundle)
        except OSError as error:  # ssl's own errors are such, too
            text = f"queue {self.address.name!r}: the CA bundle {bundle} cannot be used ({error.strerror or error})"
            raise QueueError(Trouble.USAGE, text) from None

    def _keys(self) -> Any:
        """The credentials as they are now; those that expire are renewed by botocore in time.
        Raises QueueError.
        """
        from botocore.exceptions import NoCredentialsError

        try:
            self._prepare_chain()
            credentials = self._session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - files, processes and services of all kinds stand behind it
            name, program = (
                f"queue {self.address.name!r}",
                sqs_credentials.process_of(self._session),
            )
            raise sqs_credentials.trouble(error, name, self._session.profile, program) from None

    def _prepare_chain(self) -> None:
        """Once; who has been given keys needs none."""
        if not self._prepared and not self.address.access_key:
            sqs_credentials.prepare(self._session)
        self._prepared = True

    def _client(self, read_timeout: float, connect_timeout: float, **given: str) -> Any:
        if not given:  # it looks for credentials
            self._prepare_chain()
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
            "sqs", region_name=self.region, endpoint_url=self.endpoint_url, config=config, **given
        )
