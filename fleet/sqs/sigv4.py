"""AWS Signature Version 4 of one SQS call: what goes into its `Authorization` header.

Source: "Signature Version 4 signing process" of the AWS General Reference. Only what an SQS call
needs: POST, no query, a body that is at hand. botocore's signer says the same for the same call,
and a test holds both against each other; it walks through so much code that a dispatcher pays for
it again at the next fork.

docs/decisions/0015 has the reasons.
"""

from collections.abc import Mapping

from fleet.core.queue_place import Keys
from fleet.sqs.digests import hmac_digest, sha256

ALGORITHM = "AWS4-HMAC-SHA256"
DATE = "x-amz-date"


class SignedHead:
    """What is signed of a request beside its time and its body: the same for all of a kind.

    `headers`: all that are signed but X-Amz-Date, with lower-case names and values as they are
    sent, without spaces around them.
    """

    __slots__ = ("after", "before", "names")

    def __init__(self, path: str, headers: Mapping[str, str]) -> None:
        names = sorted([*headers, DATE])
        lines = {name: f"{name}:{' '.join(value.split())}\n" for name, value in headers.items()}
        at = names.index(DATE)
        self.names = ";".join(names)
        self.before = f"POST\n{path}\n\n{''.join(map(lines.__getitem__, names[:at]))}{DATE}:"
        self.after = f"\n{''.join(map(lines.__getitem__, names[at + 1 :]))}\n{self.names}\n"


class Signer:
    """Signs for one region and service. The key that signs is made once a day, as AWS means it."""

    def __init__(self, region: str, service: str) -> None:
        self._region, self._service = region, service
        self._made_for: tuple[Keys, str] | None = None
        self._scope, self._key = "", b""

    def sign(self, keys: Keys, at: str, head: SignedHead, body: bytes) -> str:
        """The value of the `Authorization` header.

        `at`: the time that `X-Amz-Date` says, as in 20261130T081500Z.
        """
        day = at[:8]
        if self._made_for != (keys, day):
            self._make_key(keys, day)
        request = f"{head.before}{at}{head.after}{sha256(body).hexdigest()}"
        text = f"{ALGORITHM}\n{at}\n{self._scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac_digest(self._key, text.encode(), "sha256").hex()
        credential = f"{keys.access_key}/{self._scope}"
        return (
            f"{ALGORITHM} Credential={credential}, SignedHeaders={head.names}, "
            f"Signature={signature}"
        )

    def _make_key(self, keys: Keys, day: str) -> None:
        made = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            made = hmac_digest(made, part.encode(), "sha256")
        self._scope = f"{day}/{self._region}/{self._service}/aws4_request"
        self._key, self._made_for = made, (keys, day)
