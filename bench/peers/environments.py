"""The environments that the peers are installed in, one each, and the Redis server.

They lie beside .venv and are made by the interpreter that runs this, so that all that is compared
runs on the same Python; boto3 is the one that requirements.lock pins for fleet.
"""

import os
import shutil
import subprocess
import sys

from bench.harness import ROOT, BenchError

PACKAGES = {
    "celery": ["celery[sqs]==5.7.0", "kombu==5.7.0"],
    "dramatiq": ["dramatiq==2.2.1", "dramatiq-sqs==0.4.4"],
    "rq": ["rq==3.0.0", "redis==8.1.0"],
}


def interpreter(name: str) -> str:
    """The Python of a peer's environment, which is made or brought up to date first.

    Raises BenchError.
    """
    folder = ROOT / f".venv-{name}"
    python = folder / "bin" / "python"
    wanted = "\n".join([sys.version, str(folder), *PACKAGES[name]])
    stamp = folder / "installed"
    if not stamp.is_file() or stamp.read_text() != wanted:
        _run([sys.executable, "-I", "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *PACKAGES[name], "-c", str(ROOT / "requirements.lock")])
        stamp.write_text(wanted)
    return str(python)


def redis_server() -> str:
    """The path of Debian's redis-server; root installs it if it is missing. Raises BenchError."""
    if not (path := shutil.which("redis-server")):
        install = ["apt-get", "install", "-y", "--no-install-recommends", "redis-server"]
        if os.geteuid() or not shutil.which("apt-get"):
            raise BenchError(f"rq needs a Redis server: {' '.join(install)}")
        # At runlevel 1 Debian's invoke-rc.d starts no service: only the measurement starts one.
        _run(install, {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"})
        path = shutil.which("redis-server")
    assert path is not None
    return path


def versions() -> list[str]:
    """What is compared with, with its version."""
    packages = [package.replace("==", " ") for name in PACKAGES for package in PACKAGES[name]]
    said = subprocess.run(
        [redis_server(), "--version"], capture_output=True, text=True, check=True
    ).stdout
    return [*packages, f"Redis {said.partition('v=')[2].split()[0]}"]


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"`{' '.join(command)}`: {done.stderr.strip()[-2000:]}")
