"""Whether an SNS signature is good.

It is the sole importer of `cryptography` (extra `sns`), and of the network in a job's process.

A certificate is fetched over HTTPS from SNS's own host (core/sns.py has looked at its URL; a
redirect is not followed), and kept for a day in the runtime directory: jobs are short-lived, and
each of them is a new process. That it came from there is what makes it SNS's: its chain, its names
and its revocation are not looked at, only its dates and the size of its key.

docs/decisions/0019 has the reasons.
"""

import base64
import contextlib
import datetime as dt
import hashlib
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fleet.core.sns import Signature, Unusable
from fleet.system import files, host

FETCH_TIMEOUT = 5.0  # seconds
LARGEST = 65_536  # bytes; a certificate has about 2,000
KEPT = 86_400.0  # seconds
SMALLEST = 2048  # bits of a key
# By SignatureVersion.
HASHES: dict[str, type[hashes.HashAlgorithm]] = {"1": hashes.SHA1, "2": hashes.SHA256}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the URL decided who may speak for SNS, and names nobody else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect is an error."""


class _BadCertificate(ValueError):
    """It must not be believed; the text goes on after "its signing certificate"."""


def check(signature: Signature) -> None:
    """Raises Unusable unless SNS has signed the text."""
    key = _key(signature.certificate)
    try:
        value = base64.b64decode(signature.value, validate=True)
        key.verify(value, signature.text.encode(), padding.PKCS1v15(), HASHES[signature.version]())
    except (InvalidSignature, ValueError):
        raise Unusable("its SNS signature is not good: it is not what SNS sent") from None


def _key(url: str) -> rsa.RSAPublicKey:
    path = _path(url)
    if path is not None:
        with contextlib.suppress(OSError, ValueError):  # not there, or not whole: fetched (again)
            if time.time() - path.stat().st_mtime < KEPT:
                return _read_key(files.read(path, LARGEST))
    certificate = _fetch(url)
    try:
        key = _read_key(certificate)
    except _BadCertificate as error:
        raise Unusable(f"its signing certificate {error}") from None
    except ValueError:
        raise Unusable(
            "what is at its signing certificate's URL is not an RSA certificate"
        ) from None
    if path is not None:
        with contextlib.suppress(OSError):  # a full disk costs a fetch, no more
            files.write(path, certificate)
    return key


def _read_key(certificate: bytes) -> rsa.RSAPublicKey:
    """The key of the one certificate in a PEM text. Raises ValueError, _BadCertificate."""
    (parsed,) = x509.load_pem_x509_certificates(certificate)
    key = parsed.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError
    if key.key_size < SMALLEST:
        raise _BadCertificate(f"has a key of {key.key_size} bits, fewer than {SMALLEST}")
    now = dt.datetime.now(dt.UTC)
    if now < parsed.not_valid_before_utc:
        raise _BadCertificate(
            f"is good from {parsed.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only"
        )
    if now > parsed.not_valid_after_utc:
        raise _BadCertificate(
            f"was good until {parsed.not_valid_after_utc:%Y-%m-%d %H:%M} UTC only"
        )
    return key


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=FETCH_TIMEOUT) as answer:
            certificate: bytes = answer.read(LARGEST)
    except urllib.error.HTTPError as error:
        raise Unusable(f"its signing certificate cannot be fetched: HTTP {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Unusable(f"its signing certificate cannot be fetched: {type(why).__name__}") from None
    return certificate


def _path(url: str) -> Path | None:
    """Where the certificate is kept: in a directory that is this user's alone.

    None: it is kept nowhere, and fetched each time.
    """
    try:
        directory = host.private_directory(host.runtime_directory() / "certificates")
    except OSError:
        return None
    return directory / f"{hashlib.sha256(url.encode()).hexdigest()}.pem"
