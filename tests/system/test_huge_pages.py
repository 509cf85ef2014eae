"""Which memory is put on huge pages, and that it is, in a process of its own."""

import ctypes
import errno
import mmap
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from fleet.system import huge_pages

MIB = 1 << 20
SIZE = 2 * MIB


def maps(*lines: str) -> str:
    """As the kernel writes it; a line without a name ends with a space."""
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("00400000-00a00000 rw-p 00000000 00:00 0 ", [(0x400000, 0xA00000)]),
        ("00401000-00bff000 rw-p 00000000 00:00 0 ", [(0x600000, 0xA00000)]),
        ("00401000-007ff000 rw-p 00000000 00:00 0 ", []),
        ("00400000-00800000 rw-p 00000000 00:00 0          [heap]", [(0x400000, 0x800000)]),
        ("00400000-00800000 rw-p 00000000 00:00 0   [anon:an arena]", [(0x400000, 0x800000)]),
        ("00400000-00800000 rw-p 00000000 00:00 0          [stack]", []),
        ("00400000-00800000 r--p 00000000 00:00 0 ", []),
        ("00400000-00800000 rw-s 00000000 00:01 2053   /dev/zero (deleted)", []),
        ("00400000-00800000 rw-p 00001000 fe:00 330        /usr/lib/libc.so.6", []),
    ],
)
def test_what_may_be_put_on_huge_pages(line: str, found: list[tuple[int, int]]) -> None:
    other = "7f0000000000-7f0000001000 r-xp 00000000 fe:00 17          /usr/bin/python"
    assert list(huge_pages.candidates(maps(other, line, other), SIZE)) == found


def filled(*pages: bool) -> list[tuple[int, int]]:
    """The runs of a range of so many huge pages, as numbers of pages."""
    ranges: Iterator[tuple[int, int]] = iter([(SIZE, SIZE * (1 + len(pages)))])
    found = huge_pages.runs(ranges, SIZE, lambda at: pages[at // SIZE - 1])
    return [(begin // SIZE - 1, end // SIZE - 1) for begin, end in found]


def test_a_hole_parts_two_runs() -> None:
    assert filled(True, True, True) == [(0, 3)]
    assert filled(True, False, True, True) == [(0, 1), (2, 4)]
    assert filled(False, True, False) == [(1, 2)]
    assert filled(False) == []


def test_a_run_is_bounded_so_that_the_clock_is_looked_at() -> None:
    assert filled(*[True] * 32) == [(0, 16), (16, 32)]
    assert filled(*[True] * 17) == [(0, 16), (16, 17)]


@pytest.mark.parametrize(
    ("general", "of_the_size", "forbidden"),
    [
        ("always [madvise] never", None, False),
        ("[always] madvise never", None, False),
        ("always madvise [never]", None, True),
        ("always madvise [never]", "always [inherit] madvise never", True),
        ("always [madvise] never", "always [inherit] madvise never", False),
        ("always [madvise] never", "always inherit madvise [never]", True),
        ("always madvise [never]", "[always] inherit madvise never", False),
    ],
)
def test_never_is_heeded(
    tmp_path: Path, general: str, of_the_size: str | None, forbidden: bool
) -> None:
    (tmp_path / "enabled").write_text(general)
    if of_the_size is not None:
        (tmp_path / "hugepages-2048kB").mkdir()
        (tmp_path / "hugepages-2048kB" / "enabled").write_text(of_the_size)
    assert huge_pages.is_forbidden(str(tmp_path), SIZE) is forbidden


class Refusing:
    """A libc whose madvise refuses with one error, and counts."""

    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0

    def madvise(self, _address: object, _length: object, _advice: int) -> int:
        self.calls += 1
        ctypes.set_errno(self.number)
        return -1


@pytest.mark.needs("huge pages")
@pytest.mark.parametrize(
    ("number", "goes_on"),
    [(errno.EINVAL, True), (errno.EAGAIN, True), (errno.ENOMEM, False), (errno.EBUSY, False)],
)
def test_errors_are_no_trouble_and_a_host_that_has_no_huge_page_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    libc = Refusing(number)
    monkeypatch.setattr(huge_pages, "_libc", libc)
    memory = mmap.mmap(-1, 128 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.write(b"x" * (128 * MIB))  # several calls' worth
    assert huge_pages.collapse(60.0) == 0
    assert (libc.calls > 1) is goes_on


def test_where_the_kernel_has_none_nothing_is_done(tmp_path: Path) -> None:
    assert huge_pages.collapse(10.0, settings=str(tmp_path)) == 0


IN_A_PROCESS = """
    import mmap, os, re, sys
    from fleet.system import huge_pages
    from fleet.system.memory import FreeMemory, MemoryGauge

    class Gauge(MemoryGauge):
        def __init__(self, available): self.available = available
        def read(self): return FreeMemory(self.available, 8000.0)

    def mapping(mib, step):
        '''Memory of which one page in `step` is written to.'''
        memory = mmap.mmap(-1, mib << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, mib << 20, 4096 * step):
            memory[at] = 1
        return memory

    def field(name):
        rollup = open('/proc/self/smaps_rollup').read()
        return int(re.search(name + r': +(\\d+) kB', rollup).group(1))
"""


def run(code: str) -> str:
    """What a process prints that does this."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(IN_A_PROCESS) + dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.needs("huge pages")
def test_memory_is_put_on_huge_pages_and_keeps_its_content() -> None:
    told = run("""
        memory = mapping(16, 1)
        memory[5_000_000:5_000_003] = b'abc'
        done = huge_pages.collapse(60.0)
        print(done >= 12 << 20, field('AnonHugePages') >= 12 << 10, memory[5_000_000:5_000_003])
        """)
    assert told == "True True b'abc'"


@pytest.mark.needs("huge pages")
def test_a_child_that_writes_to_a_huge_page_copies_little_of_it() -> None:
    told = run("""
        memory = mapping(64, 1)
        huge_pages.collapse(60.0)
        if os.fork() == 0:
            before = field('Private_Dirty')
            for at in range(0, 64 << 20, 2 << 20):
                memory[at] = 2
            print(field('Private_Dirty') - before < 2048, flush=True)
            os._exit(0)
        os.wait()
        """)
    assert told == "True"


@pytest.mark.needs("huge pages")
def test_memory_that_is_hardly_used_takes_no_more() -> None:
    told = run("""
        memory = mapping(64, 64)
        untouched = mapping(64, 1 << 20)
        untouched.read()  # zeros: no memory, though each page is mapped
        before = field('AnonHugePages'), field('Rss')
        huge_pages.collapse(60.0)
        print(field('Rss') - before[1] < 8192)
        """)
    assert told == "True"


@pytest.mark.needs("huge pages")
def test_nothing_is_done_when_memory_is_short() -> None:
    told = run("""
        memory = mapping(16, 1)
        print(huge_pages.collapse(60.0, gauge=Gauge(65.0)), field('AnonHugePages'))
        print(huge_pages.collapse(60.0, gauge=Gauge(80.0)) > 0)
        """)
    assert told == "0 0\nTrue"


@pytest.mark.needs("huge pages")
def test_nothing_is_done_where_the_host_says_never(tmp_path: Path) -> None:
    (tmp_path / "hpage_pmd_size").write_text(f"{SIZE}\n")
    (tmp_path / "enabled").write_text("always madvise [never]\n")
    told = run(f"""
        memory = mapping(16, 1)
        print(huge_pages.collapse(60.0, settings={str(tmp_path)!r}), field('AnonHugePages'))
        """)
    assert told == "0 0"


@pytest.mark.needs("huge pages")
def test_it_ends_when_its_time_is_over() -> None:
    told = run("""
        memory = mapping(16, 1)
        print(huge_pages.collapse(-1.0), field('AnonHugePages'))
        """)
    assert told == "0 0"
