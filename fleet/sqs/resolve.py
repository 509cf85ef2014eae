"""Addresses become places and keys, by botocore: once, for all processes of a pool.

docs/decisions/0031 has the reasons.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs.address import Address
from fleet.sqs.errors import classify
from fleet.sqs.regions import region_trouble
from fleet.sqs.sessions import Sessions
from fleet.sqs.transport import Endpoint

# Bytes of a packet for one of the keys; servers take no longer headers. The places of many queues
# have to be in it, too.
LONGEST, LONGEST_BESIDE_OTHERS = 20_000, 10_000

# By region and the endpoint that is wished for.
Endpoints = dict[tuple[str | None, str | None], Endpoint]


def resolve(addresses: Sequence[Address], transport: str) -> tuple[list[QueuePlace], Keys]:
    """Where the queues are, and what calls to them are signed with now. Raises QueueError.

    `transport`: as the option (`auto`, `lean`, `boto3`).
    """
    endpoints: Endpoints = {}
    found = [_find_place(address, endpoints) for address in addresses]
    places = [_apply(transport, place) for _, place in found]
    longest = LONGEST if len(addresses) == 1 else LONGEST_BESIDE_OTHERS
    sessions, place = found[0]
    return places, _check(sessions.read_credentials(), place.name, longest)


def _check(keys: Keys, name: str, longest: int) -> Keys:
    """The keys, if they can be handed out.

    A process or a service that is the source may have said anything.
    """
    why = ""
    texts = (keys.access_key, keys.secret_key, keys.token)
    if not all(isinstance(each, str) for each in texts):
        why = "what their source has said is no text"
    elif max(len(json.dumps(each)) for each in texts) > longest:
        why = f"what their source has said is longer than {longest} bytes"
    if why:
        raise QueueError(Trouble.SESSION, f"queue {name!r}: no AWS credentials: {why}")
    return keys


def _find_place(address: Address, endpoints: Endpoints) -> tuple[Sessions, QueuePlace]:
    try:
        sessions = Sessions(address)
        where = sessions.region, sessions.endpoint_url
        if where not in endpoints:
            endpoints[where] = _find_endpoint(sessions)
        endpoint = endpoints[where]
        place = QueuePlace(
            sessions.name,
            endpoint.url,
            endpoint.region,
            sessions.endpoint_url,
            endpoint.ca_bundle,
            endpoint.by_botocore,
            sessions.is_own_server,
            sessions.url,
            sessions.account,
        )
        return sessions, place
    except QueueError:
        raise
    except Exception as error:  # noqa: BLE001 - botocore's errors have no common base
        raise classify(error, address.name, address.endpoint_url) from None


def _find_endpoint(sessions: Sessions) -> Endpoint:
    if sessions.endpoint_url is None and (trouble := region_trouble(sessions.region)):
        raise QueueError(Trouble.USAGE, trouble)
    sessions.make_transport(1, 1)  # what is wrong with it is said here, and not by a dispatcher
    return sessions.endpoint


def _apply(transport: str, place: QueuePlace) -> QueuePlace:
    """The place as the option wants it reached."""
    if transport == "lean" and place.by_botocore:
        raise QueueError(
            Trouble.USAGE,
            f"queue {place.name!r}: --transport lean knows no proxy and no signature but AWS's "
            "version 4; leave it away, or have NO_PROXY name the endpoint",
        )
    return replace(place, by_botocore=place.by_botocore or transport == "boto3")
