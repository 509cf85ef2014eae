"""The hand-signed floor signs as botocore does."""

import json

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench import signed


@pytest.mark.parametrize("parameters", [{}, {"QueueUrl": "http://127.0.0.1:1/0/bench", "é": "→"}])
def test_a_request_is_signed_as_botocore_signs_it(parameters: dict[str, str]) -> None:
    body = json.dumps(parameters).encode()
    headers = {
        "content-type": signed.TYPE,
        "host": "127.0.0.1:4566",
        "x-amz-date": "",
        "x-amz-target": "AmazonSQS.ReceiveMessage",
    }
    request = AWSRequest("POST", "http://127.0.0.1:4566/", headers=headers, data=body)
    SigV4Auth(Credentials(signed.KEY, signed.SECRET), "sqs", signed.REGION).add_auth(request)

    calls = object.__new__(signed.Calls)
    calls.day, calls.key = "", b""
    signature = calls.sign(headers | {"x-amz-date": request.headers["X-Amz-Date"]}, body)
    assert signature == request.headers["Authorization"]
