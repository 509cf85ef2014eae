"""SQS by requests that are signed here, by SigV4.

It shares nothing with fleet, so that it stays a floor whatever fleet does. No retries: an answer
that is not 200 ends the loop. What carries a request is given: bench/library_http.py or
bench/socket_http.py. They differ by more than their own work, because each module that a process
has loaded makes its forks dearer.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

KEY, SECRET, REGION = "bench", "bench", "us-east-1"
SIGNED = "content-type;host;x-amz-date;x-amz-target"
TYPE = "application/x-amz-json-1.0"


Exchange = Callable[[dict[str, str], bytes], tuple[int, bytes]]
"""From the headers and the body of a request to status and body of its answer."""


class Calls:
    """One queue at a HOST with its port. WAIT is in seconds."""

    def __init__(self, host: str, wait: int, exchange: Exchange) -> None:
        self.host = host
        self.exchange = exchange
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
        status, content = self.exchange(headers, body)
        if status != 200:
            raise RuntimeError(f"{status}: {content.decode()}")
        answer: dict[str, Any] = json.loads(content)
        return answer

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
