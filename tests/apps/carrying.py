"""An app that imports next to nothing, and tells what its jobs' process has imported."""

import os
import sys


def job(_body: str) -> None:
    with open(os.path.join(os.environ["POOL_TEST_DIR"], "modules"), "w") as file:  # noqa: PTH118, PTH123
        file.write(" ".join(sys.modules))
