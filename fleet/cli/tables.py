"""Tables for a terminal of 80 columns, and the durations in them."""

from collections.abc import Sequence

WIDTH = 80  # columns of a terminal
GAP = "  "
LEAST = 6  # columns that a name keeps
UNITS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def tabulate(
    titles: Sequence[str], rows: Sequence[Sequence[str]], to_the_left: Sequence[str]
) -> list[str]:
    """The rows below their titles: these columns to the left, numbers to the right."""
    lines = [titles, *rows]
    widths = [max(len(row[column]) for row in lines) for column in range(len(titles))]
    return [
        GAP.join(
            cell.ljust(width) if title in to_the_left else cell.rjust(width)
            for title, cell, width in zip(titles, row, widths, strict=True)
        ).rstrip()
        for row in lines
    ]


def drop_empty(
    titles: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The table without those of these columns in which there is nothing."""
    kept = [
        column
        for column, title in enumerate(titles)
        if title not in names or any(row[column] for row in rows)
    ]
    return [titles[column] for column in kept], [[row[column] for column in kept] for row in rows]


def fit(
    titles: Sequence[str], rows: Sequence[Sequence[str]], name: str
) -> tuple[list[str], list[list[str]]]:
    """The table with the names in that column cut, in their middle, to what is left of the line."""
    at = titles.index(name)
    lines = [list(titles), *map(list, rows)]
    others = sum(
        max(len(row[column]) for row in lines) + len(GAP)
        for column in range(len(titles))
        if column != at
    )
    for row in lines[1:]:
        row[at] = shorten(row[at], max(LEAST, WIDTH - others))
    return lines[0], lines[1:]


def shorten(text: str, most: int) -> str:
    """The beginning and the end of a text that is longer."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - 1 - most // 2) :]}"


def describe_duration(seconds: float) -> str:
    """`42 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`; below zero as it is."""
    whole = round(seconds)
    for size, unit, smaller_size, smaller_unit in UNITS:
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def describe_roughly(seconds: float) -> str:
    """The same in its largest unit alone."""
    return " ".join(describe_duration(seconds).split()[:2])
