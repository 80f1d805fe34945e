"""What all tests share: Hypothesis tries the same examples in every run, unless asked to explore.

``HYPOTHESIS_PROFILE=explore`` tries many new ones.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))
