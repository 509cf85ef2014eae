"""The table of the log's events: the levels and the sentence of each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.core.plain_text import block, one_line

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR}
LEVEL_NAMES = {number: name for name, number in LEVELS.items()}

Fields = Mapping[str, Any]
"""Of an event. `more`: how many lines of the same cause it stands for, besides itself."""


class EventFormat(NamedTuple):
    """How an event reads: its level in text and in JSON, and its sentence.

    `cause`: the field that says what the trouble is, for an event that may come again and again
    with one cause. `sentence_with_exception`: the sentence where an exception is known.
    `sentence_of_queues`: the sentence where there is a field `queues`. `block`: the field whose
    lines come below the sentence.
    """

    text_level: int
    json_level: int
    sentence: str
    cause: str = ""
    sentence_with_exception: str = ""
    block: str = ""
    sentence_of_queues: str = ""

    def phrase(self, fields: Fields, *, names_queue: bool = False) -> str:
        """The sentence with the fields in it, as one line, and the lines of the block below it.

        `names_queue`: which queue it is about is said, if it is about one. Whatever the fields
        hold, they make no line of their own. Raises KeyError if one is missing.
        """
        is_exception = self.sentence_with_exception and "error_type" in fields
        sentence = self.sentence_with_exception if is_exception else self.sentence
        if self.sentence_of_queues and "queues" in fields:
            sentence = self.sentence_of_queues
        if names_queue and "queue" in fields and "{queue}" not in sentence:
            sentence += " · queue {queue}"
        more = f" ({fields['more']} more like it)" if "more" in fields else ""
        below = block(str(fields[self.block])) if self.block else ""
        return one_line(sentence.format_map(fields) + more) + below


def _at(level: int, sentence: str, cause: str = "") -> EventFormat:
    return EventFormat(level, level, sentence, cause)


def _quiet(sentence: str) -> EventFormat:
    """For an event that is news to programs, and to people at debug level only."""
    return EventFormat(DEBUG, INFO, sentence)


_MESSAGE = " · slot {slot} · message {message_id} · attempt {attempt}"
_JOB = _MESSAGE + " · pid {job_pid}"
_COST = _JOB + ", {max_rss_mib:.0f} MiB, CPU {cpu_seconds:.2f} s"

EVENTS: dict[str, EventFormat] = {
    "master.started": EventFormat(
        INFO,
        INFO,
        "pool {name}: {app} on queue {queue}, workers: {workers}; "
        "a stop takes at most {longest_stop:g} s",
        sentence_of_queues="pool {name}: {app} on queues {queues}, workers: {workers}; "
        "a stop takes at most {longest_stop:g} s",
    ),
    "settings.warned": _at(WARNING, "{why}"),
    "settings.endpoint": _at(INFO, "{file} in this directory says where requests go: {endpoint}"),
    "master.stopped": _at(INFO, "pool {name} stopped after {seconds:.1f} s: {why}; {jobs}"),
    "start.failed": _at(ERROR, "{error}"),
    "master.failed": _at(
        ERROR, "a fault of fleet itself, the pool stops: {error} ({where})\n{traceback}"
    ),
    "template.ready": _quiet("the app is imported ({seconds:.2f} s)"),
    "template.warned": _at(WARNING, "the app will not survive a fork well: {why}"),
    "spawn.failed": _at(WARNING, "no {who} could be started: {why}; next try in {retry_in:.1f} s"),
    "process.stack": EventFormat(WARNING, WARNING, "stack of {who}, pid {pid}:", block="stack"),
    "helper.died": _at(WARNING, "the {role} died ({cause}); it is started again"),
    "helper.failed": _at(WARNING, "the {role} cannot do its part: {why}"),
    "queue.usable": _quiet("queue {queue} answers"),
    "queue.warned": _at(WARNING, "queue {queue}: {why}"),
    "queue.empty": EventFormat(
        INFO,
        INFO,
        "the queue looks empty; the pool ends when it stays so for {seconds:g} s and a whole poll",
        sentence_of_queues="all queues look empty; "
        "the pool ends when they stay so for {seconds:g} s and a whole poll of each",
    ),
    "queue.sampled": _at(
        DEBUG, "queue {queue}: about {visible} visible, {in_flight} in flight, {delayed} delayed"
    ),
    "queue.polled": _at(DEBUG, "poll brought {messages} messages after {took:.2f} s · slot {slot}"),
    "queue.unusable": _at(WARNING, "a queue cannot be used: {why}", "why"),
    "queue.late": _at(WARNING, "{why}; trying again for {left:.0f} s"),
    "credentials.renewed": _quiet("the queue's credentials are renewed: access key {access_key}"),
    "credentials.failed": _at(
        WARNING, "the queue's credentials cannot be renewed: {error}", "error"
    ),
    "sample.failed": _at(WARNING, "the queue's counts cannot be read: {why}", "why"),
    "will.failed": _at(
        WARNING, "message {message_id} of a dead dispatcher not {settlement}: {error}", "error"
    ),
    "poll.shortened": _at(
        WARNING,
        "polls get no answer when they are {age:g} s old, "
        "something between this host and SQS cuts them: they are "
        "{seconds} s long now, and a longer one is tried every ten minutes",
    ),
    "poll.lengthened": _at(INFO, "polls are not cut any more: they are {seconds:g} s long again"),
    "poll.failed": _at(WARNING, "{error}; next poll in {retry_in:.1f} s · slot {slot}", "error"),
    "deletes.denied": _at(WARNING, "{error}: nothing is received until a delete is allowed"),
    "deletes.allowed": _at(INFO, "deletes are not denied any more: receiving goes on"),
    "message.deleted_late": _at(INFO, "message {message_id}, which was left, is deleted now"),
    "message.undeleted": _at(
        ERROR,
        "message {message_id} is done and cannot be deleted, it will be done again: {error}"
        " · slot {slot}",
    ),
    "host.starved": _at(
        WARNING, "this host has no process for a job; next poll in {retry_in:.1f} s · slot {slot}"
    ),
    "dispatcher.spawned": _quiet("dispatcher {pid} spawned · slot {slot}"),
    "dispatcher.ready": _quiet("dispatcher {pid} ready · slot {slot}"),
    "dispatcher.died": _at(
        WARNING,
        "dispatcher {pid} died while {state}: {cause}; respawn in {respawn_in:.1f} s · slot {slot}",
    ),
    "dispatcher.hung": _at(WARNING, "dispatcher {pid} is killed: {why} · slot {slot}"),
    "dispatcher.starved": _at(WARNING, "a dispatcher cannot go on: {error} · slot {slot}"),
    "dispatcher.failed": _at(ERROR, "a fault of fleet itself: {error} · slot {slot}"),
    "forker.lost": _at(
        WARNING, "a dispatcher has lost its job forker: {why}; no job is lost · slot {slot}", "why"
    ),
    "forker.unused": _at(DEBUG, "jobs are forked by the dispatcher itself: {why} · slot {slot}"),
    "message.received": _quiet("message received" + _MESSAGE),
    "job.started": _quiet("job started" + _JOB),
    "job.succeeded": _at(INFO, "job succeeded in {duration:.2f} s" + _COST),
    "job.failed": EventFormat(
        WARNING,
        WARNING,
        "job failed ({exit}) after {duration:.2f} s" + _COST,
        sentence_with_exception="job failed: {error_type} at {where} ({exit}) "
        "after {duration:.2f} s" + _COST,
    ),
    "job.signalled": _at(WARNING, "job died by {exit} after {duration:.2f} s" + _COST),
    "job.stopped": _at(WARNING, "job stopped ({exit}) after {duration:.2f} s" + _COST),
    "job.retried": _at(INFO, "job asked for a retry after {duration:.2f} s" + _COST),
    "job.rejected": _at(WARNING, "job rejected its message: {reason}" + _COST),
    "job.timed_out": _at(
        WARNING, "job timed out after {limit:g} s ({exit}, {duration:.2f} s)" + _COST
    ),
    "job.stopping": _at(INFO, "job told to stop: {why}" + _JOB),
    "job.frozen": _at(
        WARNING, "job is stopped (SIGSTOP) by somebody else; its lease is kept" + _JOB
    ),
    "job.lingers": _at(
        WARNING,
        "job has ended; process {left} that it left cannot be killed yet, its lease is kept" + _JOB,
    ),
    "job.waits": _at(WARNING, "job returned; waits for {waits}" + _JOB),
    "job.ignored": _at(
        WARNING, "an exception at the job's end is ignored: {error_type} at {where}" + _MESSAGE
    ),
    "job_exit.failed": _at(WARNING, "--job-exit failed, which changes nothing: {why}" + _MESSAGE),
    "handler.started": _at(INFO, "exit handler started, try {tries}, pid {handler_pid}" + _MESSAGE),
    "handler.ended": _at(INFO, "exit handler done, pid {handler_pid}" + _MESSAGE),
    "handler.failed": _at(WARNING, "exit handler failed ({exit}), pid {handler_pid}" + _MESSAGE),
    "hook.started": _quiet("--on-failure hook started, pid {hook_pid}" + _MESSAGE),
    "hook.ended": _quiet("--on-failure hook done, pid {hook_pid}" + _MESSAGE),
    "hook.failed": _at(WARNING, "--on-failure hook failed ({exit}), pid {hook_pid}" + _MESSAGE),
    "hook.not_started": _at(
        ERROR, "no process to be had for the --on-failure hook: {error}" + _MESSAGE
    ),
    "body.refused": _at(WARNING, "message's body cannot be used: {why}" + _MESSAGE),
    "body.quoted": _at(DEBUG, "the body, or its beginning: {body}" + _MESSAGE),
    "job.not_started": _at(ERROR, "no process to be had for a job: {error}" + _MESSAGE),
    "handler.not_started": _at(
        ERROR, "no process to be had for an exit handler: {error}" + _MESSAGE
    ),
    "lease.extended": _quiet("lease extended by {seconds} s" + _MESSAGE),
    "lease.failed": _at(
        WARNING, "lease not extended: {error}; {left:.0f} s left" + _MESSAGE, "error"
    ),
    "lease.lost": _at(WARNING, "lease lost{then}; others may get the message too" + _MESSAGE),
    "policy.unknown": _at(
        WARNING, "the queue's redrive policy cannot be read yet: {error}" + _MESSAGE, "error"
    ),
    "lease.limit": _at(
        WARNING,
        "SQS hides no message for longer than 12 hours: the lease ends in {left:.0f} s" + _MESSAGE,
    ),
    "message.dead_lettered": _at(WARNING, "message dead-lettered: {why}" + _MESSAGE),
    "message.deleted": _quiet("message deleted" + _MESSAGE),
    "message.released": _at(INFO, "message released, visible in {delay} s: {why}" + _MESSAGE),
    "message.left": _at(WARNING, "message left to its lease: {why}" + _MESSAGE),
    "message.unsettled": _at(WARNING, "message not {settlement} yet: {error}" + _MESSAGE, "error"),
    "pool.resized": _at(INFO, "workers {from} → {to}: {reason}"),
    "pool.paused": _at(
        INFO, "paused: nothing more is received until fleet resume; running jobs go on"
    ),
    "pool.resumed": _at(INFO, "resumed"),
    "queue.paused": _at(
        INFO, "queue {queue} is paused: nothing more is received from it; running jobs go on"
    ),
    "queue.resumed": _at(INFO, "queue {queue} is resumed"),
    "queue.limited": _at(INFO, "queue {queue}: limit {from} → {to}"),
    "memory.short": _at(
        WARNING,
        "no message is taken until there is memory for one more job: "
        "{available_mib:.0f} MiB available, "
        "a job needs {job_mib:.0f} MiB, {floor_mib:.0f} MiB stay free",
    ),
    "memory.enough": _at(INFO, "there is memory for one more job again"),
    "pool.slots": EventFormat(INFO, INFO, "the slots:", block="table"),
    "log.lost": _at(
        WARNING, "nobody read this log for a while; lines lost by process {pid}: {lines}"
    ),
    "reload.missing": _at(WARNING, "HUP: a reload is not available yet; stop and start the pool"),
    "local.restarted": _at(
        WARNING,
        "the embedded SQS server was killed and is started again, pid {pid}; "
        "what was in it is lost",
    ),
    "control.restored": _at(
        WARNING, "what commands find this pool by was removed, and is made again: {path}"
    ),
    "control.lost": _at(
        WARNING,
        "commands cannot find this pool: {path} was removed and cannot be made again: {error}",
    ),
    "health.unwritten": _at(
        WARNING, "the health file {path} cannot be written: {error}; a probe of it will fail"
    ),
    "drain.started": _at(INFO, "stopping ({how}): {why}; {waits}"),
    "drain.finished": _at(
        INFO,
        "received {received} = deleted {deleted} + released {released} "
        "+ dead-lettered {dead_lettered} + left {left}"
        "{redriven}",
    ),
}
