"""What the errors of botocore mean: of its client, of its configuration, of its credential chain.

The other half of errors.py, which loads it only for an error that botocore has raised.
"""

from botocore import exceptions as e
from botocore.parsers import ResponseParserError

from fleet.core.queue import QueueError, Trouble
from fleet.sqs import credentials
from fleet.sqs.transport import Refused


def classify_botocore(
    error: Exception, name: str, unreachable: str, unusable: str, call: str
) -> QueueError | Refused:
    """What the exception means; for an answer of SQS's, the refusal.

    `name` is the queue's, as errors tell it; `unreachable` and `unusable` begin their texts.
    """
    kind = type(error).__name__
    match error:
        case e.ClientError() if error.operation_name == call:
            return _read_refusal(error)
        case (
            e.ClientError()  # of a call that is not ours: the credential chain's
            | e.NoCredentialsError()
            | e.PartialCredentialsError()
            | e.CredentialRetrievalError()
            | e.TokenRetrievalError()
            | e.SSOError()
            | e.RefreshWithMFAUnsupportedError()
        ):
            return credentials.trouble(error, name)
        case e.NoRegionError():
            return QueueError(
                Trouble.USAGE,
                f"{name}: no region given: AWS_DEFAULT_REGION, --region, or region= of Queue.open",
            )
        case (
            e.ProfileNotFound()
            | e.ConfigParseError()
            | e.ConfigNotFound()
            | e.InvalidConfigError()
            | e.InvalidRegionError()
            | e.EndpointProviderError()
            | e.EndpointVariantError()
        ):
            return QueueError(Trouble.USAGE, f"{name}: {error}")
        case e.ProxyConnectionError():
            # botocore also says so of a proxy that has passed the request on, and hangs up.
            text = f"{unreachable} ({kind})"
            return QueueError(Trouble.PASSING, text, unanswered=True, answered=False)
        case e.EndpointConnectionError() | e.ConnectTimeoutError() | e.SSLError():
            return QueueError(Trouble.PASSING, f"{unreachable} ({kind})", answered=False)
        case e.HTTPClientError():
            text = f"{unusable} ({kind})"
            return QueueError(Trouble.PASSING, text, unanswered=True, answered=False)
        case ResponseParserError() | KeyError() | TypeError() | ValueError() | AttributeError():
            # An answer that is not what SQS answers.
            return QueueError(Trouble.PASSING, f"{unusable} ({kind})")
        case _:
            return QueueError(Trouble.PASSING, f"{name}: {kind}")


def _read_refusal(error: e.ClientError) -> Refused:
    said = error.response.get("Error", {})
    about = error.response.get("ResponseMetadata", {})
    return Refused(
        str(said.get("Code", "")),
        int(about.get("HTTPStatusCode", 0)),
        str(said.get("Message", "")),
        str(about.get("HTTPHeaders", {}).get("date", "")),
    )
