"""What is forked is ready to be shared: nothing in it is written to without need."""

import subprocess
import sys
from textwrap import dedent

import pytest


def run(code: str) -> str:
    """What a process prints that does this; freezing is for good, so it is one of its own."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_is_garbage_is_collected_and_the_rest_is_frozen() -> None:
    told = run("""
        import gc, weakref
        from fleet.template import memory_image
        class Thing: pass
        thing = Thing()
        thing.itself, gone = thing, weakref.ref(thing)
        kept = Thing()
        del thing
        memory_image.freeze()
        print(gone() is None, gc.get_freeze_count() > 1000)
        """)
    assert told == "True True"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="names are immortal from Python 3.12 on")
def test_no_name_is_counted_by_the_cache_of_attribute_look_ups() -> None:
    told = run("""
        import sys
        from fleet.template import memory_image
        name = "a_name_of_an_attribute"
        alone = sys.getrefcount(name)
        hasattr(memory_image, name)
        cached = sys.getrefcount(name)
        memory_image.freeze()
        print(cached - alone, sys.getrefcount(name) - alone)
        """)
    assert told == "1 0"


@pytest.mark.needs("huge pages")
def test_memory_is_on_huge_pages() -> None:
    told = run("""
        import re
        from fleet.template import memory_image
        data = b"x" * (32 << 20)
        memory_image.freeze()
        rollup = open("/proc/self/smaps_rollup").read()
        print(int(re.search(r"AnonHugePages: +(\\d+)", rollup).group(1)) >= 28 << 10)
        """)
    assert told == "True"
