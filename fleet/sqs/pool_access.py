"""A queue's access in the processes of its pool: by what the scout has found out, without botocore.

botocore is loaded here for two: where only its client gets to the queue, which signs with the same
keys; and where nobody hands out keys any more, because the master is gone.

docs/decisions/0031 has the reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs.access import Access
from fleet.sqs.address import Address
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL, Endpoint, Transport
from fleet.sqs.wire import Wire

if TYPE_CHECKING:
    from fleet.sqs.sessions import Sessions


@dataclass(slots=True)
class Keyring:
    """The keys of a process as they are now, and whom it tells that SQS refuses them.

    `tell_refused` says whether anybody has heard it, who will hand out other keys.
    """

    keys: Keys
    tell_refused: Callable[[Keys], bool] = field(default=lambda _: True)

    def read(self) -> Keys:
        """The keys as they are now."""
        return self.keys

    def take(self, keys: Keys) -> None:
        """Use these from now on."""
        self.keys = keys


class PoolAccess:
    """Access to the queue of one address, which the scout has found at that place."""

    def __init__(self, address: Address, place: QueuePlace, keyring: Keyring) -> None:
        self._address, self.place, self.keyring = address, place, keyring
        self._endpoint: Endpoint | None = None
        self._by_botocore: Sessions | None = None

    def prepare(self) -> Endpoint:
        """The endpoint. Before a fork: load what all children need. Raises QueueError."""
        if self._endpoint is not None:
            return self._endpoint
        place, tls = self.place, None
        if place.ca_bundle is not None:
            from fleet.sqs.trust import trust

            tls = trust(place.ca_bundle, place.name)
        endpoint = Endpoint(place.endpoint, place.region, tls, place.ca_bundle, place.by_botocore)
        if place.by_botocore:
            self._by_botocore = self._open_session(endpoint, with_our_keys=True)
            self._by_botocore.prepare()
        self._endpoint = endpoint
        return endpoint

    @property
    def name(self) -> str:
        """See access.py."""
        return self.place.name

    @property
    def url(self) -> str | None:
        """See access.py."""
        return self.place.url

    @property
    def account(self) -> str | None:
        """See access.py."""
        return self.place.account

    @property
    def region(self) -> str:
        """See access.py."""
        return self.place.region

    @property
    def endpoint_url(self) -> str | None:
        """See access.py."""
        return self.place.given_endpoint

    def make_transport(
        self,
        read_timeout: float,
        connect_timeout: float = SHORT_CALL,
        options: ConnectOptions | None = None,
    ) -> Transport:
        """See access.py."""
        endpoint = self.prepare()
        if self._by_botocore is not None:
            return self._by_botocore.make_transport(read_timeout, connect_timeout, options)
        return Wire(endpoint, self.keyring.read, read_timeout, connect_timeout, options)

    def renew(self) -> Access:
        """See access.py. Without a master it is our own session of botocore's from now on."""
        if self.keyring.tell_refused(self.keyring.keys):
            return self
        return self._open_session(self._endpoint, with_our_keys=False)

    def for_region(self, region: str) -> Access:
        """See access.py."""
        if self.place.is_own_server:
            place = replace(self.place, region=region, url=None, account=None)
            address = replace(self._address, queue=self.name, region=region)
            return PoolAccess(address, place, self.keyring)
        return self._open_session(self._endpoint, with_our_keys=True).for_region(region)

    def _open_session(self, endpoint: Endpoint | None, *, with_our_keys: bool) -> "Sessions":
        from fleet.sqs.handed_keys import borrow_keys
        from fleet.sqs.sessions import Sessions

        borrowed = borrow_keys(self.keyring.read, self.region) if with_our_keys else None
        return Sessions(self._address, endpoint, borrowed)


def find_local(address: Address, *, by_botocore: bool = False) -> tuple[QueuePlace, Keys]:
    """Place and keys of a queue on the embedded server, whose address says all of it."""
    endpoint, region = address.endpoint_url or "", address.region or ""
    place = QueuePlace(
        address.name,
        f"{endpoint}/",
        region,
        endpoint,
        by_botocore=by_botocore,
        is_own_server=True,
    )
    return place, Keys(address.access_key or "", address.secret_key or "")


def open_local(address: Address) -> PoolAccess:
    """Access to a queue on the embedded server."""
    place, keys = find_local(address)
    return PoolAccess(address, place, Keyring(keys))
