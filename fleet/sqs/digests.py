"""SHA-256, MD5 and HMAC of OpenSSL, without what Python has around them.

hashlib loads a library more, for BLAKE2, into every process that imports it, and each fork copies
its part of the list of mappings. An interpreter without OpenSSL has hashlib's own.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import md5, sha256
    from hmac import digest as hmac_digest
else:
    try:
        from _hashlib import hmac_digest
        from _hashlib import openssl_md5 as md5
        from _hashlib import openssl_sha256 as sha256
    except ImportError:
        from hashlib import md5, sha256
        from hmac import digest as hmac_digest

__all__ = ["hmac_digest", "md5", "sha256"]
