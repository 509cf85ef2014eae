"""Where a queue is, by the way it is named.

The host of its URL, or its ARN, says region, account and endpoint.

| the host of a URL                         | region | requests go to                              |
|-------------------------------------------|--------|---------------------------------------------|
| sqs.REGION.SUFFIX                         | REGION | the endpoint that botocore has for it       |
| REGION.queue.SUFFIX (old)                 | REGION | the same                                    |
| queue.SUFFIX (old)                        | none   | the same                                    |
| sqs-fips.REGION.SUFFIX                    | REGION | the host itself: this one is meant          |
| sqs.REGION.DUAL-STACK-SUFFIX              | REGION | the host itself: this one is meant          |
| NAME.sqs.REGION.vpce.SUFFIX               | REGION | the host itself                             |
| any other                                 | none   | the host itself: an SQS server of one's own |

In a VPC endpoint's host NAME may hold a zone. The suffixes and the names of regions are those of
botocore's partitions. The path says nothing about where a queue is.

docs/decisions/0016 has the reasons.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fleet.core.queue_names import ARN, is_url, queue_name

Partitions = Iterable[Mapping[str, Any]]
"""As in botocore's partitions.json."""

SERVICES = ("sqs", "sqs-fips")
ARN_PARTS = 6


@dataclass(frozen=True, slots=True)
class QueueLocation:
    """What is known without asking. A `url` needs no look-up.

    `account` is for the look-up of somebody else's queue.
    """

    name: str
    region: str | None = None
    endpoint_url: str | None = None
    url: str | None = None
    account: str | None = None


def locate(queue: str, partitions: Partitions, *, any_partition: bool = False) -> QueueLocation:
    """Where the queue is. Raises ValueError for what names no queue.

    `any_partition`: with an endpoint of one's own any ARN will do.
    """
    if is_url(queue):
        return _locate_url(queue, partitions)
    if queue.startswith(ARN):
        return _locate_arn(queue, () if any_partition else partitions)
    return QueueLocation(queue)


def _locate_url(queue: str, partitions: Partitions) -> QueueLocation:
    parts = urlsplit(queue)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ValueError(
            "its URL must be as in https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"
        )
    if "@" in parts.netloc:
        raise ValueError("its URL must not hold a user or a password")
    if not queue_name(queue):
        example = f"{parts.scheme}://{parts.netloc}/123456789012/jobs"
        raise ValueError(f"its URL ends without a queue's name, as in {example}")
    region, is_meant = _read_host(host, partitions)
    endpoint_url = f"{parts.scheme}://{parts.netloc}" if is_meant else None
    return QueueLocation(queue_name(queue), region, endpoint_url, queue.rstrip("/"))


def _read_host(host: str, partitions: Partitions) -> tuple[str | None, bool]:
    """The region, and whether the host itself is to be asked."""
    for partition in partitions:
        outputs = partition["outputs"]
        for suffix in (outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]):
            if not host.endswith(f".{suffix}"):
                continue
            match host.removesuffix(f".{suffix}").split("."):
                case ["queue"]:
                    return None, False
                case [region, "queue"] if _is_region(region, partition):
                    return region, False
                case [service, region] if service in SERVICES and _is_region(region, partition):
                    return region, service != "sqs" or suffix != outputs["dnsSuffix"]
                case [*_, service, region, "vpce"] if service in SERVICES and _is_region(
                    region, partition
                ):
                    return region, True
    return None, True


def _is_region(name: str, partition: Mapping[str, Any]) -> bool:
    return name in partition["regions"] or bool(re.fullmatch(partition["regionRegex"], name))


def _locate_arn(queue: str, partitions: Partitions) -> QueueLocation:
    parts = queue.split(":")
    if len(parts) != ARN_PARTS or parts[2] != "sqs" or not all(parts):
        raise ValueError("its ARN must be as in arn:aws:sqs:eu-west-1:123456789012:jobs")
    _, partition, _, region, account, name = parts
    for each in partitions:
        if each["id"] != partition and _is_region(region, each) and each["outputs"]["dnsSuffix"]:
            raise ValueError(
                f"its ARN says partition {partition}, and its region {region} is in {each['id']}"
            )
    return QueueLocation(name, region, account=account)
