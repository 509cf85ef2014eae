"""Takes the blocks that the import has left free among its own small objects.

    before   ▓▓░▓  ▓░▓▓  ░▓▓░  ▓▓▓░        what is made next goes into the holes: a page for each
    after    ▓▓▓▓  ▓▓▓▓  ▓▓▓▓  ▓▓▓▓  ░░░░  it goes to new pages, side by side

CPython keeps objects of up to 512 bytes in pools of blocks of one size, and takes a new pool only
when no block of that size is free. An import leaves some free on hundreds of pages. Dispatchers and
jobs would write to these pages, and each page that one of them writes to is copied for it.

This is a guess about the allocator that can do no harm: where it is wrong, some memory is taken.

docs/decisions/0030 has the reasons.
"""

MOST = 16 << 20  # bytes in all, of holes that are too many
# Objects/obmalloc.c, with 64 bits: blocks of 16, 32 … 512 bytes; a pool is aligned to its size, and
# its first block comes after a head.
_SIZES = range(16, 512 + 1, 16)
_POOL, _POOL_HEAD = 16 << 10, 48
_BYTES_HEAD = 33  # of a bytes object


def fill(most: int = MOST) -> list[object]:
    """What fills the holes, at most so many bytes. When it is freed, they are holes again."""
    kept: list[object] = []
    for size in _SIZES:
        most -= _fill_size(size, most, kept)
    return kept


def _fill_size(size: int, most: int, kept: list[object]) -> int:
    """Take blocks of one size until the pool is new, for all others are full then.

    It is when two in a row are among its first four: not the very first two, because the numbers
    here are objects of 32 bytes. Returns how many bytes were taken.
    """
    taken = last = 0
    is_new = False
    while not is_new and taken < most:
        block = _make(size)
        kept.append(block)
        taken += size
        is_near, is_early = 0 < id(block) - last <= 4 * size, last % _POOL < _POOL_HEAD + 4 * size
        is_new, last = is_near and is_early, id(block)
    return taken


def _make(size: int) -> object:
    """An object that takes a block of so many bytes, and that the garbage collector ignores."""
    if size > _BYTES_HEAD:
        return bytes(size - _BYTES_HEAD)
    return float(size) if size == 32 else object()
