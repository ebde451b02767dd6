"""Fixtures of the tests on hosts: one bed for the whole run, hosts put back between tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hosts import prerequisites
from tests.hosts.bed import Bed


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Four hosts that are up; removed at the end. Skipped, with the reason, where they cannot be made."""
    reason = prerequisites.missing()
    if reason:
        pytest.skip(reason)
    made = Bed()
    with made.locked():
        try:
            made.up()
            yield made
        finally:
            made.down()
