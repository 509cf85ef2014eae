"""What a failed call means: one table from an exception of any transport to what to do about it.

| what says no               | how it is known                                           | Trouble |
|----------------------------|-----------------------------------------------------------|---------|
| nothing, or nothing of SQS | no connection, no usable answer, an error without a code  | PASSING |
| SQS, for now               | a throttle, 5xx, 408, 429                                 | PASSING |
| SQS: the queue             | it does not exist                                         | GONE    |
| SQS: the keys              | expired, unknown, badly signed (also: our clock is off)   | SESSION |
| the source of the keys     | what the credential chain raises, 400s of STS too         | SESSION |
| SQS: the caller            | access denied, KMS's refusals, any other 403              | DENIED  |
| SQS: the receipt handle    | its own codes, or InvalidParameterValue that names it     | MESSAGE |
| SQS, for another reason    | any other code: it names neither handle nor queue         | PASSING |
| our own configuration      | profile, region, certificates                             | USAGE   |
"""

import re

from fleet.core.queue import QueueError, Trouble
from fleet.sqs.error_text import clean, clock_difference
from fleet.sqs.transport import CodeNeeded, NoAnswer, Refused, Unreachable

# Of a gateway: it has passed the call on, and whether that is done nobody knows.
GAVE_UP = (408, 502, 504)

_RETRYABLE = re.compile(
    r"Throttl|TooManyRequests|RequestLimit|OverLimit|SlowDown"
    r"|ServiceUnavailable|Internal|RequestTimeout|RequestAborted",
    re.IGNORECASE,
)
_GONE = re.compile(r"NonExistentQueue|QueueDoesNotExist|InvalidAddress")
_KMS = re.compile(r"^Kms|KMS\.")
_DENIED = re.compile(
    r"AccessDenied|Forbidden|NotAuthorized|AuthFailure|OptInRequired", re.IGNORECASE
)
_CREDENTIALS = re.compile(
    r"ExpiredToken|RequestExpired|InvalidClientTokenId|UnrecognizedClient|InvalidAccessKeyId"
    r"|SignatureDoesNotMatch|InvalidSignature"  # also: our clock is wrong
)
_HANDLE = re.compile(r"ReceiptHandle|MessageNotInflight|InvalidIdFormat")
# InvalidParameterValue is about any parameter; these are SQS's words where it is the handle.
_HANDLE_SAID = re.compile(
    r"receipt ?handle|message does not exist|not available for visibility", re.IGNORECASE
)
_PERMISSION = re.compile(r"perform:? ([\w-]+:[\w*]+)")


def classify(error: Exception, queue: str, endpoint_url: str | None, call: str = "") -> QueueError:
    """What the exception means. `call`: the operation that was asked for.

    The text of the error names the queue and what to do, and no body.
    """
    name = f"queue {queue!r}"
    where, kind = endpoint_url or "SQS", type(error).__name__
    unreachable = f"{name}: {where} cannot be reached"
    unusable = f"{name}: no usable answer from {where}"
    if _is_botocores(error):
        from fleet.sqs.botocore_errors import classify_botocore

        meant = classify_botocore(error, name, unreachable, unusable, call)
        if isinstance(meant, QueueError):
            return meant
        error = meant
    match error:
        case QueueError():
            return error
        case Refused(code=code, status=status, said=said, date=date):
            return _classify_refusal(code, status, said, date, name, call)
        case Unreachable():
            return QueueError(Trouble.PASSING, f"{unreachable} ({error})", answered=False)
        case NoAnswer():
            return QueueError(
                Trouble.PASSING, f"{unusable} ({error})", unanswered=True, answered=False
            )
        case CodeNeeded():
            from fleet.sqs import credentials

            return credentials.trouble(error, name)
        case KeyError() | TypeError() | ValueError() | AttributeError():
            # An answer that is not what SQS answers.
            return QueueError(Trouble.PASSING, f"{unusable} ({kind})")
        case _:
            return QueueError(Trouble.PASSING, f"{name}: {kind}")


def _is_botocores(error: Exception) -> bool:
    """Whether botocore has raised it, which nobody has loaded then if it has not."""
    return any(kind.__module__.partition(".")[0] == "botocore" for kind in type(error).__mro__)


def _classify_refusal(
    code: str, status: int, said: str, date: str, name: str, call: str
) -> QueueError:
    """What an answer that says no means.

    One that names no error is not SQS's: it is a proxy's or a gateway's between us, and may pass.
    """
    code, words = clean(code), f": {clean(said)}" if said.strip() else ""
    asked = f"sqs:{call}" if call else "the call"
    if _GONE.search(code):
        return QueueError(
            Trouble.GONE, f"{name} does not exist; create it, or check its name and the region"
        )
    if _CREDENTIALS.search(code):
        return QueueError(
            Trouble.SESSION,
            f"{name}: SQS does not accept the credentials for {asked} "
            f"({code}{words}){clock_difference(date)}",
        )
    if (not code or code.isdigit()) and status in GAVE_UP:
        text = f"{name}: {status}, from something between this host and SQS that waited no longer"
        return QueueError(Trouble.PASSING, text, unanswered=True)
    if _RETRYABLE.search(code) or status >= 500 or status in (408, 429):
        return QueueError(
            Trouble.PASSING, f"{name}: SQS answers {code or status} to {asked}{words}"
        )
    if not code or code.isdigit():  # botocore's client puts the status there
        return QueueError(Trouble.PASSING, f"{name}: {status}, from something that is not SQS")
    if _HANDLE.search(code) or (code == "InvalidParameterValue" and _HANDLE_SAID.search(said)):
        return QueueError(Trouble.MESSAGE, f"{name}: {asked} is refused ({code}{words})")
    if _DENIED.search(code) or _KMS.search(code) or status == 403:
        return QueueError(
            Trouble.DENIED,
            f"{name}: access denied ({code}); {_describe_need(code, said, call)}{words}",
        )
    return QueueError(Trouble.PASSING, f"{name}: SQS refuses {asked} ({code or status}{words})")


def _describe_need(code: str, said: str, call: str) -> str:
    """What is missing: the permission that the refusal names, else that of the call."""
    if match := _PERMISSION.search(said):
        needed, asked = match.group(1), f"sqs:{call}"
        # A refusal may name the call in lower case.
        return f"the role needs {asked if needed.lower() == asked.lower() else needed}"
    if _KMS.search(code):
        return "the queue's KMS key cannot be used"
    return f"the role needs sqs:{call or 'ReceiveMessage and more'}"
