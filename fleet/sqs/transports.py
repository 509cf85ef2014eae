"""The two transports of one queue, as one process uses them.

One is for polls: its read time-out is longer than any wait, since every abandoned try can swallow a
message. A poll that waits for less is given less by wire.py; botocore's client has one time-out for
all. One is for the short calls, which the callers repeat themselves. Both try once.
They connect after the fork, with what the access has prepared before it.
"""

import os
from collections.abc import Callable
from typing import Any, TypeVar

from fleet.sqs.access import Access
from fleet.sqs.errors import classify
from fleet.sqs.stream import ConnectOptions
from fleet.sqs.transport import READ_MARGIN, SHORT_CALL, Transport

Result = TypeVar("Result")


class Transports:
    """Makes the transports when they are needed, anew in each process that uses them."""

    def __init__(
        self, access: Access, wait_time: float, short_call: float, options: ConnectOptions
    ) -> None:
        """Seconds: `wait_time`: the longest poll; `short_call`: the time-out of other calls."""
        self._access, self._options = access, options
        self._wait_time, self.short_call = wait_time, short_call
        self._long: Transport | None = None
        self._short: Transport | None = None
        self._user = 0  # the process whose transports these are

    def poll(self, operation: str, read: Callable[[Any], Result], **arguments: Any) -> Result:
        """Make a call that may wait, and read its answer. Raises QueueError."""
        self._forget_parents()
        if self._long is None:
            self._long = self._access.make_transport(
                self._wait_time + READ_MARGIN, SHORT_CALL, self._options
            )
            self._get_short()  # now, while there is time: the first delete must not wait for it
        return self._ask(self._long, operation, read, "", arguments)

    def call(
        self, operation: str, read: Callable[[Any], Result], of: str = "", **arguments: Any
    ) -> Result:
        """Make a short call, and read its answer. Raises QueueError.

        `of`: the queue that an error names, if it is not the access's own.
        """
        self._forget_parents()
        return self._ask(self._get_short(), operation, read, of, arguments)

    def close(self) -> None:
        """Hang up; the next call connects anew."""
        self._forget_parents()
        for transport in (self._long, self._short):
            if transport is not None:
                transport.close()
        self._long = self._short = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The connections that stand: not for forked children."""
        both = (self._long, self._short)
        return tuple(fd for each in both if each is not None for fd in each.descriptors)

    def _get_short(self) -> Transport:
        if self._short is None:
            self._short = self._access.make_transport(
                self.short_call, self.short_call, self._options
            )
        return self._short

    def _forget_parents(self) -> None:
        """Share no transport with the process that we were forked from.

        Each would read the other's answers.
        """
        us = os.getpid()
        if self._user == us:
            return
        for transport in (self._long, self._short):
            if transport is not None:
                transport.forget()
        self._user, self._long, self._short = us, None, None

    def _ask(
        self,
        transport: Transport,
        operation: str,
        read: Callable[[Any], Result],
        of: str,
        arguments: dict[str, Any],
    ) -> Result:
        """One call, and its answer read: what is wrong with either is told apart in one place."""
        try:
            return read(transport.call(operation, arguments))
        except Exception as error:  # noqa: BLE001 - classify() knows them all
            name = of or self._access.name
            raise classify(error, name, self._access.endpoint_url, operation) from None
