"""Runs `fleet` as it is, but for a minute that is shorter.

    python impatient.py SECONDS python -m fleet start …

What the master waits for before it gives up is its own; its dispatchers' minute is tampered.py's.
"""

import sys

from fleet.__main__ import main
from fleet.core.pool import denials

if __name__ == "__main__":
    denials.GIVE_UP = float(sys.argv[1])
    sys.argv = ["fleet", *sys.argv[5:]]
    main()
