"""What a program has made with boto3 already, and lends: credentials, region and profile of a
session or a resource.

Nothing of boto3 is imported for it: what is needed of these objects is named here. Their clients
are not used. They wait for a minute and try again by themselves, which costs leases, and their
connections would be the jobs' too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleet.sqs.places import place


@dataclass(frozen=True, slots=True)
class Lent:
    """`credentials`: as botocore has them, None where there are none; asked each time a session is
    made.
    """

    credentials: Callable[[], Any] = field(repr=False)
    region: str | None = None
    profile: str | None = None

    def load_credentials(self) -> Any:
        """In the place of botocore's chain of those who may have credentials."""
        return self.credentials()


def of_session(session: Any) -> Lent:
    """Of a boto3 session, or botocore's. Raises TypeError for anything else."""
    credentials = getattr(session, "get_credentials", None)
    if not callable(credentials):
        raise TypeError(f"session is of type {type(session).__name__}; it must be a boto3 session")
    if hasattr(session, "get_config_variable"):
        return Lent(credentials, session.get_config_variable("region"), session.profile)
    profile = session.profile_name if session.profile_name in session.available_profiles else None
    return Lent(credentials, session.region_name, profile)


def of_queue(resource: Any) -> tuple[Lent, str, str | None]:
    """Of a boto3 Queue resource: that, the queue's URL, and the endpoint if it is not AWS's own.
    Raises TypeError.
    """
    try:
        client, url = resource.meta.client, resource.url
        meta, credentials = client.meta, client._request_signer._credentials
    except AttributeError:
        what = type(resource).__name__
        raise TypeError(
            f"it is of type {what}; it must be boto3's Queue resource, or use Queue.open(url)"
        ) from None
    from botocore.loaders import create_loader

    partitions = create_loader().load_data("partitions")["partitions"]
    own = (
        place(f"{meta.endpoint_url.rstrip('/')}/000000000000/any", partitions).endpoint_url
        is not None
    )
    return Lent(lambda: credentials, meta.region_name), url, meta.endpoint_url if own else None
