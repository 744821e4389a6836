"""What all tests share: the profiles of hypothesis, and the end of the servers that live tests started.

``ci``, the default, runs the same examples everywhere and is never late; ``nightly`` searches further
(``HYPOTHESIS_PROFILE=nightly``).
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
