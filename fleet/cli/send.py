"""`fleet send`."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Annotated, Any

import typer

from fleet.cli.chosen import LOCAL_KEY, LOCAL_REGION, load_aloud, queue_of
from fleet.cli.common import cli, say
from fleet.cli.failure import CommandFailed
from fleet.cli.messages import LARGEST, Unsendable, read_messages
from fleet.cli.options import with_options
from fleet.core.exit_codes import DONE, QUEUE_UNUSABLE, USAGE
from fleet.core.queue import QueueError, Trouble
from fleet.core.queue_names import is_fifo, queue_name
from fleet.options.settings import Settings
from fleet.sqs import local_server
from fleet.sqs.address import Address
from fleet.sqs.provision import make_with_dead_letter_queue
from fleet.sqs.queue import GROUP, SqsQueue
from fleet.sqs.sessions import Sessions

MOST = 10  # messages of a request


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
            help="Message group; of a FIFO queue's, one message is out at a time. "
            "[fleet on FIFO queues, else none]",
            metavar="NAME",
        ),
    ] = None,
    **given: Any,
) -> int:
    """Send messages to a queue and say how many."""
    loaded = load_aloud(given)
    chosen, queue = loaded.settings, queue_of(loaded)
    try:
        messages = read_messages(bodies or [], file or [], group)
    except Unsendable as error:
        raise CommandFailed(USAGE, str(error)) from None
    sender = _Sender(group or "")
    try:
        address = _address(queue, chosen)
        with closing(SqsQueue(Sessions(address))) as target:
            sender.send_all(target, messages)
    except QueueError as error:
        code = USAGE if error.trouble is Trouble.USAGE else QUEUE_UNUSABLE
        raise CommandFailed(code, f"{error}{sender.progress}") from None
    except Unsendable as error:
        raise CommandFailed(USAGE, f"{error}{sender.progress}") from None
    in_one_group = is_fifo(address.name) and not group and sender.sent > 1
    note = f", all in group {GROUP} (--group)" if in_one_group else ""
    say(f"{sender.sent} sent to {address.name}{note}")
    return DONE


class _Sender:
    """Sends, and counts what has been sent, however it ends."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.sent = 0

    @property
    def progress(self) -> str:
        """What is said of the messages that were sent before an error."""
        return f"; {self.sent} sent before that" if self.sent else ""

    def send_all(self, target: SqsQueue, messages: Iterable[str]) -> None:
        """Raises CommandFailed for a message that the queue refuses, QueueError and Unsendable."""
        for batch in _batches(messages):
            taken, refused = target.send_batch(batch, self._group)
            self.sent += taken
            if refused:
                why = f"queue {target.name!r} refused a message: {refused}"
                raise CommandFailed(QUEUE_UNUSABLE, f"{why}{self.progress}")


def _address(queue: str, chosen: Settings) -> Address:
    """Where the queue is. On the embedded server it is made if need be, as a pool would make it."""
    if not chosen.local:
        return Address(queue, chosen.region, chosen.endpoint_url)
    url = _find_local_server(chosen.local_port)
    address = Address(queue_name(queue), LOCAL_REGION, url, LOCAL_KEY, LOCAL_KEY, direct=True)
    make_with_dead_letter_queue(address)
    return address


def _find_local_server(port: int) -> str:
    """The embedded server's URL.

    Unlike `start`, `send` does not start one: it would leave at once again.
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


def _batches(messages: Iterable[str]) -> Iterator[list[str]]:
    """What fits into one request. A message that fits into none goes alone, and SQS says so."""
    batch: list[str] = []
    size = 0
    for message in messages:
        more = len(message.encode())
        if batch and (len(batch) == MOST or size + more > LARGEST):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += more
    if batch:
        yield batch
