"""What a run of the tests takes over from its caller: it is named here, all else is put away.

Variables, ignored signals, the umask, limits and the time zone of the caller reach every program
that a test starts; a test that passes with some of them and fails with others tells nothing of
fleet.

docs/decisions/0028 has the reasons.
"""

import os
import resource
import signal
import time
from types import FrameType

PROGRAMS = ("PATH", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START")
"""What a program needs to be found and loaded, and to be measured by scripts/coverage."""
RUN = ("TMPDIR", "CI", "FLEET_HYPOTHESIS", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
"""What else the run itself is told: where its files go, how much it tries."""
RUN_PREFIX = "PYTEST_"
"""pytest and its plugins talk to each other, and to their workers, in these."""
IGNORABLE = (
    *(
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTERM,
        signal.SIGALRM,
        signal.SIGUSR1,
        signal.SIGUSR2,
    ),
    *(
        signal.SIGCHLD,
        signal.SIGCONT,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGWINCH,
    ),
)


def for_programs() -> dict[str, str]:
    """The variables of the caller that every program of a test gets."""
    return {name: os.environ[name] for name in PROGRAMS if name in os.environ}


def put_away() -> None:
    """Make this process, and so all that it starts, what it is wherever the tests are run.

    HOME is not set then.
    """
    for name in list(os.environ):
        if name not in (*PROGRAMS, *RUN) and not name.startswith(RUN_PREFIX):
            del os.environ[name]
    time.tzset()
    os.umask(0o022)
    # Many jobs crash.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _hear_signals()


def _hear_signals() -> None:
    """Go on ignoring what nohup or a shell's background ignores, by handlers.

    What we start does not ignore it then: an exec would keep SIG_IGN.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in IGNORABLE:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _nothing)


def _nothing(_number: int, _frame: FrameType | None) -> None:
    pass
