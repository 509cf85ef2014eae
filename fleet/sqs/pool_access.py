"""Queues' access in the processes of their pool: by what the scout has found out, without botocore.

botocore is loaded here for two: where only its client gets to a queue, which signs with the same
keys; and where nobody hands out keys any more, because the master is gone.

docs/decisions/0031 has the reasons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs.access import Access
from fleet.sqs.address import Address
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL, Endpoint, Transport
from fleet.sqs.wire import Wire

if TYPE_CHECKING:
    from ssl import SSLContext

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
    """Access to the queue of one address, which the scout has found at that place.

    `trusted`: by the file of a CA bundle, what other queues of this process have loaded of it.
    """

    def __init__(
        self,
        address: Address,
        place: QueuePlace,
        keyring: Keyring,
        trusted: "dict[str, SSLContext] | None" = None,
    ) -> None:
        self._address, self.place, self.keyring = address, place, keyring
        self._trusted = {} if trusted is None else trusted
        self._endpoint: Endpoint | None = None
        self._by_botocore: Sessions | None = None

    def prepare(self) -> Endpoint:
        """The endpoint. Before a fork: load what all children need. Raises QueueError."""
        if self._endpoint is not None:
            return self._endpoint
        place = self.place
        tls = None if place.ca_bundle is None else self._trust(place.ca_bundle)
        endpoint = Endpoint(place.endpoint, place.region, tls, place.ca_bundle, place.by_botocore)
        if place.by_botocore:
            self._by_botocore = self._open_session(endpoint, with_our_keys=True)
            self._by_botocore.prepare()
        self._endpoint = endpoint
        return endpoint

    def _trust(self, ca_bundle: str) -> "SSLContext":
        if ca_bundle not in self._trusted:
            from fleet.sqs.trust import trust

            self._trusted[ca_bundle] = trust(ca_bundle, self.name)
        return self._trusted[ca_bundle]

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


class PoolAccesses:
    """Access to each queue of a pool, by its place: with the same keys, which are in `keyring`."""

    def __init__(self, addresses: Sequence[Address], keyring: Keyring) -> None:
        self._addresses, self.keyring = addresses, keyring
        self._all: list[PoolAccess] = []

    def __getitem__(self, place: int) -> PoolAccess:
        return self._all[place]

    def find(self, places: Sequence[QueuePlace]) -> bool:
        """Load what calls to the queues need. Whether any is somewhere else than before.

        Raises QueueError; then all is as it was.
        """
        if [each.place for each in self._all] == places:
            return False
        trusted: dict[str, SSLContext] = {}
        found = [
            PoolAccess(address, place, self.keyring, trusted)
            for address, place in zip(self._addresses, places, strict=True)
        ]
        for each in found:
            each.prepare()
        self._all = found
        return True


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
