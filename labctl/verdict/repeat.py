"""The second round: a statistical check that is in doubt is repeated once, with twice the requests, which decide.

In doubt is a p-value below √(1 - confidence), 3.2 % at confidence 0.999; refused is one below 1 - confidence. A true
expectation then fails in at most (1 - confidence)^1.5 of all checks, one in thirty thousand; a wrong one has to pass
either a first round that is hard to pass or a second with twice the requests.
"""

from __future__ import annotations

import math
from dataclasses import replace

from labctl.model.probe import ProbePlan
from labctl.model.report import Check


def doubt(confidence: float) -> float:
    """The p-value below which one round is not enough to decide."""
    return math.sqrt(1 - confidence)


def needs_second_round(check: Check, plan: ProbePlan) -> ProbePlan | None:
    """The plan of the second round, with twice the requests; None when there is none.

    An exact failure (a wrong status, a key that may not answer) is none of chance's and is not repeated; neither is
    what was interrupted.
    """
    verdict = check.verdict
    if check.partial or verdict is None or verdict.p_value is None or verdict.p_value >= doubt(verdict.confidence):
        return None
    return replace(plan, count=2 * plan.count)


def combine(first: Check, second: Check) -> Check:
    """The check of both rounds: the second's numbers and judgement, the first inside.

    A second round that was interrupted leaves the first one's judgement, marked partial.
    """
    if second.partial or second.verdict is None:
        return replace(first, partial=True)
    if first.verdict is not None and first.verdict.passed:
        words = "in doubt"
    else:
        words = "also refused" if not second.verdict.passed else "refused"
    reason = f"{second.verdict.reason} (second round; the first, of {first.requests}, was {words})"
    return replace(second, first=first, verdict=replace(second.verdict, reason=reason))
