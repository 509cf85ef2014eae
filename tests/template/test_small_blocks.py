"""What is made after the holes are filled lies together, whatever was freed before."""

import subprocess
import sys
from textwrap import dedent

import pytest

IN_A_PROCESS = """
    import sys
    from fleet.template import small_blocks

    def make(size):
        return bytes(size - 33)

    def pages(size):
        '''Of a hundred objects that are made now.'''
        new = [make(size) for _ in range(100)]
        return len({id(each) // 4096 for each in new})

    def leave_holes(size):
        '''One on each of hundreds of pages.'''
        all_of_them = [make(size) for _ in range(20 * 4096 // size * 20)]
        by_page = {id(each) // 4096: each for each in all_of_them}
        kept = [each for each in all_of_them if by_page[id(each) // 4096] is not each]
        return kept
"""


def run(code: str) -> list[int]:
    """The numbers that a process prints that does this."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(IN_A_PROCESS) + dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(each) for each in done.stdout.split()]


@pytest.mark.parametrize("size", [48, 64, 128, 304])
def test_what_is_made_next_lies_together(size: int) -> None:
    spread, together = run(f"""
        kept = leave_holes({size})
        print(pages({size}))
        filling = small_blocks.fill()
        print(pages({size}))
        """)
    assert spread >= 80, "without holes this test shows nothing"
    assert together <= 100 * size // 4096 + 3


def test_it_takes_a_bounded_amount_of_memory() -> None:
    (taken,) = run("""
        kept = leave_holes(64)
        print(sum(sys.getsizeof(each) for each in small_blocks.fill(10_000)))
        """)
    assert 0 < taken < 10_000 + 512


def test_without_holes_it_takes_little() -> None:
    """At the most what is left of one pool of 16 KiB for each of 32 sizes."""
    first, second = run("""
        filling = small_blocks.fill()
        more = small_blocks.fill()
        print(*(sum(sys.getsizeof(each) for each in those) for those in (filling, more)))
        """)
    assert first > 0
    assert second <= 2 * 32 * (16 << 10)
