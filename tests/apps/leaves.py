"""An app that calls sys.exit() at its import."""

import sys

sys.exit(3)
