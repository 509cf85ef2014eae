"""Whom TLS connections trust. The sole importer of ssl, which a pool on plain HTTP never loads."""

import encodings.idna  # noqa: F401 - a handshake asks for it: before the fork rather than after
import ssl

from fleet.core.queue import QueueError, Trouble


def trust(ca_bundle: str, name: str) -> ssl.SSLContext:
    """Trust in the authorities of a file. Raises QueueError, which names the queue."""
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except OSError as error:  # ssl's own errors are such, too
        why = error.strerror or error
        raise QueueError(
            Trouble.USAGE, f"queue {name!r}: the CA bundle {ca_bundle} cannot be used ({why})"
        ) from None
