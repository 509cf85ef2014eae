"""A queue in a list: the stand-in for SQS in tests of the library.

It has the protocol's methods and nothing else.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fleet import Message, QueueError
from fleet.core.depth import Depth


class MemoryQueue:
    """Messages in memory, and what a test has asked for.

    `calls`: the calls so far; `during`: what is to happen inside a call; `fails`: what is to
    be answered.

    A message that is released without a delay can be received again at once; whatever is hidden
    stays hidden.
    """

    def __init__(self, *bodies: str, limit: int | None = 3, trace: Path | None = None) -> None:
        self.visible = [
            Message(f"m{number}", f"handle-{number}", body)
            for number, body in enumerate(bodies, start=1)
        ]
        self.hidden: list[Message] = []
        self.dead: list[Message] = []
        self.calls: list[tuple[Any, ...]] = []
        self.during: dict[str, Callable[[], object]] = {}
        self.fails: dict[str, list[QueueError]] = {}
        self.limit, self._trace, self.attempts = limit, trace, dict[str, int]()

    def _called(self, verb: str, *arguments: Any) -> None:
        self.calls.append((verb, *arguments))
        if self._trace:
            with self._trace.open("a") as trace:
                trace.write(json.dumps([verb, *arguments]) + "\n")
        if verb in self.during:
            self.during.pop(verb)()
        if self.fails.get(verb):
            raise self.fails[verb].pop(0)

    def asked(self, verb: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of that verb."""
        return [call[1:] for call in self.calls if call[0] == verb]

    def receive(self, wait: float, visibility: float) -> Message | None:
        self._called("receive", wait, visibility)
        if not self.visible:
            return None
        found = self.visible.pop(0)
        attempt = self.attempts[found.id] = self.attempts.get(found.id, 0) + 1
        message = replace(found, attempt=attempt)
        self.hidden.append(message)
        return message

    def extend(self, message: Message, seconds: int) -> None:
        self._called("extend", message.id, seconds)

    def delete(self, message: Message) -> None:
        self._called("delete", message.id)
        self._take(message)

    def release(self, message: Message, delay: int = 0) -> None:
        self._called("release", message.id, delay)
        if not delay:
            self.visible.append(self._take(message))

    def dead_letter(self, message: Message, attributes: Mapping[str, str]) -> None:
        self._called("dead_letter", message.id, sorted(attributes))
        self.dead.append(message)

    def depth(self) -> Depth:
        self._called("depth")
        return Depth(len(self.visible), len(self.hidden), 0)

    def max_receive_count(self) -> int | None:
        self._called("max_receive_count")
        return self.limit

    def _take(self, message: Message) -> Message:
        (found,) = [each for each in self.hidden if each.id == message.id]
        self.hidden.remove(found)
        return found
