"""The recorded cases, as far as they do not wait for long; `make conformance` plays them all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from labctl.conformance.corpus import Case, load
from labctl.conformance.local import LocalTarget
from labctl.conformance.play import play_case
from labctl.workflows.conformance import read_listed

CORPUS = Path(__file__).parent / "corpus"
_QUICK = [case for case in load(CORPUS) if case.patience < 1.0 and case.name not in read_listed(CORPUS)]


@pytest.mark.parametrize("case", _QUICK, ids=lambda case: f"{case.group[0]}-{case.name}")
def test_the_recorded_answers(case: Case) -> None:
    assert asyncio.run(play_case(LocalTarget(), case, {})).mismatches == ()
