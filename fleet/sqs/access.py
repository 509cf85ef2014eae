"""What a queue's calls need to know: where it is, and what makes the connections to it.

Two know it: `sessions.py` by botocore, from options, environment and files; `pool_access.py` by
what the scout of a pool has found out.

docs/decisions/0031 has the reasons.
"""

from typing import Protocol

from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import SHORT_CALL, Transport


class Access(Protocol):
    """The way to one queue. What is wrong with it is a QueueError when it is first needed."""

    @property
    def name(self) -> str:
        """The queue's name."""

    @property
    def url(self) -> str | None:
        """The queue's URL; None when it has to be looked up."""

    @property
    def account(self) -> str | None:
        """Whose queue it is, for that look-up; None for our own."""

    @property
    def region(self) -> str | None:
        """The region that requests are signed for."""

    @property
    def endpoint_url(self) -> str | None:
        """The endpoint that is wished for, as errors name it; None for AWS's own."""

    def make_transport(
        self,
        read_timeout: float,
        connect_timeout: float = SHORT_CALL,
        options: ConnectOptions | None = None,
    ) -> Transport:
        """A transport with a connection of its own, made at the first call."""

    def renew(self) -> "Access":
        """After a refusal of the keys: the access that may have better ones, now or soon."""

    def for_region(self, region: str) -> "Access":
        """Access to another region's queues with the same keys."""
