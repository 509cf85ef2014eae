"""`fleet pause`."""

from fleet.cli.common import cli
from fleet.cli.running_pool import Name, OneQueue, ask_and_say, one_queue


@cli.command()
def pause(name: Name = None, queue: OneQueue = None) -> int:
    """Receive nothing more; running jobs go on."""
    return ask_and_say(name, "pause", queue=one_queue(queue))
