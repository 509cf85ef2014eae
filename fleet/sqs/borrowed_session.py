"""What a program has made with boto3 already: credentials, region and profile are borrowed from it.

Nothing of boto3 is imported for it: what is needed of its objects is named here. Their clients are
not used. They wait for a minute and try again by themselves, which costs leases, and their
connections would be the jobs' too.

docs/decisions/0015 has the reasons.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleet.sqs.queue_location import locate


@dataclass(frozen=True, slots=True)
class BorrowedSession:
    """What is borrowed. `credentials` returns them as botocore has them, None where there are none.

    It is called each time a session is made.
    """

    credentials: Callable[[], Any] = field(repr=False)
    region: str | None = None
    profile: str | None = None

    def load_credentials(self) -> Any:
        """The credentials, in the place of botocore's chain of providers."""
        return self.credentials()


def borrow_session(session: Any) -> BorrowedSession:
    """Borrow from a boto3 session, or botocore's. Raises TypeError for anything else."""
    credentials = getattr(session, "get_credentials", None)
    if not callable(credentials):
        raise TypeError(f"session is of type {type(session).__name__}; it must be a boto3 session")
    if hasattr(session, "get_config_variable"):  # botocore's
        region = session.get_config_variable("region")
        return BorrowedSession(credentials, region, session.profile)
    profile = session.profile_name if session.profile_name in session.available_profiles else None
    return BorrowedSession(credentials, session.region_name, profile)


def borrow_queue(resource: Any) -> tuple[BorrowedSession, str, str | None]:
    """Borrow from a boto3 Queue resource. Raises TypeError for anything else.

    Returns what is borrowed, the queue's URL, and the endpoint if it is not AWS's own.
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
    any_queue = f"{meta.endpoint_url.rstrip('/')}/000000000000/any"
    is_own = locate(any_queue, partitions).endpoint_url is not None
    borrowed = BorrowedSession(lambda: credentials, meta.region_name)
    return borrowed, url, meta.endpoint_url if is_own else None
