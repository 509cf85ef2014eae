"""AWS Signature Version 4 of one SQS call: what goes into its `Authorization` header.

Source: "Signature Version 4 signing process" of the AWS General Reference. Only what an SQS call
needs: POST, no query, a body that is at hand. botocore's signer says the same for the same call,
and a test holds both against each other; it walks through so much code that a dispatcher pays for
it again at the next fork.

docs/decisions/0015 has the reasons.
"""

from collections.abc import Sequence
from hashlib import sha256
from hmac import digest

from fleet.core.queue_place import Keys

ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """Signs for one region and service. The key that signs is made once a day, as AWS means it."""

    def __init__(self, region: str, service: str) -> None:
        self._region, self._service = region, service
        self._made_for: tuple[str, str] | None = None
        self._key = b""

    def sign(
        self, keys: Keys, at: str, path: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> str:
        """The value of the `Authorization` header.

        `at`: the time that `X-Amz-Date` says, as in 20261130T081500Z. `headers`: all that are
        signed, `host` and `x-amz-date` among them, with lower-case names, sorted by name, and
        values as they are sent, without spaces around them.
        """
        day = at[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        names = ";".join([name for name, _ in headers])
        lines = "".join([f"{name}:{' '.join(value.split())}\n" for name, value in headers])
        request = f"POST\n{path}\n\n{lines}\n{names}\n{sha256(body).hexdigest()}"
        text = f"{ALGORITHM}\n{at}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = digest(self._signing_key(keys.secret_key, day), text.encode(), "sha256").hex()
        credential = f"{keys.access_key}/{scope}"
        return f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"

    def _signing_key(self, secret: str, day: str) -> bytes:
        if self._made_for != (secret, day):
            made = f"AWS4{secret}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                made = digest(made, part.encode(), "sha256")
            self._key, self._made_for = made, (secret, day)
        return self._key
