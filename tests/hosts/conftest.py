"""Fixtures of the tests on hosts: one bed for the whole run, hosts put back between tests."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hosts import prerequisites
from tests.hosts.bed import Bed
from tests.hosts.faults import reset
from tests.hosts.lab import Lab


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


@pytest.fixture(scope="session")
def artifacts(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in k3s's release files."""
    from tests.hosts.standin import build

    folder = tmp_path_factory.mktemp("artifacts")
    build.artifacts(folder, "v1.30.14+k3s1")
    return folder


@pytest.fixture(scope="session")
def newer(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of a newer release."""
    from tests.hosts.standin import build

    folder = tmp_path_factory.mktemp("newer")
    build.artifacts(folder, "v1.31.13+k3s1")
    return folder


@pytest.fixture
def lab(bed: Bed, artifacts: Path, tmp_path: Path) -> Iterator[Lab]:
    """labctl beside hosts that nothing has been done to."""
    yield Lab(bed, tmp_path, artifacts)
    with ThreadPoolExecutor() as pool:
        list(pool.map(reset, bed.hosts().values()))
