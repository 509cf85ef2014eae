"""Events become lines on standard error: code elsewhere names an event and its fields.

Text is for people, JSON (one object a line) for programs: both carry the same event, at the level
that the table of events says. A line is one write, so lines of different processes never mix. A log
that nobody reads holds nobody up: its lines are lost, and counted (stderr.py). Trouble that is the
same again and again is one line in ten seconds (log_repeats.py), and the master tells it for all
its dispatchers; at debug level all of it is told. Nothing here starts a thread or holds a lock, and
nothing of it is shared with a logging library of the app's: whatever that does to its sinks,
handlers and levels, these lines are written. Fields never hold message bodies or arguments.

docs/decisions/0024 has the reasons.
"""

import os
import time
from collections.abc import Callable
from typing import Any

from fleet.core.plain_text import dump_json
from fleet.system.clock import now, timestamp
from fleet.system.log_events import DEBUG, EVENTS, INFO, LEVEL_NAMES, LEVELS, EventFormat, Fields
from fleet.system.log_repeats import Repeats
from fleet.system.stderr import StderrWriter

FRESH_LINE = "\r\x1b[K"  # on a terminal: over whatever progress stands there


class ProcessLog:
    """The log of this process. Until `configure` it goes to `logging`, logger "fleet".

    So it does in a program that uses the library: nobody configures the log there.
    """

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self._clock = clock
        self._threshold, self._as_json, self._before = INFO, False, ""
        self._names_queue = False
        self._writer: StderrWriter | None = None
        self._fd = 2
        self._lost = 0  # lines, since the log has had no room
        self._repeats = Repeats(clock)
        self._relay: Callable[[str, Fields], bool] | None = None

    def configure(self, level: str, form: str, fd: int, *, names_queue: bool) -> None:
        """See `configure` below."""
        self._names_queue = names_queue
        self._threshold, self._as_json, self._fd = LEVELS[level], form == "json", fd
        self._before = FRESH_LINE if os.isatty(fd) else ""
        self._writer = StderrWriter(fd)

    def is_json(self) -> bool:
        """See `is_json` below."""
        return self._as_json and self._writer is not None

    def start_in_child(self, fd: int | None) -> None:
        """See `start_in_child` below."""
        self._relay = None  # it goes through the parent's channel
        if self._writer is not None:
            self._writer = StderrWriter(self._fd if fd is None else fd)
            self._lost, self._repeats = 0, Repeats(self._clock)

    def relay(self, elsewhere: Callable[[str, Fields], bool]) -> None:
        """See `relay` below."""
        self._relay = elsewhere

    def emit(self, event: str, fields: Fields) -> None:
        """See `emit` below."""
        is_quiet = self._level(EVENTS[event]) < self._threshold and self._writer is not None
        if is_quiet and not self._repeats:  # as most events of a job
            return
        admitted = self._admit(event, fields)
        for old_event, old_fields in self._repeats.collect_ended():
            self._tell(old_event, old_fields)
        if admitted is not None:
            self._tell(event, admitted)

    def tell_left_out(self) -> None:
        """See `tell_left_out` below."""
        for event, fields in self._repeats.collect_all():
            self._tell(event, fields)

    def _admit(self, event: str, fields: Fields) -> Fields | None:
        """The fields of the line to tell now; None if it says what was told a moment ago."""
        cause = EVENTS[event].cause
        tells_all = self._threshold <= DEBUG and self._writer is not None
        if not cause or tells_all:
            return fields
        # The same trouble with another queue is another one.
        said = f"{fields[cause]} {fields['queue']}" if "queue" in fields else str(fields[cause])
        return self._repeats.admit(event, said, fields)

    def _tell(self, event: str, fields: Fields) -> None:
        form = EVENTS[event]
        if self._writer is None:
            _tell_program(form, event, fields)
            return
        level = self._level(form)
        if level < self._threshold or self._is_relayed(form, event, fields):
            return
        if self._lost and self._writer.has_room():
            self._tell_losses()
        sentence = form.phrase(fields, names_queue=self._names_queue)
        self._write(self._writer, self._line(event, level, sentence, fields))

    def _level(self, form: EventFormat) -> int:
        return form.json_level if self._as_json else form.text_level

    def _is_relayed(self, form: EventFormat, event: str, fields: Fields) -> bool:
        """Whether another process has taken it upon itself to tell the event."""
        if self._relay is None or not form.cause or self._threshold <= DEBUG:
            return False
        return self._relay(event, fields)

    def _line(self, event: str, level: int, sentence: str, fields: Fields) -> str:
        if not self._as_json:
            return f"{time.strftime('%H:%M:%S')} {LEVEL_NAMES[level]:<7} {sentence}\n"
        head = {
            "time": timestamp(6),
            "level": LEVEL_NAMES[level],
            "event": event,
            "message": sentence,
        }
        return dump_json({**head, **fields}) + "\n"

    def _tell_losses(self) -> None:
        """Tell how many lines are lost, now that there is room for it."""
        lines, self._lost = self._lost, 0
        self.emit("log.lost", {"pid": os.getpid(), "lines": lines})
        if self._lost:  # this line, too
            self._lost = lines

    def _write(self, writer: StderrWriter, line: str) -> None:
        """One write a line. A log that is full or gone must not end what it tells of."""
        try:
            if not writer.write((self._before + line).encode()):
                self._lost += 1
        except OSError:
            return


def _tell_program(form: EventFormat, event: str, fields: Fields) -> None:
    """Log an event by `logging`, in a program that uses the library.

    It is imported here: what it registers for every fork would cost the processes of a pool.
    """
    import logging

    logger = logging.getLogger("fleet")
    if logger.isEnabledFor(form.text_level):
        extra = {"event": event, "fields": fields}
        logger.log(form.text_level, "%s", form.phrase(fields), extra=extra)


current = ProcessLog()


def configure(level: str, form: str, fd: int = 2, *, names_queue: bool = False) -> None:
    """Set the level, the form and the descriptor, for this process and its forks.

    `level` is `debug`, `info`, `warning` or `error`, `form` is `text` or `json`. `names_queue`:
    there are several queues, so the sentence of an event about one says which.
    """
    current.configure(level, form, fd, names_queue=names_queue)


def is_json() -> bool:
    """Whether every line of ours is an object. False in a program that uses the library."""
    return current.is_json()


def start_in_child(fd: int | None = None) -> None:
    """In a fork child, before it writes: what its parent has lost is its parent's to tell.

    `fd` is the descriptor to write to, if it is not the parent's.
    """
    current.start_in_child(fd)


def relay(elsewhere: Callable[[str, Fields], bool]) -> None:
    """Have another process tell the trouble that others of the pool may meet too.

    `elsewhere` is given the event and its fields, and returns whether it has taken them; what it
    has not is told here.
    """
    current.relay(elsewhere)


def emit(event: str, /, **fields: Any) -> None:
    """Log one event of the table, with its fields. Raises KeyError if there is no such event."""
    current.emit(event, fields)


def tell_left_out() -> None:
    """Tell what was not told because it said the same, as the last of its events.

    It is for the end, when nothing more will come.
    """
    current.tell_left_out()
