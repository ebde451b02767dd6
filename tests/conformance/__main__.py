"""`python -m tests.conformance [--corpus DIR] [--only TEXT] [-o json]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from pathlib import Path

from tests.conformance.corpus import BUNDLED, load
from tests.conformance.listed import LISTED
from tests.conformance.runner import Outcome, run_all


def main() -> int:
    """Run the corpus and tell what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--corpus", type=Path, default=BUNDLED)
    parser.add_argument("--only", default="", help="cases whose name contains this, or whose group begins with it")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    cases = [case for case in load(options.corpus) if options.only in case.name or case.group.startswith(options.only)]

    def progress(outcome: Outcome) -> None:
        if options.output == "text":
            for failure in outcome.failures():
                print(f"FAIL {failure['case']}: {failure['request']}")
                print(f"     expected {failure['expected']}\n     got      {failure['got']}", flush=True)

    outcomes = asyncio.run(run_all(cases, progress=progress))
    failed = [outcome for outcome in outcomes if outcome.differences and outcome.case.name not in LISTED]
    listed = [outcome.case.name for outcome in outcomes if outcome.differences and outcome.case.name in LISTED]
    if options.output == "json":
        report = {
            "schema": "labctl.conformance/v1",
            "cases": len(outcomes),
            "passed": len(outcomes) - len(failed) - len(listed),
            "failed": [failure for outcome in failed for failure in outcome.failures()],
            "listed": listed,
        }
        json.dump(report, sys.stdout, indent=1, ensure_ascii=False)
    else:
        by_group = Counter(outcome.case.group for outcome in outcomes)
        bad = Counter(outcome.case.group for outcome in failed)
        for group, count in sorted(by_group.items()):
            print(f"{group}: {count - bad[group]} of {count}")
        print(f"{len(outcomes) - len(failed) - len(listed)} of {len(outcomes)} passed, {len(listed)} listed")
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
