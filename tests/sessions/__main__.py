"""`python -m tests.sessions [--sessions DIR] [--only TEXT] [--pace N] [-o json]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.sessions.matching import smooth
from tests.sessions.recording import BUNDLED, Session, load
from tests.sessions.runner import Failure, Result, run_all


def main() -> int:
    """Replay the sessions and tell what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.sessions", description=__doc__)
    parser.add_argument("--sessions", type=Path, default=BUNDLED, help="a directory of recorded sessions")
    parser.add_argument("--only", default="", help="sessions whose name begins with one of these, separated by commas")
    parser.add_argument("--pace", type=float, default=1.0, help="a step takes at least so many times its recorded time")
    parser.add_argument("--workers", type=int, default=8, help="how many clusters are up at once")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    options = parser.parse_args()
    wanted = tuple(options.only.split(","))
    sessions = [session for session in load(options.sessions) if session.name.startswith(wanted)]

    def progress(session: Session, result: Result) -> None:
        if options.output == "text":
            print(f"{session.name}: {result.compared - len(result.failures)} of {result.compared}", flush=True)
            for failure in result.failures:
                _show(failure)

    with tempfile.TemporaryDirectory(prefix="labctl-sessions-") as home:
        total = asyncio.run(
            run_all(sessions, home=Path(home), workers=options.workers, pace=options.pace, progress=progress)
        )
    if options.output == "json":
        json.dump(_document(sessions, total), sys.stdout, indent=1, ensure_ascii=False)
        print()
    else:
        passed = total.compared - len(total.failures)
        print(
            f"{passed} of {total.compared} steps agree ({passed / max(total.compared, 1):.1%}); {len(total.listed)} listed"
        )
    return 3 if total.failures else 0


def _show(failure: Failure) -> None:
    print(f"  FAIL step {failure.step.number}: {failure.step.command}")
    if failure.step.code != failure.got.code:
        print(f"    exit code {failure.got.code}, recorded {failure.step.code}")
    for name in ("stdout", "stderr"):
        expected, got = smooth(getattr(failure.step, name)), smooth(getattr(failure.got, name))
        print(f"    --- {name} recorded\n{_indent(expected)}\n    --- {name} here\n{_indent(got)}", flush=True)


def _indent(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


def _document(sessions: list[Session], total: Result) -> dict[str, Any]:
    return {
        "schema": "labctl.sessions/v1",
        "sessions": len(sessions),
        "steps": total.compared,
        "passed": total.compared - len(total.failures),
        "failed": [_failed(failure) for failure in total.failures],
        "listed": [{"session": name, "step": step.command, "reason": why} for name, step, why in total.listed],
    }


def _failed(failure: Failure) -> dict[str, Any]:
    step, got = failure.step, failure.got
    return {
        "session": failure.session,
        "step": step.command,
        "number": step.number,
        "expected": {"rc": step.code, "stdout": step.stdout, "stderr": step.stderr},
        "got": {"rc": got.code, "stdout": got.stdout, "stderr": got.stderr},
    }


if __name__ == "__main__":
    sys.exit(main())
