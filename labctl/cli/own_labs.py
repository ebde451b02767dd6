"""`labctl lab new | check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labctl.cli import options
from labctl.cli.session import emit, session
from labctl.status import ExitStatus

lab_app = typer.Typer(help="Labs of your own.", no_args_is_help=True)


@lab_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the lab and of its folder.")],
    directory: Annotated[Path, typer.Option("--in", help="Where the folder is made.")] = Path("labs"),
    no_color: options.NoColor = False,
) -> int:
    """Write a lab that works, to be changed: lab.yaml, a manifest and a guide."""
    from labctl.workflows.own_labs import new_lab

    with session(None, quiet=True, no_color=no_color) as s:
        files = new_lab(name, s.env.cwd / directory)
        lines = [f"wrote {file.relative_to(s.env.cwd) if file.is_relative_to(s.env.cwd) else file}" for file in files]
        emit(s, "\n".join([*lines, f"next: labctl lab check {directory / name}; labctl run {name}"]) + "\n", None)
    return ExitStatus.OK


@lab_app.command()
def check(
    directory: Annotated[Path, typer.Argument(help="The lab's folder.")],
    no_color: options.NoColor = False,
) -> int:
    """Check a lab without a cluster: every mistake in lab.yaml and its manifests, with its place."""
    from labctl.workflows.own_labs import check_lab

    with session(None, quiet=True, no_color=no_color) as s:
        lab, advice = check_lab((s.env.cwd / directory).resolve())
        lines = [f"{lab.name}: {len(lab.steps)} steps, {len(lab.manifests)} manifests: no mistakes"]
        emit(s, "\n".join([*lines, *(f"advice: {line}" for line in advice)]) + "\n", None)
    return ExitStatus.OK
