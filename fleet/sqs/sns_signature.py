"""Is an SNS signature good? The sole importer of `cryptography` (extra `sns`), and of the network
in a job's process.

A certificate is fetched over HTTPS from SNS's own host (core/sns.py has looked at its URL; a
redirect is not followed), and kept for a day in the runtime directory: jobs are short-lived, and
each of them is a new process. That it came from there is what makes it SNS's: its chain, its names
and its revocation are not looked at, only its dates and the size of its key.
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
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "1": hashes.SHA1,
    "2": hashes.SHA256,
}  # by SignatureVersion


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Who may speak for SNS was decided by the URL; nobody may be named instead."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect is an error."""


class _NoGood(ValueError):
    """The text goes on after "its signing certificate"."""


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
                return _public(files.read(path, LARGEST))
    found = _fetched(url)
    try:
        key = _public(found)
    except _NoGood as error:
        raise Unusable(f"its signing certificate {error}") from None
    except ValueError:
        raise Unusable(
            "what is at its signing certificate's URL is not an RSA certificate"
        ) from None
    if path is not None:
        with contextlib.suppress(OSError):  # a full disk costs a fetch, no more
            files.write(path, found)
    return key


def _public(certificate: bytes) -> rsa.RSAPublicKey:
    """Raises ValueError; _NoGood, which is one, for a certificate that must not be believed."""
    (found,) = x509.load_pem_x509_certificates(certificate)
    key = found.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError
    if key.key_size < SMALLEST:
        raise _NoGood(f"has a key of {key.key_size} bits, fewer than {SMALLEST}")
    now = dt.datetime.now(dt.UTC)
    if now < found.not_valid_before_utc:
        raise _NoGood(f"is good from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only")
    if now > found.not_valid_after_utc:
        raise _NoGood(f"was good until {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC only")
    return key


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.build_opener(_NoRedirect).open(url, timeout=FETCH_TIMEOUT) as answer:
            found: bytes = answer.read(LARGEST)
    except urllib.error.HTTPError as error:
        raise Unusable(f"its signing certificate cannot be fetched: HTTP {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Unusable(f"its signing certificate cannot be fetched: {type(why).__name__}") from None
    return found


def _path(url: str) -> Path | None:
    """Where it is kept: in a directory that is this user's alone. None: nowhere, and it is fetched
    each time.
    """
    try:
        directory = host.private_directory(host.runtime_directory() / "certificates")
    except OSError:
        return None
    return directory / f"{hashlib.sha256(url.encode()).hexdigest()}.pem"
