"""What a template loads before the app's import, though it does not know yet that it is needed.

What an import patches is put back in fleet's own processes where it was loaded before the import
(docs/decisions/0023), and TLS that an app has told to trust everybody must not be fleet's. Where
this guesses wrong the rest is loaded before the first fork.

docs/decisions/0031 has the reasons.
"""

import importlib
from collections.abc import Mapping
from dataclasses import replace

from fleet.core.queue_names import is_url
from fleet.sqs.address import Address


def preload(address: Address, transport: str, environ: Mapping[str, str]) -> None:
    """Load ssl unless calls go over plain HTTP, and botocore if it will make them."""
    url = _likely_url(address, environ)
    if not url.startswith("http://"):
        importlib.import_module("fleet.sqs.trust")
    if transport == "boto3" or (not address.direct and _has_proxy(url, environ)):
        from fleet.sqs.sessions import Sessions

        # With keys that are nobody's: botocore's client asks the whole chain for some when it is
        # made, and a connection that it leaves is closed in the middle of the app's import.
        Sessions(replace(address, access_key="none", secret_key="none")).prepare()  # noqa: S106


def _likely_url(address: Address, environ: Mapping[str, str]) -> str:
    """Where requests will go, if no file says otherwise."""
    if address.endpoint_url:
        return address.endpoint_url
    if is_url(address.queue):
        return address.queue
    given = environ.get("AWS_ENDPOINT_URL_SQS") or environ.get("AWS_ENDPOINT_URL")
    region = address.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
    return given or f"https://sqs.{region or 'us-east-1'}.amazonaws.com/"


def _has_proxy(url: str, environ: Mapping[str, str]) -> bool:
    """Whether the environment puts a proxy before that host."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]

    def read(name: str) -> str:
        return environ.get(name) or environ.get(name.upper()) or ""

    spared = [each.strip().lstrip(".") for each in read("no_proxy").split(",")]
    names = (host, host.rpartition(":")[0])
    is_spared = any(
        each == "*" or any(f".{name}".endswith(f".{each}") for name in names if name)
        for each in spared
        if each
    )
    return bool(read(f"{scheme}_proxy")) and not is_spared
