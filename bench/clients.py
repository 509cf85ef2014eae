"""Jobs that have a boto3 client, none of which is used: what is measured is the having."""

import boto3

at_import = boto3.client("s3")


def unused(body: str) -> None:
    """The import's."""
    del body


def made(body: str) -> None:
    """One of its own, of a session of its own: all models are read."""
    del body
    boto3.Session().client("s3")


def made_again(body: str) -> None:
    """One of its own, of the session that the import has made one of: the models are there."""
    del body
    boto3.client("s3")
