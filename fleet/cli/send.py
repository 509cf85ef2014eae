"""`fleet send`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from fleet.cli.base import LOCAL_KEY, LOCAL_REGION, Failure, cli, load, queue_of, with_options
from fleet.core.exit_codes import DONE, QUEUE_UNUSABLE, USAGE
from fleet.core.queue import QueueError, Trouble
from fleet.system import local

BATCH, LARGEST = 10, 1_048_576  # messages and bytes a request


@cli.command()
@with_options("queue", "local", "local_port", "endpoint_url", "region")
def send(
    bodies: Annotated[
        list[str] | None,
        typer.Argument(help="One message each; without: lines of standard input.", metavar="BODY"),
    ] = None,
    **given: Any,
) -> int:
    """Send messages to a queue and say how many."""
    from fleet.system import sqs

    chosen = load(given).settings
    queue = queue_of(chosen)
    address = sqs.Address(queue, chosen.region, chosen.endpoint_url)
    sent = 0
    try:
        if chosen.local:
            address = sqs.Address(queue, LOCAL_REGION, _answering(chosen.local_port), LOCAL_KEY, LOCAL_KEY)
            sqs.make_with_dead_letter_queue(address)
        target = sqs.SqsQueue(sqs.Sessions(address))
        for batch in _batches(bodies or (line.rstrip("\n") for line in sys.stdin)):
            sent += target.send(batch)
    except QueueError as error:
        code = USAGE if error.trouble is Trouble.USAGE else QUEUE_UNUSABLE
        raise Failure(code, f"{error}" + _before(sent)) from None
    except UnicodeDecodeError as error:
        raise Failure(USAGE, f"standard input is not text: {error.encoding} cannot read it" + _before(sent)) from None
    typer.echo(f"{sent} sent to {address.name}")
    return DONE


def _before(sent: int) -> str:
    return f"; {sent} sent before that" if sent else ""


def _answering(port: int) -> str:
    """The embedded server's URL. Unlike `start`, `send` does not start one: it would leave at once again."""
    try:
        url = local.answering(port)
    except local.LocalError as error:
        raise Failure(USAGE, str(error)) from None
    if url is None:
        raise Failure(QUEUE_UNUSABLE, f"no SQS server answers on 127.0.0.1:{port}; run fleet local in another terminal")
    return url


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """What fits into one request each. A body that fits into none goes alone, and SQS says so."""
    batch: list[str] = []
    size = 0
    for line in filter(None, lines):
        more = len(line.encode(errors="surrogatepass"))
        if batch and (len(batch) == BATCH or size + more > LARGEST):
            yield batch
            batch, size = [], 0
        batch, size = [*batch, line], size + more
    if batch:
        yield batch
