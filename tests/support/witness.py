"""Watches in the proxy that no message is given away while a process works on it.

Nor may one be deleted unfinished.
"""

import threading

from tests.support.gates import Trace
from tests.support.processes import is_alive, is_stopped, title
from tests.support.proxy import Exchange, FaultProxy

LAST = 1_000_000


def is_at_work(pid: int, message_id: str) -> bool:
    """Say whether the process lives and is still the one that wrote.

    Its title, or one of its children's, has the id.
    """
    return is_alive(pid) and message_id in title(pid)


class Witness:
    """Looks at every request that gives a message away, and at every message handed out again.

    The processes that worked on a message are those that wrote to the trace with its id, children
    of jobs too.
    """

    def __init__(self, proxy: FaultProxy, trace: Trace) -> None:
        self._trace = trace
        self._ids: dict[str, str] = {}
        self._attempts: dict[str, int] = {}  # by receipt handle
        self._lock = threading.Lock()
        self.seen: list[str] = []
        """Each moment that was looked at: its action and the message's id."""
        self.broken: list[str] = []
        """Each time the rule did not hold."""
        self.unfinished: list[str] = []
        """Messages that were to be deleted although no job had come to its end."""
        proxy.watches.append(self._watch)

    def _watch(self, exchange: Exchange) -> None:
        match exchange.action:
            case "ReceiveMessage" if exchange.answer:
                for message in exchange.answer.get("Messages") or []:
                    self._ids[message["ReceiptHandle"]] = message["MessageId"]
                    received = message.get("Attributes", {}).get("ApproximateReceiveCount", "1")
                    self._attempts[message["ReceiptHandle"]] = int(received)
                    self._look("ReceiveMessage", message["MessageId"])
            case "DeleteMessage" | "ChangeMessageVisibility" if exchange.answer is None:
                kept = exchange.action != "DeleteMessage" and exchange.request["VisibilityTimeout"]
                if not kept and (message_id := self._ids.get(exchange.request["ReceiptHandle"])):
                    # What is done may be deleted late, when its lease has run out and somebody else
                    # is at it again.
                    deleted = exchange.action == "DeleteMessage"
                    upto = self._attempts[exchange.request["ReceiptHandle"]] if deleted else LAST
                    self._look(exchange.action, message_id, upto)
                    if exchange.action == "DeleteMessage":
                        self._finished(message_id)

    def _finished(self, message_id: str) -> None:
        if not any(line.what == "done" for line in self._trace.of(message_id)):
            with self._lock:
                self.unfinished.append(message_id)

    def _look(self, action: str, message_id: str, upto: int = LAST) -> None:
        """Whoever works on it, or has worked on it up to that attempt."""
        lines = [line for line in self._trace.of(message_id) if line.attempt <= upto]
        alive = {line.pid for line in lines if is_at_work(line.pid, message_id)}
        with self._lock:
            self.seen.append(f"{action} {message_id}")
            if alive:
                who = {
                    pid: f"{title(pid)} {'stopped' if is_stopped(pid) else 'runs'}" for pid in alive
                }
                self.broken.append(f"{action} of {message_id} while {who} exist")
