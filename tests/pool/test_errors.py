"""Bad input: an exit status that says which kind, and one line that says what, and what would be
right.
"""

import json
from pathlib import Path

import pytest

from tests.support.pool import APPS, REPOSITORY, Finished, Home, run_fleet
from tests.support.servers import LiveQueue, free_port

USAGE, APP, QUEUE, QUEUE_LATE = 2, 4, 5, 69


def start(home: Home, *arguments: str) -> Finished:
    ended = run_fleet(home, "start", *arguments)
    assert ended.output == ""
    home.wait_empty()
    return ended


def on(queue: LiveQueue) -> tuple[str, ...]:
    return ("--queue", queue.name, "--endpoint-url", queue.server.endpoint)


def after_retries(ended: Finished) -> str:
    """The last line; those before it may only say that the queue is tried again."""
    *before, last = ended.errors.splitlines()
    assert all("trying again" in line for line in before), ended.errors
    return last


# Usage


def test_no_queue(home: Home) -> None:
    ended = start(home, "jobs:job")
    assert ended.status == USAGE
    assert "--queue" in ended.error_line


def test_more_queues_than_a_pool_may_have(home: Home) -> None:
    ended = start(home, "--queue", ",".join(f"q{number}" for number in range(33)), "jobs:job")
    assert ended.status == USAGE
    assert "32 at the most: give some to another pool" in ended.error_line


def test_queues_whose_options_no_process_could_be_told(home: Home, tmp_path: Path) -> None:
    topics = ", ".join(f'"arn:aws:sns:eu-central-1:123456789012:{n:080}"' for n in range(20))
    file = tmp_path / "many.toml"
    file.write_text(
        "".join(
            f'[[queue]]\nname = "q{number}"\nbody = "sns"\nsns_topic = [{topics}]\n'
            for number in range(32)
        )
    )
    ended = start(home, "--config", str(file), "jobs:job")
    assert ended.status == USAGE
    assert "too long" in ended.error_line
    assert "give fewer --sns-topic or queues" in ended.error_line


@pytest.mark.parametrize(
    "app", ["jobs", "jobs:", ":job", "jobs.py", "jobs:job:more", "no/path:job"]
)
def test_an_app_that_is_no_module_and_attribute(home: Home, queue: LiveQueue, app: str) -> None:
    ended = start(home, *on(queue), app)
    assert ended.status == USAGE
    assert "module:attribute" in ended.error_line
    assert app in ended.error_line


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--wait-time", "30"),
        ("--wait-time", "-1"),
        ("--wait-time", "soon"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--visibility-timeout", "1"),
        ("--visibility-timeout", "43201"),
        ("--drain-timeout", "-1"),
        ("--exit-timeout", "nan"),
        ("--log-level", "loud"),
        ("--log-format", "xml"),
        ("--local-port", "70000"),
    ],
)
def test_a_value_that_an_option_cannot_have(
    home: Home, queue: LiveQueue, option: str, value: str
) -> None:
    ended = start(home, *on(queue), option, value, "jobs:job")
    assert ended.status == USAGE
    assert option in ended.error_line
    assert value in ended.error_line


def test_a_bad_value_in_the_environment_is_named_by_its_variable(
    home: Home, queue: LiveQueue
) -> None:
    ended = run_fleet(
        home, "start", *on(queue), "jobs:job", env=home.environment(FLEET_WAIT_TIME="30")
    )
    assert ended.status == USAGE
    assert "FLEET_WAIT_TIME" in ended.error_line or "--wait-time" in ended.error_line
    assert "30" in ended.error_line


def test_an_unknown_option(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "--wait-tim", "3", "jobs:job")
    assert ended.status == USAGE
    assert "--wait-tim" in ended.errors


@pytest.mark.parametrize("region", ["mars-north-1", "not a region"])
def test_an_unknown_region(home: Home, queue: LiveQueue, region: str) -> None:
    ended = start(home, "--queue", queue.name, "--region", region, "jobs:job")
    assert ended.status == USAGE
    assert region in ended.error_line


def test_no_region(home: Home, queue: LiveQueue) -> None:
    env = {
        name: value for name, value in home.environment().items() if name != "AWS_DEFAULT_REGION"
    }
    ended = run_fleet(home, "start", "--queue", queue.name, "jobs:job", env=env)
    assert ended.status == USAGE
    assert "--region" in ended.error_line


@pytest.mark.parametrize("region", [(), ("--region", "us-east-1")])
def test_a_profile_that_is_not_there(home: Home, queue: LiveQueue, region: tuple[str, ...]) -> None:
    """Also without an endpoint, where the region's name is looked at first."""
    env = home.environment(AWS_PROFILE="nobodys")
    ended = run_fleet(home, "start", "--queue", queue.name, *region, "jobs:job", env=env)
    assert ended.status == USAGE
    assert "nobodys" in ended.error_line


def test_an_aws_configuration_that_cannot_be_parsed(
    home: Home, queue: LiveQueue, tmp_path: Path
) -> None:
    file = tmp_path / "aws"
    file.write_text("[default\n")
    env = home.environment(AWS_CONFIG_FILE=str(file))
    del env["AWS_DEFAULT_REGION"]
    ended = run_fleet(home, "start", "--queue", queue.name, "jobs:job", env=env)
    assert ended.status == USAGE
    assert str(file) in ended.error_line


def test_a_ca_bundle_that_is_not_there(home: Home, queue: LiveQueue) -> None:
    endpoint = ("--endpoint-url", "https://127.0.0.1:1")
    env = home.environment(AWS_CA_BUNDLE="/no/bundle.pem")
    ended = run_fleet(home, "start", "--queue", queue.name, *endpoint, "jobs:job", env=env)
    assert ended.status == USAGE
    assert "/no/bundle.pem" in ended.error_line


# The app


def test_a_module_that_is_missing(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "no_such_app:job")
    assert ended.status == APP
    assert "no_such_app" in ended.error_line
    assert str(APPS) in ended.error_line  # where it was looked for


def test_an_attribute_that_is_missing(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "jobs:jbo")
    assert ended.status == APP
    assert "jbo" in ended.error_line
    assert "job" in ended.error_line.replace("jobs", "").replace("jbo", "")  # what is there


def test_an_attribute_that_cannot_be_called(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "jobs:not_a_job")
    assert ended.status == APP
    assert "not_a_job" in ended.error_line
    assert "int" in ended.error_line


@pytest.mark.parametrize("preload", ["--preload", "--no-preload"])
@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["halves:generates"], "halves:generates is a generator function"),
        (["halves:bare"], "halves:bare cannot be called as a job is"),
        (
            ["--transformer", "halves:bare", "halves:job"],
            "halves:bare cannot be called as a transformer is",
        ),
    ],
)
def test_what_is_seen_not_to_work(
    home: Home, queue: LiveQueue, names: list[str], why: str, preload: str
) -> None:
    text = "def job(body): ...\ndef bare(): ...\ndef generates(body): yield body\n"
    (home.directory / "halves.py").write_text(text)
    ended = run_fleet(home, "start", *on(queue), preload, *names, cwd=home.directory)
    assert ended.status == APP
    assert why in ended.error_line
    home.wait_empty()


def test_an_attribute_of_what_has_none(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "jobs:not_a_job.job")
    assert ended.status == APP
    assert "int has no job" in ended.error_line


def check_traceback_is_the_apps(ended: Finished, error: str, file: str) -> None:
    assert ended.status == APP
    assert error in ended.errors
    frames = [line for line in ended.errors.splitlines() if line.lstrip().startswith("File ")]
    assert any(file in frame for frame in frames)
    assert not any(str(REPOSITORY / "fleet") in frame or "importlib" in frame for frame in frames)


def test_an_app_that_raises_when_its_job_is_asked_for(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "lazy:job")
    check_traceback_is_the_apps(ended, "RuntimeError: no licence found", "lazy.py")
    assert "lazy:job" in ended.errors.splitlines()[-1]


def test_an_app_that_raises_at_its_import(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "broken:job")
    check_traceback_is_the_apps(ended, "RuntimeError: no licence found", "broken.py")
    assert "prepare" in ended.errors
    assert "broken" in ended.errors.splitlines()[-1]


@pytest.mark.parametrize(
    "said", ["'ы' * 40_000", "'\\0' * 40_000", "'x' * 300_000", "'🙂' * 40_000"]
)
@pytest.mark.parametrize("error", ["ValueError", "ModuleNotFoundError"])
def test_an_app_that_says_more_than_fits_into_a_packet(
    home: Home, queue: LiveQueue, said: str, error: str
) -> None:
    """The last of it is told."""
    (home.directory / "verbose.py").write_text(f"raise {error}({said} + 'the end')\n")
    ended = run_fleet(home, "start", *on(queue), "verbose:job", cwd=home.directory)
    assert ended.status == APP
    assert "importing verbose failed" in ended.errors.splitlines()[-1]
    assert "the end" in ended.errors
    home.wait_empty()


def test_an_app_that_misses_a_module_itself(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "wants_missing:job")
    check_traceback_is_the_apps(ended, "no_such_dependency", "wants_missing.py")


def test_an_app_that_leaves_at_its_import(home: Home, queue: LiveQueue) -> None:
    ended = start(home, *on(queue), "leaves:job")
    assert ended.status == APP
    assert "leaves" in ended.errors


# The queue


def test_a_queue_that_is_missing(home: Home, queue: LiveQueue) -> None:
    ended = start(
        home, "--queue", "no-such-queue", "--endpoint-url", queue.server.endpoint, "jobs:job"
    )
    assert ended.status == QUEUE
    assert "no-such-queue" in ended.error_line


def test_a_queue_url_that_is_missing(home: Home, queue: LiveQueue) -> None:
    url = f"{queue.server.endpoint}/000000000000/no-such-queue"
    ended = start(home, "--queue", url, "--endpoint-url", queue.server.endpoint, "jobs:job")
    assert ended.status == QUEUE
    assert "no-such-queue" in ended.error_line


def test_an_endpoint_that_stays_unreachable(home: Home) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    ended = start(
        home, "--queue", "jobs", "--endpoint-url", endpoint, "--start-timeout", "2", "jobs:job"
    )
    assert ended.status == QUEUE_LATE
    assert "'jobs'" in after_retries(ended)
    assert endpoint in after_retries(ended)


def test_an_endpoint_that_is_no_url(home: Home) -> None:
    ended = start(home, "--queue", "jobs", "--endpoint-url", "127.0.0.1:9", "jobs:job")
    assert ended.status == USAGE
    assert "127.0.0.1:9" in ended.error_line


def test_no_credentials(home: Home, queue: LiveQueue) -> None:
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    env = {name: value for name, value in home.environment().items() if name not in keys}
    ended = run_fleet(home, "start", *on(queue), "--start-timeout", "1", "jobs:job", env=env)
    assert ended.status == QUEUE_LATE
    assert "credentials" in after_retries(ended)
    assert queue.name in after_retries(ended)
    home.wait_empty()


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        (
            "XDG_RUNTIME_DIR",
            ("start", "--queue", "q", "--endpoint-url", "http://127.0.0.1:9", "jobs:job"),
        ),
        ("XDG_RUNTIME_DIR", ("status",)),
        ("XDG_RUNTIME_DIR", ("local",)),
        ("XDG_STATE_HOME", ("local",)),
    ],
)
def test_a_directory_that_cannot_be_made(
    home: Home, variable: str, command: tuple[str, ...]
) -> None:
    """The line names what to set."""
    ended = run_fleet(home, *command, env=home.environment() | {variable: "/proc/nowhere"})
    assert ended.status == USAGE
    assert "/proc/nowhere" in ended.error_line
    assert variable in ended.error_line


def test_a_profile_that_asks_for_a_code(home: Home, queue: LiveQueue, tmp_path: Path) -> None:
    """Once, in one line, and at nobody's terminal."""
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/jobs\nsource_profile = me\n"
        "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
        "[profile me]\naws_access_key_id = key\naws_secret_access_key = secret\n"
    )
    env = home.environment(AWS_CONFIG_FILE=str(tmp_path / "config"), HOME=str(tmp_path))
    del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
    ended = run_fleet(home, "start", *on(queue), "jobs:job", env=env)
    assert ended.status == USAGE
    assert "needs a code of an MFA device" in ended.error_line
    home.wait_empty()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--log-format", "json", "no_such_app:job"), 2, "no queue given"),
        (("--log-format=json", "-q", "jobs", "--workers", "many", "jobs:job"), 2, "--workers"),
        (("--log-format", "json", "-q", "jobs"), 2, "APP"),
        (
            (
                "--log-format",
                "json",
                "-q",
                "jobs",
                "--endpoint-url",
                "http://127.0.0.1:9",
                "broken:job",
            ),
            4,
            "broken",
        ),
    ],
)
def test_in_a_log_of_objects_the_refusal_is_one_too(
    home: Home, options: tuple[str, ...], code: int, said: str
) -> None:
    ended = run_fleet(home, "start", *options)
    assert ended.status == code
    *_, last = (json.loads(line) for line in ended.errors.splitlines())
    assert (last["event"], last["level"], last["code"]) == ("start.failed", "error", code)
    assert said in last["error"]
    assert bool(last["traceback"]) is (code == 4)
