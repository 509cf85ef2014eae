"""TLS, as dispatchers use it: what it needs is loaded before they are forked."""

import subprocess
import sys
from pathlib import Path

import trustme

from tests.support.pool import REPOSITORY

PROGRAM = """
import sys
from fleet.sqs.trust import trust
context = trust(sys.argv[1], "jobs")
import ssl
ends = ssl.MemoryBIO(), ssl.MemoryBIO()
before = set(sys.modules)
try:
    context.wrap_bio(*ends, server_hostname="sqs.example").do_handshake()
except ssl.SSLWantReadError:
    print(*set(sys.modules) - before)
"""


def test_a_handshake_imports_nothing(tmp_path: Path) -> None:
    """Each dispatcher would have it in memory of its own."""
    authority = tmp_path / "authority.pem"
    trustme.CA().cert_pem.write_to_path(str(authority))
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(authority)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "\n"
