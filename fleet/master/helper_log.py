"""What the words of template and scout are in the log, and lines that dispatchers tell."""

from collections.abc import Sequence
from dataclasses import asdict

from fleet.core.protocol import FromHelper, Imported, Tell
from fleet.core.queue_config import QueueConfig
from fleet.core.scout_protocol import Late, Sampled, SampleFailed, Served, Usable
from fleet.system import log


def tell_helper_word(word: FromHelper, queues: Sequence[QueueConfig]) -> None:
    """Log a word, if it is worth a line. A queue is called by its own name."""
    match word:
        case Imported(seconds, warnings):
            log.emit("template.ready", seconds=seconds)
            for why in warnings:
                log.emit("template.warned", why=why)
        case Usable(_, advice, _, queue):
            log.emit("queue.usable", queue=queues[queue].name)
            for why in advice:
                log.emit("queue.warned", queue=queues[queue].name, why=why)
        case Late(why, left, queue):
            log.emit("queue.late", queue=queues[queue].name, why=why, left=left)
        case Sampled(queue, depth):
            log.emit("queue.sampled", queue=queues[queue].name, **asdict(depth))
        case Served(pid):
            log.emit("local.restarted", pid=pid)
        case SampleFailed(why, queue):
            log.emit("sample.failed", queue=queues[queue].name, why=why)
        case _:
            pass


def tell_line(line: Tell) -> str:
    """Log a line as a dispatcher says it; what is wrong with it where it cannot be logged."""
    try:
        log.emit(line.event, **line.fields)
    except Exception as error:  # noqa: BLE001 - an event or a field that there is not
        return f"{line.event}: {type(error).__name__}: {error}"
    return ""
