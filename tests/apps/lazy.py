"""An app whose attributes are made when they are asked for, and one of them cannot be."""


def __getattr__(name: str) -> object:
    if name == "job":
        raise RuntimeError("no licence found")
    raise AttributeError(name)
