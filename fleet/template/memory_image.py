"""What the template has in memory, made ready to be shared with all that is forked from it.

A page is shared until somebody writes to it, and to count a reference is to write.

docs/decisions/0030 has the reasons.
"""

import gc
import sys

from fleet.system import huge_pages

COLLAPSE_SECONDS = 2.0  # what huge pages may take of the start


def freeze() -> None:
    """Leave nothing that a fork would write to without need. Before the first fork.

    The cache of attribute look-ups counts a reference to each name that it holds, and has 4096 of
    the import's. A dispatcher puts its own in their place: it would write to a page for each name
    that goes, 0.7 MB of pages. From Python 3.12 on names are not counted.
    """
    if sys.version_info < (3, 12):
        sys._clear_type_cache()
    gc.collect()
    gc.freeze()
    huge_pages.collapse(COLLAPSE_SECONDS)
