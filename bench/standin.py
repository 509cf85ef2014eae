"""A stand-in endpoint for benchmarks, so that the server is not what they measure.

It is not SQS and not an emulator of it: one queue under every name, no signatures, no dead-letter
queue, no FIFO. It speaks just enough of the JSON protocol over keep-alive connections that a pool
can run against it, some thousand requests a second, and it writes down when each message was sent,
first received and deleted (CLOCK_MONOTONIC, so other processes of the host can compare). A poll
whose client goes away is forgotten; SQS would let it swallow a message.

    python -m bench.standin PORT        0 takes a free port; the first line says `ready PORT`

Control requests, answered with JSON on the same port:

    POST /bodies                        a JSON array of texts, which messages carry from now on
    POST /fill?n=1000[&from=NUMBER]     put messages with the numbers from 0 or NUMBER on; each
                                        carries its number, or the text of that index, in rotation
    GET  /stats                         requests by kind, empty receives, counts, open polls
    GET  /messages                      of every message body, receives, and when it was sent,
                                        received and deleted (ns, or null)
    GET  /wait?deleted=N                answers /stats once N messages were deleted
    GET  /wait?polls=N                  answers /stats once N long polls are open
    POST /flush                         every open poll comes home empty, now
    POST /reset                         forget everything but the texts
    POST /down?seconds=30               hang up, and refuse connections for so long
"""

import asyncio
import hashlib
import heapq
import json
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

JSON = dict[str, Any]


@dataclass(slots=True)
class Message:
    """One message and its life so far; times in nanoseconds of CLOCK_MONOTONIC, 0 while they have
    not come.
    """

    id: str
    body: str
    md5: str
    sent: int
    received: int = 0
    deleted: int = 0
    receives: int = 0
    deliveries: list[int] = field(default_factory=list)  # when each receive was
    released: int = 0  # when it was last told to show itself
    visible_at: int = 0  # while hidden

    def answer(self) -> JSON:
        """This delivery as ReceiveMessage tells it."""
        return {
            "MessageId": self.id,
            "ReceiptHandle": f"{self.id}/{self.receives}",
            "MD5OfBody": self.md5,
            "Body": self.body,
            "Attributes": {
                "SenderId": "STANDIN",
                "SentTimestamp": str(self.sent // 1_000_000),
                "ApproximateReceiveCount": str(self.receives),
                "ApproximateFirstReceiveTimestamp": str(self.received // 1_000_000),
            },
        }


@dataclass(slots=True)
class Queue:
    """The messages: visible ones in order, hidden ones in a heap by the time at which they come
    back.
    """

    messages: dict[str, Message] = field(default_factory=dict)
    visible: deque[Message] = field(default_factory=deque)
    hidden: list[tuple[int, str]] = field(default_factory=list)
    deleted: int = 0

    def put(self, body: str, now: int) -> Message:
        message = Message(
            f"00000000-0000-4000-8000-{len(self.messages):012x}",
            body,
            hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
            now,
        )
        self.messages[message.id] = message
        self.visible.append(message)
        return message

    def take(self, limit: int, seconds: int, now: int) -> list[Message]:
        """Up to `limit` visible messages, hidden from now on for so many seconds."""
        taken: list[Message] = []
        while self.visible and len(taken) < limit:
            message = self.visible.popleft()
            if message.deleted:
                continue
            message.receives += 1
            message.received = message.received or now
            message.deliveries.append(now)
            taken.append(message)
            self.hide(message, seconds, now)
        return taken

    def hide(self, message: Message, seconds: int, now: int) -> None:
        message.visible_at = now + seconds * 1_000_000_000
        heapq.heappush(self.hidden, (message.visible_at, message.id))

    def delete(self, message: Message, now: int) -> None:
        if not message.deleted:
            message.deleted = now
            self.deleted += 1

    def next_return(self) -> int | None:
        """When the first hidden message comes back, in nanoseconds; entries that are void are
        dropped.
        """
        while self.hidden:
            at, id_ = self.hidden[0]
            message = self.messages[id_]
            if not message.deleted and message.visible_at == at:
                return at
            heapq.heappop(self.hidden)
        return None

    def bring_back(self, now: int) -> None:
        """Make visible again whatever has been hidden long enough."""
        while (at := self.next_return()) is not None and at <= now:
            message = self.messages[heapq.heappop(self.hidden)[1]]
            message.visible_at = 0
            self.visible.append(message)

    def counts(self) -> dict[str, int]:
        visible = sum(not message.deleted for message in self.visible)
        left = len(self.messages) - self.deleted
        return {
            "messages": len(self.messages),
            "deleted": self.deleted,
            "visible": visible,
            "in_flight": left - visible,
        }


@dataclass(slots=True, eq=False)
class Poll:
    """An open long poll."""

    connection: "Connection"
    limit: int
    seconds: int
    timer: asyncio.TimerHandle | None = None


class StandIn:
    """The requests: SQS's actions, the control requests, and who waits for what."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.port = 0
        self.server: asyncio.Server
        self.connections: set[Connection] = set()
        self.return_timer: asyncio.TimerHandle | None = None
        self.returns_at = 0
        self.polls: deque[Poll] = deque()
        self.waiting: list[tuple[Connection, dict[str, str]]] = []
        self.actions: dict[str, Callable[[Connection, JSON, int], JSON | None]] = {
            "GetQueueUrl": self.get_queue_url,
            "GetQueueAttributes": self.get_queue_attributes,
            "ReceiveMessage": self.receive_message,
            "DeleteMessage": self.delete_message,
            "ChangeMessageVisibility": self.change_message_visibility,
            "SendMessage": self.send_message,
            "SendMessageBatch": self.send_message_batch,
            "DeleteMessageBatch": self.delete_message_batch,
            "ChangeMessageVisibilityBatch": self.change_message_visibility_batch,
        }
        self.bodies: list[str] = []
        self.reset()

    def reset(self) -> None:
        self.queue = Queue()
        self.requests: Counter[str] = Counter()
        self.empty_receives = 0

    # SQS's actions: the answer's body, or None when the answer comes later.

    def get_queue_url(self, _connection: "Connection", request: JSON, _now: int) -> JSON:
        return {"QueueUrl": f"http://127.0.0.1:{self.port}/000000000000/{request['QueueName']}"}

    def get_queue_attributes(self, _connection: "Connection", request: JSON, _now: int) -> JSON:
        name = request["QueueUrl"].rpartition("/")[2]
        counts = self.queue.counts()
        redrive = {
            "deadLetterTargetArn": f"arn:aws:sqs:us-east-1:000000000000:{name}-dlq",
            "maxReceiveCount": 1000,
        }
        attributes = {
            "QueueArn": f"arn:aws:sqs:us-east-1:000000000000:{name}",
            "ApproximateNumberOfMessages": str(counts["visible"]),
            "ApproximateNumberOfMessagesNotVisible": str(counts["in_flight"]),
            "ApproximateNumberOfMessagesDelayed": "0",
            "VisibilityTimeout": "30",
            "MessageRetentionPeriod": "1209600" if name.endswith("-dlq") else "345600",
            "RedrivePolicy": json.dumps(redrive),
        }
        asked = request.get("AttributeNames", [])
        return {"Attributes": {k: v for k, v in attributes.items() if k in asked or "All" in asked}}

    def receive_message(self, connection: "Connection", request: JSON, now: int) -> JSON | None:
        limit, seconds = request.get("MaxNumberOfMessages", 1), request.get("VisibilityTimeout", 30)
        taken = self.queue.take(limit, seconds, now)
        if taken:
            self.watch_returns()
            return {"Messages": [message.answer() for message in taken]}
        wait = request.get("WaitTimeSeconds", 0)
        if not wait:
            self.empty_receives += 1
            return {}
        poll = Poll(connection, limit, seconds)
        poll.timer = self.loop.call_later(wait, self.come_home_empty, poll)
        self.polls.append(poll)
        self.answer_waiting()
        return None

    def delete_message(self, _connection: "Connection", request: JSON, now: int) -> JSON:
        self.queue.delete(self.message_of(request), now)
        self.answer_waiting()
        return {}

    def change_message_visibility(self, _connection: "Connection", request: JSON, now: int) -> JSON:
        message, seconds = self.message_of(request), request["VisibilityTimeout"]
        if seconds == 0:
            message.released = now
        self.queue.hide(message, seconds, now)
        self.watch_returns()
        return {}

    def send_message(self, _connection: "Connection", request: JSON, now: int) -> JSON:
        message = self.queue.put(request["MessageBody"], now)
        self.serve_polls(now)
        return {"MessageId": message.id, "MD5OfMessageBody": message.md5}

    def send_message_batch(self, connection: "Connection", request: JSON, now: int) -> JSON:
        return self.each_of(request, lambda entry: self.send_message(connection, entry, now))

    def delete_message_batch(self, connection: "Connection", request: JSON, now: int) -> JSON:
        return self.each_of(request, lambda entry: self.delete_message(connection, entry, now))

    def change_message_visibility_batch(
        self, connection: "Connection", request: JSON, now: int
    ) -> JSON:
        return self.each_of(
            request, lambda entry: self.change_message_visibility(connection, entry, now)
        )

    def each_of(self, request: JSON, act: Callable[[JSON], JSON]) -> JSON:
        done = [{"Id": entry["Id"], **act(entry)} for entry in request["Entries"]]
        return {"Successful": done, "Failed": []}

    def message_of(self, request: JSON) -> Message:
        return self.queue.messages[request["ReceiptHandle"].partition("/")[0]]

    # Long polls and hidden messages.

    def serve_polls(self, now: int) -> None:
        while self.polls and (
            taken := self.queue.take(self.polls[0].limit, self.polls[0].seconds, now)
        ):
            self.close_poll(self.polls[0], {"Messages": [message.answer() for message in taken]})
            self.watch_returns()

    def come_home_empty(self, poll: Poll) -> None:
        self.empty_receives += 1
        self.close_poll(poll, {})

    def close_poll(self, poll: Poll, answer: JSON) -> None:
        self.polls.remove(poll)
        if poll.timer:
            poll.timer.cancel()
        poll.connection.answer(answer)

    def forget(self, connection: "Connection") -> None:
        """A client went away: so do its polls."""
        for poll in [poll for poll in self.polls if poll.connection is connection]:
            self.polls.remove(poll)
            if poll.timer:
                poll.timer.cancel()
        self.waiting = [entry for entry in self.waiting if entry[0] is not connection]

    def watch_returns(self) -> None:
        """Have one timer at the time at which the first hidden message comes back, or earlier."""
        at = self.queue.next_return()
        if at is None or (self.return_timer and self.returns_at <= at):
            return
        if self.return_timer:
            self.return_timer.cancel()
        self.returns_at = at
        self.return_timer = self.loop.call_later(
            max(0.0, (at - time.monotonic_ns()) / 1e9), self.bring_back
        )

    def bring_back(self) -> None:
        self.return_timer = None
        now = time.monotonic_ns()
        self.queue.bring_back(now)
        self.serve_polls(now)
        self.watch_returns()

    # Control requests.

    def control(
        self, connection: "Connection", method: str, target: str, body: bytes, now: int
    ) -> JSON | None:
        """The answer to a control request, or None when it comes later."""
        url = urlsplit(target)
        arguments = dict(parse_qsl(url.query))
        match method, url.path:
            case "POST", "/fill":
                first = int(arguments.get("from", 0))
                for number in range(first, first + int(arguments["n"])):
                    self.queue.put(self.body_of(number), now)
                self.serve_polls(now)
            case "POST", "/bodies":
                self.bodies = json.loads(body)
            case "POST", "/flush":
                for poll in list(self.polls):
                    self.come_home_empty(poll)
            case "POST", "/reset":
                self.reset()
            case "POST", "/down":
                self.loop.call_soon(self.go_down, float(arguments["seconds"]))
            case "GET", "/wait":
                self.waiting.append((connection, arguments))
                self.answer_waiting()
                return None
            case "GET", "/messages":
                fields = (
                    "body",
                    "sent",
                    "received",
                    "deliveries",
                    "released",
                    "deleted",
                    "receives",
                )
                everything = self.queue.messages.values()
                return {
                    "messages": [
                        {name: getattr(message, name) for name in fields} for message in everything
                    ]
                }
        return self.stats()

    def body_of(self, number: int) -> str:
        return self.bodies[number % len(self.bodies)] if self.bodies else str(number)

    def go_down(self, seconds: float) -> None:
        """Hang up and refuse connections; messages that are hidden come back all the same."""
        self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        self.loop.call_later(seconds, lambda: self.loop.create_task(self.listen(self.port)))

    async def listen(self, port: int) -> None:
        """Take connections on a loopback port; 0 takes a free one."""
        self.server = await self.loop.create_server(
            lambda: Connection(self), "127.0.0.1", port, backlog=512
        )
        self.port = self.server.sockets[0].getsockname()[1]

    def stats(self) -> JSON:
        polls = {"open_polls": len(self.polls), "empty_receives": self.empty_receives}
        return {"requests": dict(self.requests), **polls, **self.queue.counts()}

    def answer_waiting(self) -> None:
        if not self.waiting:
            return
        reached = {"deleted": self.queue.deleted, "polls": len(self.polls)}
        met = [
            e
            for e in self.waiting
            if all(reached[name] >= int(value) for name, value in e[1].items())
        ]
        self.waiting = [entry for entry in self.waiting if entry not in met]
        for connection, _ in met:
            connection.answer(self.stats())


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive: one request at a time, a body of known length."""

    transport: asyncio.Transport

    def __init__(self, standin: StandIn) -> None:
        self.standin = standin
        self.pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.standin.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # however it ended
        self.standin.connections.discard(self)
        self.standin.forget(self)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.pending += data
        head, end, rest = self.pending.partition(b"\r\n\r\n")
        if not end:
            return
        request_line, _, lines = head.decode("latin-1").partition("\r\n")
        headers = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in lines.split("\r\n"))
        }
        length = int(headers.get("content-length", 0))
        if len(rest) < length:
            return
        self.pending = rest[length:]
        self.serve(request_line, headers, rest[:length], now)

    def serve(self, request_line: str, headers: dict[str, str], body: bytes, now: int) -> None:
        method, target, _ = request_line.split(" ")
        action = headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
        if not action:
            answer = self.standin.control(self, method, target, body, now)
        elif action in self.standin.actions:
            self.standin.requests[action] += 1
            answer = self.standin.actions[action](self, json.loads(body), now)
        else:
            self.answer(
                {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": action},
                "400 Bad Request",
            )
            return
        if answer is not None:
            self.answer(answer)

    def answer(self, body: JSON, status: str = "200 OK") -> None:
        content = json.dumps(body).encode()
        head = (
            f"HTTP/1.1 {status}\r\nx-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\n"
            f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)


async def serve(port: int) -> None:
    """Serve on a loopback port until killed."""
    standin = StandIn(asyncio.get_running_loop())
    await standin.listen(port)
    print(f"ready {standin.port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
