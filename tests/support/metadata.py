"""A stand-in for an instance's metadata service (IMDSv2), which counts what it is asked.

Source of the calls: "Retrieve security credentials from instance metadata" of the EC2 user guide.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ROLE = "/latest/meta-data/iam/security-credentials/"


class MetadataService:
    """Hands out the keys of a role: `KEY1` until it is told to give others.

    `seconds`: how long they are good. `delay` holds answers until it is set; `broken` answers 500.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.number = 1
        self.asked: list[str] = []
        self.broken = False
        self.let_go = threading.Event()
        self.let_go.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                self._answer("a-token")

            def do_GET(self) -> None:
                is_known = self.headers.get("X-aws-ec2-metadata-token") == "a-token"
                if not is_known:
                    self._answer("", 401)
                else:
                    self._answer("role" if self.path == ROLE else service.keys())

            def _answer(self, text: str, status: int = 200) -> None:
                service.asked.append(f"{self.command} {self.path}")
                service.let_go.wait()
                data = text.encode()
                self.send_response(500 if service.broken else status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # whoever asked is gone
                    return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def access_key(self) -> str:
        """Of the keys that are handed out now."""
        return f"KEY{self.number}"

    def keys(self) -> str:
        """As the service tells them."""
        until = datetime.now(UTC) + timedelta(seconds=self.seconds)
        return json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "AccessKeyId": self.access_key,
                "SecretAccessKey": "secret",
                "Token": f"token{self.number}",
                "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of a program that is to find its keys here and nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": "",
            "AWS_SECRET_ACCESS_KEY": "",
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}/",
        }

    def close(self) -> None:
        """Answer what is held, and end."""
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def metadata_service(seconds: float = 21_600) -> Iterator[MetadataService]:
    """Run one until the block ends."""
    service = MetadataService(seconds)
    try:
        yield service
    finally:
        service.close()
