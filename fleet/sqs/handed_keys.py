"""The keys that a pool's scout hands out, as botocore's client takes them."""

from collections.abc import Callable

from botocore.credentials import Credentials, ReadOnlyCredentials

from fleet.core.queue_place import Keys
from fleet.sqs.borrowed_session import BorrowedSession


class HandedCredentials(Credentials):  # type: ignore[misc]  # botocore has no types
    """Credentials that are read anew for each request."""

    def __init__(self, read_keys: Callable[[], Keys]) -> None:
        keys = read_keys()
        super().__init__(keys.access_key, keys.secret_key, keys.token or None, method="fleet")
        self._read_keys = read_keys

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """The keys as they are now."""
        keys = self._read_keys()
        return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token or None)


def borrow_keys(read_keys: Callable[[], Keys], region: str) -> BorrowedSession:
    """The keys in the place of a session's own chain of credentials."""
    return BorrowedSession(lambda: HandedCredentials(read_keys), region)
