"""`fleet send`."""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cli.common import LOCAL_KEY, LOCAL_REGION, CommandFailed, cli, say
from fleet.cli.options import load_aloud, queue_of, with_options
from fleet.core.exit_codes import DONE, QUEUE_UNUSABLE, USAGE
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_names import is_fifo, queue_name
from fleet.sqs import local_server
from fleet.sqs.address import Address
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import GROUP, SqsQueue
from fleet.sqs.sessions import Sessions

BATCH, LARGEST = 10, 1_048_576  # messages and bytes a request
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # of SendMessage's documentation


@cli.command()
@with_options("queue", "local", "local_port", "endpoint_url", "region")
def send(
    bodies: Annotated[
        list[str] | None,
        typer.Argument(
            help="One message each; without, and without --file: lines of standard input.",
            metavar="BODY",
        ),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file",
            help="A whole file as one message, - for standard input; more than once.",
            metavar="PATH",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            help="Message group; of a FIFO queue's, one message is out at a time. [fleet on FIFO queues, else none]",
            metavar="NAME",
        ),
    ] = None,
    **given: Any,
) -> int:
    """Send messages to a queue and say how many."""

    chosen = load_aloud(given).settings
    queue = queue_of(chosen)
    wanted = _wanted(bodies or [], file or [], group)
    address = Address(queue, chosen.region, chosen.endpoint_url)
    sent = 0
    try:
        if chosen.local:
            url = _answering(chosen.local_port)
            address = Address(
                queue_name(queue), LOCAL_REGION, url, LOCAL_KEY, LOCAL_KEY, direct=True
            )
            make_with_dead_letter_queue(address)
        with closing(SqsQueue(Sessions(address))) as target:
            for batch in _batches(wanted):
                taken, refused = target.send_batch(batch, group or "")
                sent += taken
                if refused:
                    said = f"queue {address.name!r} refused a message: {refused}{_before(sent)}"
                    raise CommandFailed(QUEUE_UNUSABLE, said)
    except QueueError as error:
        code = USAGE if error.trouble is Trouble.USAGE else QUEUE_UNUSABLE
        raise CommandFailed(code, f"{error}" + _before(sent)) from None
    except Unsendable as error:
        raise CommandFailed(USAGE, f"{error}{_before(sent)}") from None
    fifo = is_fifo(address.name) and not group
    say(
        f"{sent} sent to {address.name}"
        + (f", all in group {GROUP} (--group)" if fifo and sent > 1 else "")
    )
    return DONE


class Unsendable(Exception):
    """What is given is no message; the text says what is wrong."""


def _wanted(bodies: Sequence[str], files: Sequence[str], group: str | None) -> Iterable[str]:
    """The messages. What is known at once is checked before anything is sent."""
    try:
        if group is not None:
            _check(group, "--group")
        if not bodies and not files:
            return _lines()
        for number, body in enumerate(bodies, start=1):
            _check(body, f"message {number}")
        return [*bodies, *map(_read, files)]
    except Unsendable as error:
        raise CommandFailed(USAGE, str(error)) from None


def _lines() -> Iterator[str]:
    """Of standard input. Empty ones are none."""
    stream = _standard_input()
    number = 0
    try:
        for number, line in enumerate(stream, start=1):
            if body := line.rstrip("\n"):
                _check(body, f"line {number} of standard input")
                yield body
    except UnicodeDecodeError as error:
        raise Unsendable(
            f"standard input is not text after line {number}: {error.encoding} cannot read it"
        ) from None


def _standard_input() -> io.TextIOWrapper:
    """Strict: in some locales Python would pass on what is not text."""
    if not isinstance(sys.stdin, io.TextIOWrapper):  # None if it is closed
        raise Unsendable("there is no standard input; give messages, or --file")
    sys.stdin.reconfigure(errors="strict")
    return sys.stdin


def _read(path: str) -> str:
    """A whole file, to its last byte."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            data: bytes = bytes(_standard_input().buffer.read(LARGEST + 1))
        else:
            with Path(path).open("rb") as file:
                data = file.read(LARGEST + 1)
        body = data.decode()
    except UnicodeDecodeError as error:
        raise Unsendable(f"{name} is not text: byte {error.start} is not UTF-8") from None
    except (OSError, ValueError) as error:  # a NUL in its name is a ValueError
        raise Unsendable(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    if len(data) > LARGEST:
        raise Unsendable(f"{name} is longer than 1 MiB, the most that SQS takes")
    _check(body, name)
    return body


def _check(body: str, what: str) -> None:
    """By SQS's rules, which servers beside it may not have. Raises Unsendable."""
    if not body:
        raise Unsendable(f"{what} is empty; SQS takes no empty text")
    if found := _FORBIDDEN.search(body):
        if (
            0xDC80 <= (code := ord(found.group())) <= 0xDCFF
        ):  # how Python passes on a byte that it cannot read
            raise Unsendable(f"{what} is not text: it holds the byte 0x{code - 0xDC00:02x}")
        raise Unsendable(f"{what} holds the character U+{code:04X}, which SQS does not take")


def _before(sent: int) -> str:
    return f"; {sent} sent before that" if sent else ""


def _answering(port: int) -> str:
    """The embedded server's URL. Unlike `start`, `send` does not start one: it would leave at once
    again.
    """
    try:
        url = local_server.find(port)
    except local_server.LocalError as error:
        raise CommandFailed(USAGE, str(error)) from None
    if url is None:
        raise CommandFailed(
            QUEUE_UNUSABLE,
            f"no SQS server answers on 127.0.0.1:{port}; run fleet local in another terminal",
        )
    return url


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """What fits into one request each. A body that fits into none goes alone, and SQS says so."""
    batch: list[str] = []
    size = 0
    for line in lines:
        more = len(line.encode())
        if batch and (len(batch) == BATCH or size + more > LARGEST):
            yield batch
            batch, size = [], 0
        batch, size = [*batch, line], size + more
    if batch:
        yield batch
