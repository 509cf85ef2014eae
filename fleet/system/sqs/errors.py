"""What a failed call means: one table from the exception, botocore's or wire.py's, to what to do about it."""

import re

from fleet.core.queue import QueueError, Trouble
from fleet.system.sqs.wire import NoAnswer, Refused, Unreachable

_RETRYABLE = re.compile(
    r"Throttl|TooManyRequests|RequestLimit|OverLimit|SlowDown|ServiceUnavailable|Internal|RequestTimeout|RequestAborted",
    re.IGNORECASE,
)
_DENIED = re.compile(r"AccessDenied|Forbidden|NotAuthorized|AuthFailure|OptInRequired|KmsAccessDenied", re.IGNORECASE)
_CREDENTIALS = re.compile(
    r"ExpiredToken|RequestExpired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|InvalidSignature"  # also: our clock is wrong
)
_HANDLE = re.compile(r"ReceiptHandle|MessageNotInflight|InvalidParameterValue")


def classified(error: Exception, queue: str, endpoint_url: str | None) -> QueueError:
    """What the exception means; its text names the queue and what to do, and no body."""
    from botocore import exceptions as e
    from botocore.parsers import ResponseParserError

    name = f"queue {queue!r}"
    where = endpoint_url or "SQS"
    match error:
        case QueueError():
            return error
        case Refused(code=code, status=status):
            return _refusal(code, status, name)
        case Unreachable():
            return QueueError(Trouble.PASSING, f"{name}: {where} cannot be reached ({error})")
        case NoAnswer():
            return QueueError(Trouble.PASSING, f"{name}: no usable answer from {where} ({error})", unanswered=True)
        case e.ClientError():
            code = str(error.response.get("Error", {}).get("Code", ""))
            return _refusal(code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), name)
        case (
            e.NoCredentialsError()
            | e.PartialCredentialsError()
            | e.CredentialRetrievalError()
            | e.TokenRetrievalError()
        ):
            return QueueError(
                Trouble.SESSION, f"{name}: no AWS credentials found (environment, profile or instance role)"
            )
        case e.ProfileNotFound() | e.ConfigParseError() | e.ConfigNotFound():
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case e.NoRegionError():
            return QueueError(Trouble.USAGE, f"{name}: no region given; use --region or AWS_DEFAULT_REGION")
        case e.InvalidRegionError() | e.EndpointProviderError():
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case e.ProxyConnectionError():  # botocore also says so of a proxy that has passed the request on, and hangs up
            text = f"{name}: {where} cannot be reached ({type(error).__name__})"
            return QueueError(Trouble.PASSING, text, unanswered=True)
        case e.EndpointConnectionError() | e.ConnectTimeoutError() | e.SSLError():
            return QueueError(Trouble.PASSING, f"{name}: {where} cannot be reached ({type(error).__name__})")
        case e.HTTPClientError():
            text = f"{name}: no usable answer from {where} ({type(error).__name__})"
            return QueueError(Trouble.PASSING, text, unanswered=True)
        case ResponseParserError():
            return QueueError(Trouble.PASSING, f"{name}: no usable answer from {where} ({type(error).__name__})")
        case KeyError() | TypeError() | ValueError() | AttributeError():  # an answer that is not what SQS answers
            return QueueError(Trouble.PASSING, f"{name}: no usable answer from {where} ({type(error).__name__})")
        case _:
            return QueueError(Trouble.PASSING, f"{name}: {type(error).__name__}")


def _refusal(code: str, status: int, name: str) -> QueueError:
    """The answer was no. One that names no error is not SQS's: a proxy's or a gateway's between us, and may pass."""
    if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
        return QueueError(Trouble.FINAL, f"{name} does not exist; create it, or check --queue and --region")
    if _CREDENTIALS.search(code):
        return QueueError(Trouble.SESSION, f"{name}: SQS does not accept the credentials ({code})")
    if _RETRYABLE.search(code) or status >= 500 or status in (408, 429):
        return QueueError(Trouble.PASSING, f"{name}: SQS answers {code or status}")
    if not code or code.isdigit():  # botocore's client puts the status there
        return QueueError(Trouble.PASSING, f"{name}: {status}, from something that is not SQS")
    if _DENIED.search(code) or status == 403:
        return QueueError(Trouble.FINAL, f"{name}: access denied ({code}); the role needs sqs:ReceiveMessage and more")
    if _HANDLE.search(code):
        return QueueError(Trouble.MESSAGE, f"{name}: {code}")
    return QueueError(Trouble.FINAL, f"{name}: SQS refuses the call ({code or status})")
