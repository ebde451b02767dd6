"""Where the test hosts live: outside the checkout, so that they outlive it and are never committed."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache() -> Path:
    """The directory of base trees, beds and built stand-ins; LABCTL_TEST_HOSTS_DIR moves it."""
    return Path(os.environ.get("LABCTL_TEST_HOSTS_DIR") or user_cache_path("labctl-test-hosts"))
