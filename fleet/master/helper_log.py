"""What the words of template and scout are in the log, and lines that dispatchers tell."""

from fleet.core.depth import Depth
from fleet.core.protocol import FromHelper, Imported, Tell
from fleet.core.scout_protocol import Late, SampleFailed, Served, Usable
from fleet.system import log


def tell_helper_word(word: FromHelper, queue: str) -> None:
    """Log a word, if it is worth a line. `queue` is its name as the options say it."""
    match word:
        case Imported(seconds, warnings):
            log.emit("template.ready", seconds=seconds)
            for why in warnings:
                log.emit("template.warned", why=why)
        case Usable(_, advice):
            log.emit("queue.usable", queue=queue)
            for why in advice:
                log.emit("queue.warned", queue=queue, why=why)
        case Late(why, left):
            log.emit("queue.late", why=why, left=left)
        case Depth(visible, in_flight, delayed):
            seen = {"visible": visible, "in_flight": in_flight, "delayed": delayed}
            log.emit("queue.sampled", queue=queue, **seen)
        case Served(pid):
            log.emit("local.restarted", pid=pid)
        case SampleFailed(why):
            log.emit("sample.failed", why=why)
        case _:
            pass


def tell_line(line: Tell) -> str:
    """Log a line as a dispatcher says it; what is wrong with it where it cannot be logged."""
    try:
        log.emit(line.event, **line.fields)
    except Exception as error:  # noqa: BLE001 - an event or a field that there is not
        return f"{line.event}: {type(error).__name__}: {error}"
    return ""
