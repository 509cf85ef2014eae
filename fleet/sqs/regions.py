"""The names of AWS's regions: whether one exists, and which come close."""

import difflib


def region_trouble(region: str | None) -> str | None:
    """What is wrong with a region's name, with the closest ones that exist; None if it is good."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    session = Session()
    try:
        partitions = session.get_available_partitions()
        known = sorted(
            {name for each in partitions for name in session.get_available_regions("sqs", each)}
        )
    except BotoCoreError:  # no such profile, a file that cannot be parsed: the first call says it
        return None
    if region is None or region in known:
        return None
    close = difflib.get_close_matches(region, known, n=3)
    hint = f"did you mean {' or '.join(close)}?"
    if not close:
        hint = f"{len(known)} are known, us-east-1 for one"
    return f"unknown region {region!r}; {hint}"
