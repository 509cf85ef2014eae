"""SNS as a receiver sees it, on loopback: signed envelopes, and the host of the certificate.

The host is reached as the world is from behind a proxy: a tunnel that ends at whoever speaks TLS
with a certificate for the right name. Nothing of the program under test knows of it.
"""

import base64
import datetime as dt
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

HOST = "sns.us-east-1.amazonaws.com"
CERTIFICATE_URL = f"https://{HOST}/SimpleNotificationService-0123456789abcdef.pem"
TOPIC = "arn:aws:sns:us-east-1:123456789012:mail"
OTHER_TOPIC = "arn:aws:sns:us-east-1:123456789012:other"
NAMES = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")


def envelope(
    message: str, subject: str | None = None, topic: str = TOPIC, **more: object
) -> dict[str, object]:
    """What SNS puts around a message, without a signature."""
    found: dict[str, object] = {
        "Type": "Notification",
        "MessageId": "5d1dc3a1-0000-5f7e-8a3c-9a1d2f3b4c5d",
        "TopicArn": topic,
        "Message": message,
        "Timestamp": "2026-01-31T12:00:00.000Z",
    }
    return found | ({} if subject is None else {"Subject": subject}) | more


@dataclass(frozen=True)
class Signer:
    """SNS's key, and the certificate that goes with it."""

    key: rsa.RSAPrivateKey
    certificate: bytes

    @classmethod
    def new(cls, bits: int = 2048, days: tuple[float, float] = (-1, 1)) -> "Signer":
        """`days`: from when until when its certificate is good, from now on."""
        key = rsa.generate_private_key(65537, bits)
        return cls(
            key, _pem(_certificate(key, "sns.amazonaws.com", key, "sns.amazonaws.com", days=days))
        )

    def signed(
        self, found: dict[str, object], version: str = "1", url: str = CERTIFICATE_URL
    ) -> str:
        """The envelope as it lies in the queue."""
        text = "".join(f"{name}\n{found[name]}\n" for name in NAMES if name in found)
        digest = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303  # what SNS does
        value = base64.b64encode(self.key.sign(text.encode(), padding.PKCS1v15(), digest)).decode()
        return json.dumps(
            found | {"SignatureVersion": version, "Signature": value, "SigningCertURL": url}
        )


def _certificate(
    key: rsa.RSAPrivateKey,
    name: str,
    by: rsa.RSAPrivateKey,
    by_name: str,
    ca: bool = False,
    days: tuple[float, float] = (-1, 1),
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    begin, end = (now + dt.timedelta(days=each) for each in days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by_name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
    return builder.sign(by, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass
class Host:
    """SNS's host behind a tunnel. It answers with `status`, `answer` and `location`."""

    directory: Path
    answer: bytes
    status: str = "200 OK"
    location: str = ""
    tunnels: list[str] = field(default_factory=list)
    """Where clients wanted to go to."""
    paths: list[str] = field(default_factory=list)
    """What they asked for."""

    def __post_init__(self) -> None:
        authority, own = (
            rsa.generate_private_key(65537, 2048),
            rsa.generate_private_key(65537, 2048),
        )
        chain, self.trusted = self.directory / "host.pem", self.directory / "authority.pem"
        self.trusted.write_bytes(
            _pem(_certificate(authority, "a test", authority, "a test", ca=True))
        )
        key = own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        chain.write_bytes(_pem(_certificate(own, HOST, authority, "a test")) + key)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(chain)
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes a program go through the tunnel, and trust whom it meets there."""
        port = self._socket.getsockname()[1]
        return {"HTTPS_PROXY": f"http://127.0.0.1:{port}", "SSL_CERT_FILE": str(self.trusted)}

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.settimeout(10)
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        self.tunnels.append(_head(client).split()[1])
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with self._tls.wrap_socket(client, server_side=True) as tls:
            self.paths.append(_head(tls).split()[1])
            length = f"Content-Length: {len(self.answer)}\r\nConnection: close\r\n"
            head = f"HTTP/1.1 {self.status}\r\n{length}"
            head += f"Location: {self.location}\r\n" if self.location else ""
            tls.sendall(head.encode() + b"\r\n" + self.answer)


def _head(client: socket.socket) -> str:
    found = b""
    while b"\r\n\r\n" not in found:
        more = client.recv(4096)
        if not more:
            raise ConnectionError
        found += more
    return found.decode()


@contextmanager
def sns_host(directory: Path, answer: bytes) -> Iterator[Host]:
    """A host until the block ends."""
    host = Host(directory, answer)
    try:
        yield host
    finally:
        host.close()
