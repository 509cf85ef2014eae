"""`fleet resume`."""

from fleet.cli.common import cli
from fleet.cli.running_pool import Name, OneQueue, ask_and_say, one_queue


@cli.command()
def resume(name: Name = None, queue: OneQueue = None) -> int:
    """Receive again after a pause."""
    return ask_and_say(name, "resume", queue=one_queue(queue))
