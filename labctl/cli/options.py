"""Option types that several commands share: one declaration, the same name and help everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Output(StrEnum):
    """Forms that results can take."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    JUNIT = "junit"
    MARKDOWN = "markdown"
    HTML = "html"


File = Annotated[
    Path | None,
    typer.Option(
        "-f",
        "--file",
        help="The cluster's description (default: ./cluster.yaml, else the embedded cluster).",
        show_default=False,
    ),
]
OutputFormat = Annotated[Output, typer.Option("-o", "--output", help="Form of the result on stdout.")]
OutputFile = Annotated[
    Path | None, typer.Option("--output-file", help="Write the result to this file instead.", show_default=False)
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress on stderr.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Every step, also the short ones.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds that any one wait may take.", show_default=True)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Artifacts = Annotated[
    Path | None,
    typer.Option(
        "--artifacts",
        help="A folder with the files of a k3s release, used instead of a download (provider ssh).",
        show_default=False,
    ),
]
NodeDownloads = Annotated[
    bool, typer.Option("--node-downloads", help="Let the hosts download k3s themselves (provider ssh).")
]
Labs = Annotated[
    list[Path] | None,
    typer.Option("--labs", help="A directory with labs of your own, besides ./labs (repeatable).", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="Every lab.")]
Count = Annotated[
    int | None,
    typer.Option(
        "-n", "--requests", min=1, help="Requests per check (default: what the lab says).", show_default=False
    ),
]
Concurrency = Annotated[
    int | None, typer.Option("-c", "--concurrency", min=1, help="Most requests in flight at once.", show_default=False)
]
Confidence = Annotated[
    float,
    typer.Option(
        "--confidence", min=0.5, max=0.999999999, help="A statistical check refuses only below 1 - this p-value."
    ),
]
IngressClass = Annotated[
    str | None,
    typer.Option("--ingress-class", help="IngressClass for the labs' Ingresses (default: the cluster file's)."),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", help="Namespace of the labs' objects (default: what each lab says).", show_default=False
    ),
]
Jobs = Annotated[int, typer.Option("-j", "--jobs", min=1, max=32, help="Labs performed at once, if they do not meet.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the labs on the cluster; `labctl clean` removes them.")]
Watch = Annotated[bool, typer.Option("--watch", help="Check again and again, and when endpoints change.")]
Interval = Annotated[float, typer.Option("--interval", min=0.5, help="Seconds between checks of --watch.")]
