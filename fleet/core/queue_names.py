"""How a queue is named: by its name, its URL or its ARN."""

ARN = "arn:"


def is_url(queue: str) -> bool:
    """Whether it is a URL."""
    return "://" in queue


def queue_name(queue: str) -> str:
    """The queue's own name: the last part of its URL or ARN."""
    if is_url(queue):
        return queue.partition("://")[2].partition("/")[2].rstrip("/").rpartition("/")[2]
    return queue.rpartition(":")[2] if queue.startswith(ARN) else queue


def is_fifo(queue: str) -> bool:
    """Whether the queue keeps the order of a group's messages; its name, URL and ARN all say so."""
    return queue.endswith(".fifo")
