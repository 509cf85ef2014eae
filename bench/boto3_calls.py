"""The floors' calls by boto3, as a program without fleet would make them."""

import boto3
from botocore.config import Config


def session() -> boto3.Session:
    """One that has read its data files: what is forked from here shares them."""
    loaded = boto3.Session("bench", "bench", region_name="us-east-1")
    loaded.client("sqs", endpoint_url="http://127.0.0.1:1")
    return loaded


class Calls:
    """One queue by one client. WAIT is in seconds."""

    def __init__(self, session: boto3.Session, endpoint_url: str, wait: int) -> None:
        config = Config(read_timeout=wait + 10, retries={"total_max_attempts": 1})
        self.sqs = session.client("sqs", endpoint_url=endpoint_url, config=config)
        self.url = self.sqs.get_queue_url(QueueName="bench")["QueueUrl"]
        self.wait = wait

    def receive(self) -> tuple[str, str] | None:
        """A message's body and receipt handle, or None when none came."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=self.wait,
            VisibilityTimeout=20,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages = answer.get("Messages")
        return (messages[0]["Body"], messages[0]["ReceiptHandle"]) if messages else None

    def delete(self, handle: str) -> None:
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=handle)
