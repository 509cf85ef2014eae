"""How much hypothesis tries: little by default, the same every time in CI, a lot when asked to.

`FLEET_HYPOTHESIS=thorough pytest tests/core` looks for what the default run has not found yet. A
failure prints the seed and the blob that bring it back.
"""

import os

from hypothesis import HealthCheck, Phase, settings

COMMON = settings(
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    database=None,  # so that the seed is printed
    phases=[
        Phase.explicit,
        Phase.generate,
        Phase.shrink,
    ],  # explaining a failed model takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile("quick", COMMON, max_examples=200, stateful_step_count=60)
settings.register_profile("ci", COMMON, max_examples=200, stateful_step_count=60, derandomize=True)
settings.register_profile(
    "mutants", COMMON, max_examples=25, stateful_step_count=40, derandomize=True
)
settings.register_profile("thorough", COMMON, max_examples=1000, stateful_step_count=100)
settings.load_profile(
    os.environ.get("FLEET_HYPOTHESIS") or ("ci" if os.environ.get("CI") else "quick")
)
