"""An app that is there and imports a module that is not."""

import no_such_dependency  # type: ignore[import-not-found]


def job(body: str) -> None:
    """Never reached."""
    no_such_dependency.work(body)
