"""What refusals mean: our own wire's, botocore's client's, or those of the credential chain."""

from typing import Any, cast

import pytest
from botocore import exceptions as botocore

from fleet.core.queue import QueueError, Trouble
from fleet.sqs import credentials, error_text
from fleet.sqs.errors import classify
from fleet.sqs.transport import Refused

PASSING, SESSION, DENIED, GONE, MESSAGE = (
    Trouble.PASSING,
    Trouble.SESSION,
    Trouble.DENIED,
    Trouble.GONE,
    Trouble.MESSAGE,
)
EXPIRED = (
    "Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
)
UNKNOWN = (
    "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist "
    "or is not available for visibility timeout change."
)
OTHER = (
    "Value 50000 for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200."
)
NOT_ALLOWED = (
    "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: sqs:deletemessage "
    "on resource: q"
)
NO_KEY = (
    "User: x is not authorized to perform: kms:Decrypt on this resource "
    "because the key policy does not allow it"
)

SAID_BY_SQS = [
    ("AWS.SimpleQueueService.NonExistentQueue", 400, "", GONE, "does not exist"),
    ("QueueDoesNotExist", 400, "", GONE, "does not exist"),
    ("InvalidAddress", 404, "The address is not valid for this endpoint.", GONE, "does not exist"),
    ("ReceiptHandleIsInvalid", 404, "", MESSAGE, "ReceiptHandleIsInvalid"),
    (
        "InvalidIdFormat",
        400,
        "The receipt handle is not valid for the current version.",
        MESSAGE,
        "InvalidIdFormat",
    ),
    ("AWS.SimpleQueueService.MessageNotInflight", 400, "", MESSAGE, "NotInflight"),
    ("InvalidParameterValue", 400, EXPIRED, MESSAGE, "InvalidParameterValue"),
    ("InvalidParameterValue", 400, UNKNOWN, MESSAGE, "InvalidParameterValue"),
    ("InvalidParameterValue", 400, OTHER, PASSING, "InvalidParameterValue"),
    ("InvalidParameterValue", 400, "", PASSING, "InvalidParameterValue"),
    (
        "AccessDenied",
        403,
        NOT_ALLOWED,
        DENIED,
        r"\(AccessDenied\); the role needs sqs:DeleteMessage",
    ),
    ("AccessDeniedException", 400, "", DENIED, "the role needs sqs:DeleteMessage"),
    ("AccessDenied", 403, NO_KEY, DENIED, "the role needs kms:Decrypt"),
    ("KMS.AccessDeniedException", 400, NO_KEY, DENIED, "the role needs kms:Decrypt"),
    (
        "KmsDisabled",
        400,
        "key 1 is\ndisabled",
        DENIED,
        "KMS key cannot be used: key 1 is disabled$",
    ),
    ("KmsInvalidState", 400, "", DENIED, "KMS key cannot be used"),
    ("KmsThrottled", 400, "", PASSING, "KmsThrottled"),
    ("AuthFailure", 401, "", DENIED, "denied"),
    ("SomethingNew", 403, "", DENIED, "denied"),
    ("SomethingNew", 400, "", PASSING, "SomethingNew"),
    ("ValidationError", 400, "", PASSING, "ValidationError"),
    ("ThrottlingException", 400, "", PASSING, "Throttling"),
    ("RequestThrottled", 403, "", PASSING, "RequestThrottled"),
    ("ServiceUnavailable", 503, "", PASSING, "ServiceUnavailable"),
    ("", 403, "", PASSING, "not SQS"),
    ("ExpiredToken", 403, "", SESSION, "ExpiredToken"),
    ("ExpiredTokenException", 400, "", SESSION, "ExpiredToken"),
    ("InvalidClientTokenId", 403, "", SESSION, "InvalidClientTokenId"),
    ("SignatureDoesNotMatch", 403, "", SESSION, "SignatureDoesNotMatch"),
    ("RequestExpired", 400, "", SESSION, "RequestExpired"),
    # Whatever it is, the call and the service's own words are named.
    (
        "ThrottlingException",
        400,
        "Rate exceeded",
        PASSING,
        "SQS answers ThrottlingException to sqs:DeleteMessage: Rate",
    ),
    (
        "InternalError",
        500,
        "Try again",
        PASSING,
        "SQS answers InternalError to sqs:DeleteMessage: Try again$",
    ),
    (
        "InvalidClientTokenId",
        403,
        "No\x1b[2J such",
        SESSION,
        r"for sqs:DeleteMessage \(InvalidClientTokenId: No \[2J such\)$",
    ),
    (
        "InvalidParameterValue",
        400,
        OTHER,
        PASSING,
        r"SQS refuses sqs:DeleteMessage \(InvalidParameterValue: Value 50000",
    ),
    (
        "ReceiptHandleIsInvalid",
        404,
        "It is not",
        MESSAGE,
        r"sqs:DeleteMessage is refused \(ReceiptHandleIsInvalid: It",
    ),
    (
        "AccessDenied",
        403,
        NOT_ALLOWED,
        DENIED,
        "needs sqs:DeleteMessage: User: arn:aws:sts::1:assumed-role/x/y is not",
    ),
    (
        "AccessDenied",
        403,
        "explicit deny",
        DENIED,
        r"the role needs sqs:DeleteMessage: explicit deny$",
    ),
    ("Some\nthing\0" + "x" * 999, 400, "", PASSING, "Some thing x{50}"),
]


def meaning(error: Exception, call: str = "DeleteMessage") -> QueueError:
    return classify(error, "jobs", None, call)


def answered(code: str, status: int, said: str, call: str) -> botocore.ClientError:
    """As botocore's client raises it."""
    response: Any = {
        "Error": {"Code": code, "Message": said},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.ClientError(response, call)


def refused(code: str, status: int, said: str) -> Refused:
    return Refused(code, status, said)


@pytest.mark.parametrize("through", ["our own line", "botocore's client"])
@pytest.mark.parametrize(("code", "status", "said", "trouble", "text"), SAID_BY_SQS)
def test_what_sqs_refuses(
    through: str, code: str, status: int, said: str, trouble: Trouble, text: str
) -> None:
    ours = through == "our own line"
    error = meaning(
        refused(code, status, said) if ours else answered(code, status, said, "DeleteMessage")
    )
    assert error.trouble is trouble
    assert not error.unanswered
    with pytest.raises(QueueError, match=text):
        raise error


CHAIN: list[tuple[Exception, str]] = [
    (
        answered(
            "InvalidIdentityToken", 400, "No OpenIDConnect provider", "AssumeRoleWithWebIdentity"
        ),
        "OpenIDConnect",
    ),
    (
        answered("ExpiredTokenException", 400, "Token expired", "AssumeRoleWithWebIdentity"),
        "Token expired",
    ),
    (
        answered("IDPCommunicationError", 400, "", "AssumeRoleWithWebIdentity"),
        "IDPCommunicationError",
    ),
    (answered("AccessDenied", 403, "Not authorized", "AssumeRole"), "AssumeRole"),
    (answered("NonExistentQueue", 400, "it says so", "AssumeRole"), "AssumeRole"),
    (
        botocore.CredentialRetrievalError(provider="container-role", error_msg="500"),
        "container-role",
    ),
    (
        botocore.CredentialRetrievalError(provider="custom-process", error_msg="no\x1b[1m luck"),
        r"no \[1m luck",
    ),
    (
        botocore.TokenRetrievalError(provider="sso", error_msg="Token has expired"),
        "renewed; run aws sso login",
    ),
    (botocore.UnauthorizedSSOTokenError(), "SSO"),
    (botocore.SSOTokenLoadError(error_msg="none"), "there is none; run aws sso login"),
    (botocore.MetadataRetrievalError(error_msg="received 404"), "404"),
    (botocore.ConnectTimeoutError(endpoint_url="http://169.254.170.2/"), "169.254.170.2"),
    (FileNotFoundError(2, "No such file", "/var/run/token"), "/var/run/token"),
    (ValueError("a process that does not answer in JSON"), "JSON"),
]


@pytest.mark.parametrize(("error", "text"), CHAIN)
def test_whatever_the_credential_chain_raises_is_not_sqss_answer(
    error: Exception, text: str
) -> None:
    meant = credentials.trouble(error, "queue 'jobs'")
    assert meant.trouble is SESSION
    assert not meant.unanswered
    with pytest.raises(QueueError, match=f"no AWS credentials.*{text}"):
        raise meant
    assert "\x1b" not in str(meant)


@pytest.mark.parametrize(
    "error", [each for each, _ in CHAIN if isinstance(each, botocore.ClientError)]
)
def test_nor_in_the_midst_of_botocores_own_call(error: Exception) -> None:
    assert meaning(error).trouble is SESSION
    assert meaning(error, "").trouble is SESSION, "or while its client is made"


def test_a_profile_that_does_not_exist_is_a_matter_of_configuration() -> None:
    assert (
        credentials.trouble(botocore.ProfileNotFound(profile="none"), "queue 'jobs'").trouble
        is Trouble.USAGE
    )


def test_what_a_service_says_is_bounded() -> None:
    assert len(str(meaning(refused("KmsDisabled", 400, "x" * 10_000)))) < 500


def test_what_differs_from_call_to_call_is_left_out() -> None:
    """The log tells the same trouble once in a while, by its text."""
    texts = {
        str(
            meaning(
                refused(
                    "X",
                    400,
                    f"Request {which} at 20261130T0542{number}Z failed. "
                    f"Encoded failure message: {code}",
                )
            )
        )
        for which, number, code in (
            ("0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", 10, "a" * 400),
            ("1a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", 11, "b" * 400),
        )
    }
    assert len(texts) == 1


@pytest.mark.parametrize("through", ["our own line", "botocore's client"])
@pytest.mark.parametrize(
    ("off", "said"),
    [
        (0, ""),
        (90, ""),
        (7 * 60, "; this host's clock is 7 min fast"),
        (-20 * 60, "; this host's clock is 20 min slow"),
        (5 * 3600, "; this host's clock is 5 h fast"),
        (-9 * 86_400, "; this host's clock is 9 d slow"),
    ],
)
def test_a_clock_that_is_off_is_said_and_by_how_much(
    monkeypatch: pytest.MonkeyPatch, through: str, off: float, said: str
) -> None:
    """By the answer's Date."""
    monkeypatch.setattr("fleet.sqs.server_clock.time.time", lambda: 1_764_481_500.0 + off)
    date, code, text = (
        "Sun, 30 Nov 2025 05:45:00 GMT",
        "InvalidSignatureException",
        "Signature expired: 20251130T054500Z",
    )
    error: Exception = Refused(code, 403, text, date)
    if through == "botocore's client":
        error = answered(code, 403, text, "DeleteMessage")
        metadata = cast(Any, error).response["ResponseMetadata"]
        metadata["HTTPHeaders"] = {"date": date}
    assert str(meaning(error)).endswith(f"({code}: Signature expired: …){said}")


@pytest.mark.parametrize("date", ["", "yesterday", "Sun, 99 Nov 2025 05:45:00 GMT", "\0"])
def test_a_date_that_is_none_says_nothing(date: str) -> None:
    assert error_text.clock_difference(date) == ""
