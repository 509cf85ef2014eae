"""An app whose import waits at the gate "import"."""

from tests.apps.jobs import job, pass_gate, write

write("importing", "")
pass_gate("import")

__all__ = ["job"]
