"""An app that closes its standard output and error at its import."""

import sys

from jobs import job

__all__ = ["job"]
sys.stdout.close()
sys.stderr.close()
