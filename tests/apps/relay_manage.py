#!/usr/bin/env python
"""Stands in for Firefox Relay's manage.py: what process_emails_from_sqs and check_health are seen
to do from outside.

One message after another, each in a subprocess with a time limit; deleted when it went well, or if
all are to be.
"""

import json
import multiprocessing
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from emails.views import _sns_inbound_logic


def setting(name: str, default: str) -> str:
    return os.environ.get(f"PROCESS_EMAIL_{name}", default)


def run(body: dict[str, Any]) -> None:
    _sns_inbound_logic(body["TopicArn"], body["Type"], body)


def succeeds(raw: str) -> bool:
    """Whether the message's subprocess comes to a good end in time."""
    with multiprocessing.Pool(1) as pool:
        try:
            pool.apply_async(run, [json.loads(raw)]).get(
                float(setting("MAX_SECONDS_PER_MESSAGE", "120"))
            )
        except Exception:  # noqa: BLE001 - whatever it was, the message has failed
            return False
    return True


def process_emails_from_sqs() -> None:
    url = os.environ["AWS_SQS_EMAIL_QUEUE_URL"]
    sqs = boto3.client("sqs", region_name=os.environ["AWS_REGION"])
    total = failed = cycles = 0
    ends = time.monotonic() + float(setting("MAX_SECONDS", "inf"))
    while time.monotonic() < ends:
        told = {
            "timestamp": datetime.now(UTC).isoformat(),
            "cycles": cycles,
            "total_messages": total,
        }
        Path(setting("HEALTHCHECK_PATH", "")).write_text(
            json.dumps(told | {"failed_messages": failed})
        )
        found = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=int(setting("BATCH_SIZE", "10")),
            VisibilityTimeout=int(setting("VISIBILITY_SECONDS", "120")),
            WaitTimeSeconds=int(setting("WAIT_SECONDS", "5")),
        )
        for message in found.get("Messages", ()):
            good = succeeds(message["Body"])
            if good or setting("DELETE_FAILED_MESSAGES", "") == "True":
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            total, failed = total + 1, failed + (not good)
        cycles += 1


def check_health() -> None:
    found = json.loads(Path(setting("HEALTHCHECK_PATH", "")).read_text())
    age = datetime.now(UTC) - datetime.fromisoformat(found["timestamp"])
    sys.exit(age.total_seconds() > float(setting("HEALTHCHECK_MAX_AGE", "120")))


if __name__ == "__main__":
    {"process_emails_from_sqs": process_emails_from_sqs, "check_health": check_health}[
        sys.argv[1]
    ]()
