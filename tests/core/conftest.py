"""How much hypothesis tries. FLEET_HYPOTHESIS names the profile:

    quick      the default: 100 examples a property, 60 steps a model; with CI set, the same ones in
               every run
    thorough   1000 examples and 100 steps, to find what the quick runs have not:
               FLEET_HYPOTHESIS=thorough scripts/run dev pytest tests/core
    mutants    25 and 40, the same ones in every run: scripts/mutate runs the tests for every fault

A failure prints the seed and the blob that bring it back.
"""

import os

from hypothesis import HealthCheck, Phase, settings

COMMON = settings(
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    database=None,  # so that the seed is printed
    # Not Phase.explain: to explain a failed model takes minutes.
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.register_profile(
    "quick",
    COMMON,
    max_examples=100,
    stateful_step_count=60,
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile("thorough", COMMON, max_examples=1000, stateful_step_count=100)
settings.register_profile(
    "mutants", COMMON, max_examples=25, stateful_step_count=40, derandomize=True
)
settings.load_profile(os.environ.get("FLEET_HYPOTHESIS") or "quick")
