"""fleet: a pre-forking batch server for Amazon SQS."""

from fleet import version

__version__ = version.VERSION

__all__ = ["__version__"]
