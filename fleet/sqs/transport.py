"""What a way to SQS is: its interface, its errors, where it leads, and how long an answer may be.

There are two: wire.py, and botocore_transport.py for those behind a proxy. errors.py says what the
errors mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ssl import SSLContext

SHORT_CALL = 5.0  # seconds for a call that does not wait, at most
LONGEST_MESSAGE = 6 << 20  # bytes: SQS takes 1 MiB at most, and JSON may need six for each of them
READ_MARGIN = 10.0  # seconds on top of a poll's wait
MARGIN = 1 << 20  # bytes: headers, and the longest answer about anything else


class Unreachable(Exception):
    """There is no connection to be had; nothing was sent."""


class NoAnswer(Exception):
    """The request went out, and no whole answer came."""


class TooLong(Exception):
    """No answer of SQS is so long."""


class CodeNeeded(Exception):
    """A profile asks for a code of an MFA device."""


class Refused(Exception):
    """SQS answered with an error.

    It has the error's code (empty if the answer names none), the HTTP status, SQS's own words, and
    the Date of the answer.
    """

    def __init__(self, code: str, status: int, said: str = "", date: str = "") -> None:
        super().__init__(code, status)
        self.code, self.status, self.said, self.date = code, status, said, date


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go and how they are signed.

    `tls` is None for plain HTTP, else it trusts the authorities of the file `ca_bundle`.
    `by_botocore`: a proxy is between us, or another signature is wished for: wire.py knows neither.
    """

    url: str
    region: str
    tls: "SSLContext | None"
    ca_bundle: str | None = None
    by_botocore: bool = False


class Transport(Protocol):
    """A way to ask SQS for something, once."""

    def call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        """The answer's members; raises what errors.py can classify."""

    def close(self) -> None:
        """Hang up; the next call connects anew."""

    def forget(self) -> None:
        """In a forked child: leave the connection alone, it is the parent's."""

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What a forked child must not keep, as far as it is known."""


def longest_answer(arguments: Mapping[str, Any]) -> int:
    """The bytes that an answer to a call may have at most, headers included."""
    return MARGIN + LONGEST_MESSAGE * int(arguments.get("MaxNumberOfMessages", 0))


def longest_time(arguments: Mapping[str, Any], seconds: float) -> float:
    """The seconds that the answer to a call may take, of `seconds` at the most.

    A poll has what it waits for, and a margin. A poll of one second has the whole margin: it is as
    likely as a long one to swallow a message when nobody listens any more.
    """
    return min(seconds, float(arguments.get("WaitTimeSeconds", seconds)) + READ_MARGIN)
