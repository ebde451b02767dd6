"""The second round: a statistical check that fails is repeated once, with twice the requests.

At confidence 0.999 one true expectation in a thousand is refused; with twenty checks, run daily, that is a false alarm
every other month. Failing only when both rounds do makes it one in a million, and twice the requests make it harder
for something wrong to slip through the second round than through the first.
"""

from __future__ import annotations

from dataclasses import replace

from labctl.model.probe import ProbePlan
from labctl.model.report import Check


def needs_second_round(check: Check, plan: ProbePlan) -> ProbePlan | None:
    """The plan of the second round, with twice the requests; None when there is none.

    An exact failure (a wrong status, a key that may not answer) is none of chance's and is not repeated; neither is
    what was interrupted.
    """
    verdict = check.verdict
    if check.partial or verdict is None or verdict.passed or verdict.p_value is None:
        return None
    return replace(plan, count=2 * plan.count)


def combine(first: Check, second: Check) -> Check:
    """The check of both rounds: the second's numbers, the first inside, failed only when both are.

    A second round that was interrupted leaves the first one's judgement, marked partial.
    """
    if second.partial or second.verdict is None:
        return replace(first, partial=True)
    words = "also refused" if not second.verdict.passed else "refused"
    reason = f"{second.verdict.reason} (second round; the first, of {first.requests}, was {words})"
    return replace(second, first=first, verdict=replace(second.verdict, reason=reason))
