"""The chaos run's own judgement: whose traceback a line is."""

from pathlib import Path

import fleet
from fleet.job import process
from tests.support.chaos import is_frame_of_fleet
from tests.support.pool import APPS, REPOSITORY


def test_a_frame_is_fleets_by_where_the_package_lies(tmp_path: Path) -> None:
    """Not by its path's words: a checkout may be called fleet, and lie below a link."""
    link = tmp_path / "link"
    link.symlink_to(REPOSITORY)
    (tmp_path / "fleet").mkdir()
    package = Path(fleet.__file__).parent.name
    for ours in (process.__file__, link / package / "system" / "stderr.py"):
        assert is_frame_of_fleet(f'  File "{ours}", line 1, in do')
    for other in (
        APPS / "chaotic.py",
        tmp_path / "fleet" / "app.py",
        "/srv/fleet/job.py",
        "<frozen importlib>",
        "<fleet/>",
    ):
        assert not is_frame_of_fleet(f'  File "{other}", line 1, in do')
    assert not is_frame_of_fleet("a word about /fleet/ itself")
