"""An app that fails at its import."""


def prepare() -> None:
    """Fail as real apps do: in a function, not at the top."""
    raise RuntimeError("no licence found")


prepare()


def job(body: str) -> None:
    """Never reached."""
