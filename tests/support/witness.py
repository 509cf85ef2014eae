"""Stands in the proxy and sees whether a message is given away while a process that worked on it exists."""

import threading

from tests.support.gates import Trace
from tests.support.processes import is_alive
from tests.support.proxy import Exchange, FaultProxy


class Witness:
    """Looks at every request that gives a message away, and at every message handed out again.

    The processes that worked on a message are those that wrote to the trace with its id, children of jobs too.
    """

    def __init__(self, proxy: FaultProxy, trace: Trace) -> None:
        self._trace = trace
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()
        self.seen: list[str] = []
        """Each moment that was looked at: its action and the message's id."""
        self.broken: list[str] = []
        """Each time the rule did not hold."""
        proxy.watches.append(self._watch)

    def _watch(self, exchange: Exchange) -> None:
        match exchange.action:
            case "ReceiveMessage" if exchange.answer:
                for message in exchange.answer.get("Messages") or []:
                    self._ids[message["ReceiptHandle"]] = message["MessageId"]
                    self._look("ReceiveMessage", message["MessageId"])
            case "DeleteMessage" | "ChangeMessageVisibility" if exchange.answer is None:
                kept = exchange.action != "DeleteMessage" and exchange.request["VisibilityTimeout"]
                if not kept:
                    self._look(exchange.action, self._ids[exchange.request["ReceiptHandle"]])

    def _look(self, action: str, message_id: str) -> None:
        alive = [line.pid for line in self._trace.lines() if line.message_id == message_id and is_alive(line.pid)]
        with self._lock:
            self.seen.append(f"{action} {message_id}")
            if alive:
                self.broken.append(f"{action} of {message_id} while {alive} exist")
