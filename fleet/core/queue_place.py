"""Where a pool's queue is, and the keys that calls to it are signed with: found out once a pool.

The scout says both; the master hands them to the template and to every dispatcher.

docs/decisions/0031 has the reasons.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """How the queue is reached.

    `endpoint`: the URL that requests go to. `given_endpoint`: the same as it was asked for, which
    errors name; None for AWS's own. `ca_bundle`: the file of the authorities that are trusted; None
    for plain HTTP. `by_botocore`: only botocore's client gets there. `is_own_server`: it is one SQS
    server, whatever the region. `url`: the queue's, None while it has to be looked up, then in
    `account` if the queue is somebody else's.
    """

    name: str
    endpoint: str
    region: str
    given_endpoint: str | None = None
    ca_bundle: str | None = None
    by_botocore: bool = False
    is_own_server: bool = False
    url: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as they are now. `token` is empty for those that are no session's.

    `expires_at`: seconds since the epoch; None where nobody has said so. Two that differ only in
    that are the same keys.
    """

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires_at: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class KeysRefused:
    """SQS has refused calls that were signed with the keys of that `access_key`."""

    access_key: str
