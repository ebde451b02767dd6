"""The recorded cases, as far as they do not wait for long; `python -m tests.conformance` runs them all."""

from __future__ import annotations

import asyncio

import pytest

from tests.conformance.corpus import BUNDLED, Case, load
from tests.conformance.listed import LISTED
from tests.conformance.runner import run_case

_QUICK = [case for case in load(BUNDLED) if case.patience < 1.0 and case.name not in LISTED]


@pytest.mark.parametrize("case", _QUICK, ids=lambda case: f"{case.group[0]}-{case.name}")
def test_the_recorded_answers(case: Case) -> None:
    outcome = asyncio.run(run_case(case))
    assert outcome.failures() == []
