"""Requests over one keep-alive connection of http.client. It loads TLS too, as a program must that
is to reach SQS.
"""

from http.client import HTTPConnection

from bench.signed import Exchange


def connect(host: str, timeout: float) -> Exchange:
    """TIMEOUT is in seconds."""
    connection = HTTPConnection(host, timeout=timeout)

    def exchange(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    return exchange
