"""Draws README's terminal picture: a real run of a lab, as rich shows it. `python -m tests.picture FILE`."""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console

from labctl.cli.session import load_labs, session
from labctl.model.report import Report
from labctl.report.tables import report_view
from labctl.workflows.labs import LabOptions
from labctl.workflows.run import run_labs
from labctl.workflows.verify import verify_labs

WIDTH = 112


def canary_report() -> Report:
    """Run the canary lab, then take the short report of its verification."""
    with session(None) as s:
        labs = load_labs(s.env, ["canary"], None, all_labs=False)
        run_labs(labs, s.provider, s.inventory, env=s.env, sink=s.sink, options=LabOptions(keep=True))
        return verify_labs(
            labs, s.provider, s.inventory, env=s.env, sink=s.sink, options=LabOptions(), only_applied=False
        )


def main(target: Path) -> None:
    """Write the picture."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print("[bold]$[/bold] labctl verify canary")
    console.print(report_view(canary_report(), WIDTH))
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="labctl"), flags=re.DOTALL)
    target.write_text(picture, encoding="utf-8")  # without fonts from elsewhere: the reader's monospace font serves


if __name__ == "__main__":
    main(Path(sys.argv[1]))
