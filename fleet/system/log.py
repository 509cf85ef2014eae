"""Events → lines on standard error. One table phrases them all; code elsewhere names an event and
its fields.

Text is for people, JSON (one object a line) for programs: both carry the same event, at the level
the table says. A line is one write, so lines of different processes never mix. A log that nobody
reads holds nobody up: its lines are lost, and counted (outlet.py). Trouble that is the same again
and again is one line in ten seconds (repeats.py), and the master tells it for all its dispatchers;
at debug level all of it is told. Nothing here starts a thread or holds a lock, and nothing of it is
shared with a logging library of the app's: whatever that does to its sinks, handlers and levels,
these lines are written. Fields never hold message bodies or arguments.
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from fleet.core.plain_text import block, dumped, one_line
from fleet.system.log_repeats import Fields, Repeats
from fleet.system.stderr import Outlet

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
_NAMES = {number: name for name, number in LEVELS.items()}


class Line(NamedTuple):
    """How an event reads: its level in text and in JSON, and its sentence.

    `cause`: the field that says what the trouble is, of an event that may come again and again for
    one cause. `blaming`: the sentence where an exception is known. `block`: the field whose lines
    come below it.
    """

    text: int
    json: int
    sentence: str
    cause: str = ""
    blaming: str = ""
    block: str = ""

    def read(self, fields: Fields) -> str:
        """The sentence, with the fields in it, whatever is in them: one line, and what is below it."""
        sentence = self.blaming if self.blaming and "error_type" in fields else self.sentence
        more = f" ({fields['more']} more like it)" if "more" in fields else ""
        below = block(str(fields[self.block])) if self.block else ""
        return one_line(sentence.format_map(fields) + more) + below


def _same(level: int, sentence: str, cause: str = "") -> Line:
    return Line(level, level, sentence, cause)


def _quiet(sentence: str) -> Line:
    return Line(DEBUG, INFO, sentence)


_MESSAGE = " · slot {slot} · message {message_id} · attempt {attempt}"
_JOB = _MESSAGE + " · pid {job_pid}"
_COST = _JOB + ", {max_rss_mib:.0f} MiB, CPU {cpu_seconds:.2f} s"

TABLE: dict[str, Line] = {
    "master.started": _same(
        INFO,
        "pool {name}: {app} on queue {queue}, workers: {workers}; a stop takes at most {longest_stop:g} s",
    ),
    "settings.warned": _same(WARNING, "{why}"),
    "settings.endpoint": _same(INFO, "{file} in this directory says where requests go: {endpoint}"),
    "master.stopped": _same(INFO, "pool {name} stopped after {seconds:.1f} s: {why}; {jobs}"),
    "start.failed": _same(ERROR, "{error}"),
    "master.failed": _same(
        ERROR, "a fault of fleet itself, the pool stops: {error} ({where})\n{traceback}"
    ),
    "template.ready": _quiet("the app is imported ({seconds:.2f} s)"),
    "template.warned": _same(WARNING, "the app will not survive a fork well: {why}"),
    "spawn.failed": _same(
        WARNING, "no {who} could be started: {why}; next try in {retry_in:.1f} s"
    ),
    "process.stack": Line(WARNING, WARNING, "stack of {who}, pid {pid}:", block="stack"),
    "helper.died": _same(WARNING, "the {role} died ({cause}); it is started again"),
    "helper.failed": _same(WARNING, "the {role} cannot do its part: {why}"),
    "queue.usable": _quiet("queue {queue} answers"),
    "queue.warned": _same(WARNING, "queue {queue}: {why}"),
    "queue.empty": _same(
        INFO,
        "the queue looks empty; the pool ends when it stays so for {seconds:g} s and a whole poll",
    ),
    "queue.sampled": _same(
        DEBUG, "queue {queue}: about {visible} visible, {in_flight} in flight, {delayed} delayed"
    ),
    "queue.polled": _same(
        DEBUG, "poll brought {messages} messages after {took:.2f} s · slot {slot}"
    ),
    "queue.late": _same(WARNING, "{why}; trying again for {left:.0f} s"),
    "sample.failed": _same(WARNING, "the queue's counts cannot be read: {why}", "why"),
    "will.failed": _same(
        WARNING, "message {message_id} of a dead dispatcher not {settlement}: {error}", "error"
    ),
    "poll.shortened": _same(
        WARNING,
        "polls get no answer when they are {age:g} s old, something between this host and SQS cuts them: they are "
        "{seconds} s long now, and a longer one is tried every ten minutes",
    ),
    "poll.lengthened": _same(INFO, "polls are not cut any more: they are {seconds:g} s long again"),
    "poll.failed": _same(WARNING, "{error}; next poll in {retry_in:.1f} s · slot {slot}", "error"),
    "deletes.denied": _same(WARNING, "{error}: nothing is received until a delete is allowed"),
    "deletes.allowed": _same(INFO, "deletes are not denied any more: receiving goes on"),
    "message.deleted_late": _same(INFO, "message {message_id}, which was left, is deleted now"),
    "message.undeleted": _same(
        ERROR,
        "message {message_id} is done and cannot be deleted, it will be done again: {error} · slot {slot}",
    ),
    "host.starved": _same(
        WARNING, "this host has no process for a job; next poll in {retry_in:.1f} s · slot {slot}"
    ),
    "dispatcher.spawned": Line(DEBUG, INFO, "dispatcher {pid} spawned · slot {slot}"),
    "dispatcher.ready": Line(DEBUG, INFO, "dispatcher {pid} ready · slot {slot}"),
    "dispatcher.died": _same(
        WARNING,
        "dispatcher {pid} died while {state}: {cause}; respawn in {respawn_in:.1f} s · slot {slot}",
    ),
    "dispatcher.hung": _same(WARNING, "dispatcher {pid} is killed: {why} · slot {slot}"),
    "dispatcher.starved": _same(WARNING, "a dispatcher cannot go on: {error} · slot {slot}"),
    "dispatcher.failed": _same(ERROR, "a fault of fleet itself: {error} · slot {slot}"),
    "message.received": _quiet("message received" + _MESSAGE),
    "job.started": _quiet("job started" + _JOB),
    "job.succeeded": _same(INFO, "job succeeded in {duration:.2f} s" + _COST),
    "job.failed": Line(
        WARNING,
        WARNING,
        "job failed ({exit}) after {duration:.2f} s" + _COST,
        blaming="job failed: {error_type} at {where} ({exit}) after {duration:.2f} s" + _COST,
    ),
    "job.signalled": _same(WARNING, "job died by {exit} after {duration:.2f} s" + _COST),
    "job.stopped": _same(WARNING, "job stopped ({exit}) after {duration:.2f} s" + _COST),
    "job.retried": _same(INFO, "job asked for a retry after {duration:.2f} s" + _COST),
    "job.rejected": _same(WARNING, "job rejected its message: {reason}" + _COST),
    "job.timed_out": _same(
        WARNING, "job timed out after {limit:g} s ({exit}, {duration:.2f} s)" + _COST
    ),
    "job.stopping": _same(INFO, "job told to stop: {why}" + _JOB),
    "job.frozen": _same(
        WARNING, "job is stopped (SIGSTOP) by somebody else; its lease is kept" + _JOB
    ),
    "job.lingers": _same(
        WARNING,
        "job has ended; process {left} that it left cannot be killed yet, its lease is kept" + _JOB,
    ),
    "job.waits": _same(WARNING, "job returned; waits for {waits}" + _JOB),
    "job.ignored": _same(
        WARNING, "an exception at the job's end is ignored: {error_type} at {where}" + _MESSAGE
    ),
    "job_exit.failed": _same(WARNING, "--job-exit failed, which changes nothing: {why}" + _MESSAGE),
    "handler.started": _same(
        INFO, "exit handler started, try {tries}, pid {handler_pid}" + _MESSAGE
    ),
    "handler.ended": _same(INFO, "exit handler done, pid {handler_pid}" + _MESSAGE),
    "handler.failed": _same(WARNING, "exit handler failed ({exit}), pid {handler_pid}" + _MESSAGE),
    "hook.started": _quiet("--on-failure hook started, pid {hook_pid}" + _MESSAGE),
    "hook.ended": _quiet("--on-failure hook done, pid {hook_pid}" + _MESSAGE),
    "hook.failed": _same(WARNING, "--on-failure hook failed ({exit}), pid {hook_pid}" + _MESSAGE),
    "hook.not_started": _same(
        ERROR, "no process to be had for the --on-failure hook: {error}" + _MESSAGE
    ),
    "body.refused": _same(WARNING, "message's body cannot be used: {why}" + _MESSAGE),
    "body.quoted": _same(DEBUG, "the body, or its beginning: {body}" + _MESSAGE),
    "job.not_started": _same(ERROR, "no process to be had for a job: {error}" + _MESSAGE),
    "handler.not_started": _same(
        ERROR, "no process to be had for an exit handler: {error}" + _MESSAGE
    ),
    "lease.extended": _quiet("lease extended by {seconds} s" + _MESSAGE),
    "lease.failed": _same(
        WARNING, "lease not extended: {error}; {left:.0f} s left" + _MESSAGE, "error"
    ),
    "lease.lost": _same(WARNING, "lease lost{then}; others may get the message too" + _MESSAGE),
    "policy.unknown": _same(
        WARNING, "the queue's redrive policy cannot be read yet: {error}" + _MESSAGE, "error"
    ),
    "lease.limit": _same(
        WARNING,
        "SQS hides no message for longer than 12 hours: the lease ends in {left:.0f} s" + _MESSAGE,
    ),
    "message.dead_lettered": _same(WARNING, "message dead-lettered: {why}" + _MESSAGE),
    "message.deleted": _quiet("message deleted" + _MESSAGE),
    "message.released": _same(INFO, "message released, visible in {delay} s: {why}" + _MESSAGE),
    "message.left": _same(WARNING, "message left to its lease: {why}" + _MESSAGE),
    "message.unsettled": _same(
        WARNING, "message not {settlement} yet: {error}" + _MESSAGE, "error"
    ),
    "pool.resized": _same(INFO, "workers {from} → {to}: {reason}"),
    "pool.paused": _same(
        INFO, "paused: nothing more is received until fleet resume; running jobs go on"
    ),
    "pool.resumed": _same(INFO, "resumed"),
    "memory.short": _same(
        WARNING,
        "no message is taken until there is memory for one more job: {available_mib:.0f} MiB available, "
        "a job needs {job_mib:.0f} MiB, {floor_mib:.0f} MiB stay free",
    ),
    "memory.enough": _same(INFO, "there is memory for one more job again"),
    "pool.slots": Line(INFO, INFO, "the slots:", block="table"),
    "log.lost": _same(
        WARNING, "nobody read this log for a while; lines lost by process {pid}: {lines}"
    ),
    "reload.missing": _same(WARNING, "HUP: a reload is not available yet; stop and start the pool"),
    "local.restarted": _same(
        WARNING,
        "the embedded SQS server was killed and is started again, pid {pid}; what was in it is lost",
    ),
    "control.restored": _same(
        WARNING, "what commands find this pool by was removed, and is made again: {path}"
    ),
    "control.lost": _same(
        WARNING,
        "commands cannot find this pool: {path} was removed and cannot be made again: {error}",
    ),
    "health.unwritten": _same(
        WARNING, "the health file {path} cannot be written: {error}; a probe of it will fail"
    ),
    "drain.started": _same(INFO, "stopping ({how}): {why}; {waits}"),
    "drain.finished": _same(
        INFO,
        "received {received} = deleted {deleted} + released {released} + dead-lettered {dead_lettered} + left {left}"
        "{redriven}",
    ),
}

FRESH_LINE = "\r\x1b[K"  # on a terminal: over whatever progress stands there

_threshold = INFO
_as_json = False
_before = ""
_outlet: Outlet | None = None
_fd = 2
_lost = 0  # lines, since the log has had no room
_repeats = Repeats()
_relay: Callable[[str, Fields], bool] | None = None
_program = logging.getLogger("fleet")


def configure(level: str, form: str, fd: int = 2) -> None:
    """Set the level (`debug` … `error`), the form (`text` or `json`) and where to, for this process
    and its forks.
    """
    global _threshold, _as_json, _before, _outlet, _fd
    _threshold, _as_json, _fd = LEVELS[level], form == "json", fd
    _before = FRESH_LINE if os.isatty(fd) else ""
    _outlet = Outlet(fd)


def as_json() -> bool:
    """Whether every line of ours is an object. False in a program that uses the library."""
    return _as_json and _outlet is not None


def begin(fd: int | None = None) -> None:
    """In a fork child, before it writes: what its parent has lost is its parent's to tell. `fd`: if
    not the same.
    """
    global _outlet, _lost, _repeats, _relay
    _relay = None  # it goes through the parent's channel
    if _outlet is not None:
        _outlet, _lost, _repeats = Outlet(_fd if fd is None else fd), 0, Repeats()


def relay(elsewhere: Callable[[str, Fields], bool]) -> None:
    """Have somebody else tell trouble that others of the pool may meet too; what he does not take
    is told here.
    """
    global _relay
    _relay = elsewhere


def emit(event: str, /, **fields: Any) -> None:
    """Log one event of the table, with its fields.

    In a program that uses the library nobody configures this log: there it goes to `logging`,
    logger "fleet".
    """
    told = due(event, fields)
    for old, its in _repeats.over():
        _tell(old, its)
    if told is not None:
        _tell(event, told)


def due(event: str, fields: Fields) -> Fields | None:
    """The event's fields, if it is to be told now; None while it says the same as one of the last
    ten seconds.
    """
    cause = TABLE[event].cause
    if not cause or (_threshold <= DEBUG and _outlet is not None):
        return fields
    return _repeats.due(event, str(fields[cause]), fields)


def tell_left_out() -> None:
    """What was not told because it said the same, as the last of its events: nothing more will
    come.
    """
    for event, fields in _repeats.over(all_of_them=True):
        _tell(event, fields)


def _tell(event: str, fields: Fields) -> None:
    line = TABLE[event]
    if _outlet is None:
        if _program.isEnabledFor(line.text):
            sentence = line.read(fields)
            _program.log(line.text, "%s", sentence, extra={"event": event, "fields": fields})
        return
    level = line.json if _as_json else line.text
    if level < _threshold or (
        _relay and line.cause and _threshold > DEBUG and _relay(event, fields)
    ):
        return
    if _lost:
        _own_up(_outlet)
    sentence = line.read(fields)
    now = datetime.now(UTC)
    if _as_json:
        head = {
            "time": now.isoformat(timespec="microseconds"),
            "level": _NAMES[level],
            "event": event,
            "message": sentence,
        }
        text = dumped({**head, **fields})
    else:
        text = f"{now.astimezone():%H:%M:%S} {_NAMES[level]:<7} {sentence}"
    _write(_outlet, text + "\n")


def _own_up(outlet: Outlet) -> None:
    """Tell how many lines are lost, once there is room for it."""
    global _lost
    if outlet.has_room():
        lines, _lost = _lost, 0
        emit("log.lost", pid=os.getpid(), lines=lines)
        if _lost:  # this one too
            _lost = lines


def _write(outlet: Outlet, line: str) -> None:
    """One write a line. A log that is full or gone must not end what it tells of."""
    global _lost
    try:
        if not outlet.put((_before + line).encode()):
            _lost += 1
    except OSError:
        return
