"""What fleet changes of botocore's credential chain, and why the chain gave no credentials.

botocore asks for a code of an MFA device at the terminal, in whichever process needs the keys.
Nobody answers a dispatcher there, so such a profile is only good with the session that the AWS CLI
has cached for it.

docs/decisions/0016 has the reasons.
"""

import shlex
from pathlib import Path
from typing import Any

from fleet.core.queue import QueueError, Trouble
from fleet.sqs.error_text import clean, clock_difference
from fleet.sqs.transport import CodeNeeded

CACHED = Path("~/.aws/cli/cache")  # where the AWS CLI keeps the sessions of roles
SERVICES = {
    "AssumeRole": "sts",
    "GetSessionToken": "sts",
    "GetRoleCredentials": "sso",
    "CreateToken": "sso-oidc",
}


class CliSessionCache(dict[str, Any]):
    """The AWS CLI's cache of sessions: it is read, and never written.

    Keys on disk are the CLI's to leave there.
    """

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._file(str(key)).is_file()

    def __getitem__(self, key: str) -> Any:
        return super().__getitem__(key) if super().__contains__(key) else self._read(key)

    def _read(self, key: str) -> Any:
        from botocore.credentials import JSONFileCache

        return JSONFileCache(str(CACHED.expanduser()))[key]

    def _file(self, key: str) -> Path:
        return CACHED.expanduser() / f"{key}.json"


def prepare(session: Any) -> None:
    """Have botocore's session ask nobody for anything, and use what the AWS CLI has cached."""
    provider = session.get_component("credential_provider").get_provider("assume-role")
    provider.cache = CliSessionCache()
    provider._prompter = _refuse


def _refuse(prompt: str) -> str:
    raise CodeNeeded(prompt)


def trouble(
    error: BaseException, name: str, profile: str | None = None, program: str = ""
) -> QueueError:
    """Why there is nothing to sign with.

    A file, a process, or a service on the way to the credentials said no. `profile` is the
    profile that is used, `program` its credential process, if it has one.
    """
    from botocore import exceptions as e

    login = "aws sso login" + (f" --profile {profile}" if profile else "")
    match error:
        case CodeNeeded():
            wrong = f"profile {profile or 'default'!r} needs a code of an MFA device"
            right = "use the AWS CLI with it first, whose cached session is used"
            text = f"{wrong}, and there is nobody to ask; {right}, or a profile without mfa_serial"
            return QueueError(Trouble.USAGE, f"{name}: {text}", answered=False)
        case (
            e.ProfileNotFound() | e.ConfigParseError() | e.ConfigNotFound() | e.InvalidConfigError()
        ):
            return QueueError(Trouble.USAGE, f"{name}: {clean(str(error))}", answered=False)
        case e.NoCredentialsError():
            why = "no AWS credentials found (environment, profile or instance role)"
        case e.RefreshWithMFAUnsupportedError():
            why = "no AWS credentials: the session of the MFA device has expired"
        case e.UnauthorizedSSOTokenError() | e.SSOTokenLoadError():
            why = f"no AWS credentials: the SSO session has expired, or there is none; run {login}"
        case e.TokenRetrievalError() if error.kwargs.get("provider") == "sso":
            why = f"no AWS credentials: the SSO session cannot be renewed; run {login}"
        case e.ClientError():
            why = f"no AWS credentials: {_describe_refusal(error)}"
        case _:
            why = f"no AWS credentials: {_describe_failure(error, program)}"
    return QueueError(Trouble.SESSION, f"{name}: {why}", answered=False)


def _describe_refusal(error: Any) -> str:
    """What a service that hands out credentials has answered."""
    said, about = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
    operation = error.operation_name
    service = SERVICES.get(operation) or ("sts" if operation.startswith("AssumeRole") else "")
    call = f"{service}:{operation}" if service else operation
    code, words = clean(str(said.get("Code", ""))), clean(str(said.get("Message", "")))
    date = str(about.get("HTTPHeaders", {}).get("date", ""))
    return f"{call} is refused ({code}): {words}{clock_difference(date)}"


def _describe_failure(error: BaseException, program: str) -> str:
    """What is wrong with a file or a process."""
    from botocore.exceptions import CredentialRetrievalError

    kwargs = error.kwargs if isinstance(error, CredentialRetrievalError) else {}
    if kwargs.get("provider") == "custom-process":
        why = clean(str(kwargs.get("error_msg", ""))) or "it said nothing"
        return f"credential process {program or '(custom-process)'} failed: {why}"
    if isinstance(error, OSError) and error.filename is not None:
        what = "credential process" if str(error.filename) == program else "file"
        return f"{what} {clean(str(error.filename))} cannot be used: {error.strerror}"
    if isinstance(error, ValueError) and program:
        return f"credential process {program} has not said them in JSON ({type(error).__name__})"
    return clean(str(error)) or type(error).__name__


def credential_process(session: Any) -> str:
    """The credential process of the profile; empty if there is none.

    It is told without its arguments, which may be secret.
    """
    try:
        command = str(session.get_scoped_config().get("credential_process") or "")
        return (shlex.split(command) or [""])[0]
    except Exception:  # noqa: BLE001 - the configuration may be wrong, and that is told already
        return ""
