"""A server on loopback that takes what is sent to it, and remembers it: what a collector sees."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.eventually import eventually


class Sink:
    """Bodies as they came, unpacked."""

    def __init__(self) -> None:
        self._taken: list[bytes] = []
        taken = self._taken

        class Take(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                taken.append(gzip.decompress(body) if packed else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    def count(self, *words: str) -> int:
        """How many bodies have all of these words."""
        return sum(all(word.encode() in body for word in words) for body in list(self._taken))

    def wait(self, *words: str) -> None:
        """Until there is one."""
        eventually(lambda: self.count(*words), what=lambda: f"{words} in {self._taken}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
