"""An address becomes a place and keys, by botocore: once, for all processes of a pool.

docs/decisions/0031 has the reasons.
"""

import json
from dataclasses import replace

from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_place import Keys, QueuePlace
from fleet.sqs.address import Address
from fleet.sqs.regions import region_trouble
from fleet.sqs.sessions import Sessions

LONGEST = 20_000  # bytes of a packet for one of the keys; servers take no longer headers


def resolve(address: Address, transport: str) -> tuple[QueuePlace, Keys]:
    """Where the queue is, and what calls to it are signed with now. Raises QueueError.

    `transport`: as the option (`auto`, `lean`, `boto3`).
    """
    sessions = Sessions(address)
    place = _apply(transport, _find_place(sessions))
    return place, _check(sessions.read_credentials(), address.name)


def _check(keys: Keys, name: str) -> Keys:
    """The keys, if they can be handed out.

    A process or a service that is the source may have said anything.
    """
    why = ""
    texts = (keys.access_key, keys.secret_key, keys.token)
    if not all(isinstance(each, str) for each in texts):
        why = "what their source has said is no text"
    elif max(len(json.dumps(each)) for each in texts) > LONGEST:
        why = f"what their source has said is longer than {LONGEST} bytes"
    if why:
        raise QueueError(Trouble.SESSION, f"queue {name!r}: no AWS credentials: {why}")
    return keys


def _find_place(sessions: Sessions) -> QueuePlace:
    region = sessions.region
    if sessions.endpoint_url is None and (trouble := region_trouble(region)):
        raise QueueError(Trouble.USAGE, trouble)
    sessions.make_transport(1, 1)  # what is wrong with it is said here, and not by a dispatcher
    endpoint = sessions.endpoint
    return QueuePlace(
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


def _apply(transport: str, place: QueuePlace) -> QueuePlace:
    """The place as the option wants it reached."""
    if transport == "lean" and place.by_botocore:
        raise QueueError(
            Trouble.USAGE,
            f"queue {place.name!r}: --transport lean knows no proxy and no signature but AWS's "
            "version 4; leave it away, or have NO_PROXY name the endpoint",
        )
    return replace(place, by_botocore=place.by_botocore or transport == "boto3")
