"""What a queue's settings will make people suffer from, said at the start."""

from collections.abc import Sequence

from fleet.core.queue import Trouble
from fleet.core.queue_names import is_fifo

SHORT_LEASE = 10  # seconds: below it is said


def advise_on_redrive(max_receive_count: int | None) -> list[str]:
    """One line for each thing worth changing. None: the queue has no redrive policy."""
    match max_receive_count:
        case None:
            return [
                (
                    "it has no dead-letter queue: "
                    "a message that always fails is tried for ever (RedrivePolicy)"
                )
            ]
        case 1:
            return [
                (
                    "maxReceiveCount is 1: there are no retries, "
                    "and a message interrupted by a stop is dead-lettered"
                )
            ]
        case 2:
            return [
                (
                    "maxReceiveCount is 2: one interruption and one failure dead-letter a message; "
                    "3 or more is safer"
                )
            ]
        case _:
            return []


def advise_on_dead_letters(name: str, trouble: Trouble, *, direct: bool) -> list[str]:
    """What is wrong with a dead-letter queue that was looked up.

    That the look is denied is no trouble of its own: SQS itself moves messages there.
    """
    if trouble is Trouble.GONE:
        return [
            (
                f"its dead-letter queue {name!r} does not exist: "
                "a message that is rejected there counts as failed"
            )
        ]
    if trouble is Trouble.DENIED and direct:
        return [
            (
                f"--dead-letter direct: its dead-letter queue {name!r} "
                "may not be looked up (sqs:GetQueueUrl)"
            )
        ]
    return []


def advise_on_visibility(seconds: float) -> list[str]:
    """A lease is extended over a network, and its job does not learn that it is lost."""
    if seconds >= SHORT_LEASE:
        return []
    return [
        (
            f"--visibility-timeout {seconds:g}: a few seconds without an answer lose the lease; "
            "10 or more is safer"
        )
    ]


def advise_on_retry_delay(queue: str, delays: Sequence[float]) -> list[str]:
    """A delayed message of a FIFO queue holds up its whole group."""
    if not is_fifo(queue) or not delays:
        return []
    return [
        (
            f"--retry-delay holds up a failed message's whole group for up to {max(delays):g} s: "
            "it is a FIFO queue"
        )
    ]


def advise_on_topics(body: str, topics: Sequence[str], *, verified: bool) -> list[str]:
    """A good signature says that SNS sent the message, and not for whom."""
    if body != "sns" or topics or not verified:
        return []
    return ["--body sns without --sns-topic takes what anybody's SNS topic sends to it"]


def batch_trouble(queue: str, size: int, max_receive_count: int | None) -> str | None:
    """Why --batch-size cannot be used, if it cannot.

    Where the first attempt is the last, a message that waits may be lost without a try.
    """
    if size == 1 or max_receive_count != 1:
        return None
    return (
        f"queue {queue!r}: --batch-size {size} needs a maxReceiveCount of 2 or more, and it is 1: "
        "a message that waits behind another one would be dead-lettered without a try "
        "when the pool stops"
    )
