"""What a queue's settings will make people suffer from, said at the start."""


def on_redrive(max_receive_count: int | None) -> list[str]:
    """One line for each thing worth changing; None means that the queue has no redrive policy."""
    match max_receive_count:
        case None:
            return ["it has no dead-letter queue: a message that always fails is tried for ever (RedrivePolicy)"]
        case 1:
            return ["maxReceiveCount is 1: there are no retries, and a message interrupted by a stop is dead-lettered"]
        case 2:
            return ["maxReceiveCount is 2: one interruption and one failure dead-letter a message; 3 or more is safer"]
        case _:
            return []
