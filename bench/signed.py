"""SQS over one keep-alive socket, each request signed here by SigV4: the least that a receive and a
delete can cost in Python.

It shares nothing with fleet, so that it stays a floor whatever fleet does. Plain HTTP, answers with
a known length, no retries: an answer that is not 200 ends the loop.
"""

import hashlib
import hmac
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

KEY, SECRET, REGION = "bench", "bench", "us-east-1"
SIGNED = "content-type;host;x-amz-date;x-amz-target"
TYPE = "application/x-amz-json-1.0"


class Calls:
    """One queue over one connection. WAIT is in seconds."""

    def __init__(self, endpoint_url: str, wait: int) -> None:
        address = urlsplit(endpoint_url)
        self.host = address.netloc
        self.socket = socket.create_connection((address.hostname, address.port), wait + 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.day, self.key = "", b""
        url = self.call("GetQueueUrl", {"QueueName": "bench"})["QueueUrl"]
        self.queue = {"QueueUrl": url}
        self.poll = self.queue | {
            "MaxNumberOfMessages": 1,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": 20,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
        }

    def receive(self) -> tuple[str, str] | None:
        """A message's body and receipt handle, or None when none came."""
        messages = self.call("ReceiveMessage", self.poll).get("Messages")
        return (messages[0]["Body"], messages[0]["ReceiptHandle"]) if messages else None

    def delete(self, handle: str) -> None:
        self.call("DeleteMessage", self.queue | {"ReceiptHandle": handle})

    def call(self, action: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """One request and its answer. Raises RuntimeError, and OSError."""
        body = json.dumps(parameters).encode()
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "content-type": TYPE,
            "host": self.host,
            "x-amz-date": date,
            "x-amz-target": f"AmazonSQS.{action}",
        }
        headers["authorization"] = self.sign(headers, body)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body)
        return self.answer()

    def sign(self, headers: dict[str, str], body: bytes) -> str:
        """The Authorization header, as Amazon's "Create a signed AWS API request" has it."""
        date = headers["x-amz-date"]
        day = date[:8]
        scope = f"{day}/{REGION}/sqs/aws4_request"
        if day != self.day:
            key = f"AWS4{SECRET}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.day, self.key = day, key
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"POST\n/\n\n{lines}\n{SIGNED}\n{hashlib.sha256(body).hexdigest()}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"
        signature = hmac.digest(self.key, text.encode(), "sha256").hex()
        credential = f"Credential={KEY}/{scope}, SignedHeaders={SIGNED}"
        return f"AWS4-HMAC-SHA256 {credential}, Signature={signature}"

    def answer(self) -> dict[str, Any]:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.more()
        head, _, content = received.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(content) < int(headers["content-length"]):
            content += self.more()
        if status.split()[1] != "200":
            raise RuntimeError(f"{status}: {content.decode()}")
        answer: dict[str, Any] = json.loads(content)
        return answer

    def more(self) -> bytes:
        received = self.socket.recv(65536)
        if not received:
            raise ConnectionError("the server has hung up")
        return received
