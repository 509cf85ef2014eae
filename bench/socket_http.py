"""Requests over one socket, with no more HTTP than the stand-in's answers need, which have a known
length: the least that a call can cost in Python.
"""

import socket

from bench.signed import Exchange


def connect(host: str, timeout: float) -> Exchange:
    """TIMEOUT is in seconds."""
    name, _, port = host.partition(":")
    connection = socket.create_connection((name, int(port)), timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def exchange(headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST / HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return _answer(connection)

    return exchange


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, content = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    length = int(dict(line.lower().split(": ", 1) for line in lines)["content-length"])
    while len(content) < length:
        content += _more(connection)
    return int(status.split()[1]), content


def _more(connection: socket.socket) -> bytes:
    received = connection.recv(65536)
    if not received:
        raise ConnectionError("the server has hung up")
    return received
