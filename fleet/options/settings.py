"""The one list of options of `fleet start`: name, default, what a value must be, what it means.

The flags of the command line, the names in the environment, the keys of fleet.toml, `fleet config`
and the help are all made of it.
"""

from dataclasses import dataclass, field
from typing import Any

from fleet.core.config import LONGEST_VISIBILITY
from fleet.options import checks
from fleet.options.checks import Check
from fleet.system.log_events import LEVELS

BODIES = ("text", "json", "sns", "message")


def option(
    default: Any,
    check: Check,
    help_text: str,
    *,
    short: str | None = None,
    shown: str | None = None,
    many: bool = False,
) -> Any:
    """One option: its default, what it must be, what it means.

    `short`: its flag of one letter. `shown`: the default as the help tells it. `many`: the flag may
    be given more than once. Without a value, None: defaults that depend on other values are filled
    in by consistency.py.
    """
    about = {"check": check, "help": help_text, "short": short, "shown": shown, "many": many}
    return field(default=default, metadata=about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every option of `fleet start`. Times are seconds. `queue`: of several the first."""

    queue: str | None = option(
        None,
        checks.QUEUE,
        "Queue name, URL or ARN. More than once: in strict order, or each with a weight, NAME=N.",
        short="-q",
        many=True,
    )
    local: bool = option(
        False, checks.FLAG, "Use the embedded SQS server (extra fleet-sqs[local])."
    )
    local_port: int = option(9324, checks.PORT, "The embedded server's port, on loopback.")
    endpoint_url: str | None = option(
        None, checks.URL, "SQS endpoint, if not AWS's own.", shown="boto3's"
    )
    region: str | None = option(None, checks.TEXT, "AWS region.", shown="boto3's")
    workers: int = option(
        "auto",
        checks.WORKERS,
        "Dispatchers pre-forked; auto: processors this process may use.",
        short="-w",
        shown="auto",
    )
    min_workers: int | None = option(
        None,
        checks.BOUND,
        "The fewest, when the pool sizes itself by queue depth.",
        shown="= workers",
    )
    max_workers: int | None = option(
        None,
        checks.BOUND,
        "The most, when the pool sizes itself by queue depth.",
        shown="= workers",
    )
    target_wait: float = option(
        60.0, checks.seconds(0.1), "How long a message may wait; what sizing aims at."
    )
    shrink_after: float = option(
        300.0, checks.seconds(0), "How long a smaller need must last before the pool shrinks."
    )
    starve_after: float | None = option(
        None,
        checks.seconds(0.1),
        "How long higher queues may hold back a lower one; then it gets one grant.",
        shown="none",
    )
    visibility_timeout: float = option(
        60.0,
        checks.seconds(2, LONGEST_VISIBILITY),
        "The lease; extended every third of it while a job runs.",
    )
    wait_time: float = option(
        10.0,
        checks.seconds(0, 20),
        "Long poll, at most two thirds of the lease; one a queue is open on an idle host.",
        shown="10, with --local 2",
    )
    exit_timeout: float = option(
        30.0, checks.seconds(0), "From SIGTERM to SIGKILL for a job that must stop."
    )
    job_timeout: float | None = option(
        None, checks.seconds(0.1), "Then a job is stopped, and its message fails.", shown="none"
    )
    body: str = option("text", checks.choice(*BODIES), "What the job is called with.")
    sns_topic: tuple[str, ...] = option(
        None,
        checks.TOPICS,
        "With --body sns: a topic whose messages are taken; more than once, or with commas.",
        shown="any",
        many=True,
    )
    sns_verify: bool = option(
        True, checks.FLAG, "With --body sns: refuse what SNS has not signed (extra fleet-sqs[sns])."
    )
    sns_max_age: float | None = option(
        None,
        checks.seconds(1),
        "With --body sns: refuse what SNS was given longer ago.",
        shown="none",
    )
    transformer: str | None = option(
        None, checks.CODE, "message → the job's arguments.", shown="none"
    )
    router: str | None = option(None, checks.CODE, "message → job and arguments.", shown="none")
    exit_handler: str | None = option(
        None, checks.CODE, "Cleans up after a job that was stopped, or died.", shown="none"
    )
    on_failure: str | None = option(
        None,
        checks.CODE,
        "Told of a job that failed, timed out or died, before its message is settled.",
        shown="none",
    )
    job_init: str | None = option(
        None, checks.CODE, "Called in each job's process, before transformer and job.", shown="none"
    )
    job_exit: str | None = option(
        None,
        checks.CODE,
        "Called there when all is done, with the exception or None.",
        shown="none",
    )
    retry_delay: tuple[float, ...] = option(
        None,
        checks.DELAYS,
        "After which a failed message is seen again, by attempt; the last one repeats, ±10 %.",
        shown="none: its lease runs out",
    )
    delete_failed: bool = option(
        False, checks.FLAG, "Delete the message of a job that failed, timed out or crashed."
    )
    on_lease_lost: str = option(
        None,
        checks.choice("continue", "kill"),
        "What happens to a job whose message others may get.",
        shown="continue, FIFO kill",
    )
    dead_letter: str = option(
        "native",
        checks.choice("native", "direct"),
        "Who moves a message after its last attempt: SQS, or fleet at once.",
    )
    drain_timeout: float = option(
        30.0, checks.seconds(0), "Running jobs' time to finish after SIGTERM; 0 stops them at once."
    )
    until_empty: bool = option(
        False,
        checks.FLAG,
        "End when the queue is empty and no job runs; exit 6 if a message ended badly.",
    )
    empty_for: float = option(
        None,
        checks.seconds(0.1),
        "How long it must be empty, with --until-empty.",
        shown="60, with --local 2",
    )
    batch_size: int = option(
        1,
        checks.BATCH_SIZE,
        "Messages that one receive may bring; they run one after another.",
    )
    max_seconds: float | None = option(
        None,
        checks.seconds(0.1),
        "From ready on; then drain: nothing new is begun, and what runs has its --job-timeout.",
        shown="none",
    )
    max_jobs: int | None = option(
        None,
        checks.COUNT,
        "Take that many messages, and end when they are done.",
        shown="none",
    )
    depth_interval: float = option(
        15.0, checks.seconds(0.1), "Between samples of the queue's counts, jittered."
    )
    preload: bool = option(True, checks.FLAG, "Import the app once, or in every job.")
    boot_timeout: float = option(
        60.0, checks.seconds(0.1), "Time for the app's import, and for a dispatcher to be ready."
    )
    start_timeout: float = option(
        30.0, checks.seconds(0), "How long a failing queue is retried at start."
    )
    transport: str = option(
        "auto",
        checks.choice("auto", "lean", "boto3"),
        "How SQS is called; auto: by fleet's own client, but by boto3's through a proxy.",
    )
    name: str = option(None, checks.NAME, "Names the pool: title, lock, logs.", shown="app@queue")
    control: str | None = option(
        None,
        checks.path(),
        "Path of the control socket.",
        shown="in the runtime directory",
    )
    health_file: str | None = option(
        None,
        checks.path("PATH"),
        "What the pool does, as JSON, rewritten at least every 5 s; see fleet health.",
        shown="none",
    )
    verbose: bool = option(False, checks.FLAG, "As --log-level debug.", short="-v")
    quiet: bool = option(False, checks.FLAG, "As --log-level warning.")
    log_level: str = option("info", checks.choice(*LEVELS), "What is logged at least.")
    log_format: str = option(
        "text", checks.choice("text", "json"), "How; json is one object a line."
    )
