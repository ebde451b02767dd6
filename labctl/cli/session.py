"""What every command starts with: surroundings, the cluster's description, and where events go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.cli.options import Output
from labctl.env import Env, system_env
from labctl.events import EventSink, Level, Notice
from labctl.model.inventory import Inventory, default_inventory
from labctl.model.lab import Lab
from labctl.providers.base import ClusterProvider, provider_for


@dataclass(frozen=True, slots=True)
class Session:
    """One command's surroundings."""

    env: Env
    inventory: Inventory
    sink: EventSink

    @property
    def provider(self) -> ClusterProvider:
        """The provider that cluster.yaml names."""
        return provider_for(self.inventory, self.env)


@contextmanager
def session(
    file: Path | None,
    *,
    quiet: bool = False,
    verbose: bool = False,
    no_color: bool = False,
    artifacts: Path | None = None,
    k3s_version: str = "",
    node_downloads: bool = False,
) -> Iterator[Session]:
    """Open a command's session; its live view is closed at the end, whatever happens.

    Args:
        file: The cluster's description.
        quiet: No progress.
        verbose: Every step.
        no_color: No colours.
        artifacts: Folder with a k3s release's files, in place of what the description says.
        k3s_version: Release of k3s, in place of what the description says.
        node_downloads: Whether the hosts download k3s themselves, besides what the description says.
    """
    from labctl.report.live import event_sink

    env = system_env()
    inventory = load_inventory(file, env)
    k3s = inventory.k3s
    wanted = replace(
        k3s,
        artifacts=artifacts or k3s.artifacts,
        version=k3s_version or k3s.version,
        node_downloads=node_downloads or k3s.node_downloads,
    )
    inventory = replace(inventory, k3s=wanted)
    with event_sink(env, quiet=quiet, verbose=verbose, color=use_color(env, no_color)) as sink:
        yield Session(env, inventory, sink)


def load_inventory(file: Path | None, env: Env) -> Inventory:
    """The given file, else ./cluster.yaml, else the embedded default."""
    path = file or env.cwd / "cluster.yaml"
    if file is None and not path.exists():
        return default_inventory()
    from labctl.config.inventory import load_inventory as load

    return load(path)


def load_labs(
    env: Env,
    names: Sequence[str],
    directories: Sequence[Path] | None,
    *,
    all_labs: bool,
    broken: EventSink | None = None,
) -> list[Lab]:
    """The named labs (or all of them), parsed and checked before anything is changed.

    Args:
        env: The process's surroundings.
        names: The labs' names.
        directories: Folders with the user's own labs, besides ./labs.
        all_labs: Every lab instead.
        broken: Is told of labs with mistakes, which are then left out; without it they are an error.

    Raises:
        UsageError: There is no such lab, or no lab is named.
        ConfigError: A lab has mistakes.
    """
    from labctl.config.lab import load_lab
    from labctl.errors import ConfigError
    from labctl.lab.catalogue import lab_directory

    found = lab_folders(env, names, directories, all_labs=all_labs)
    labs = []
    for name in found if all_labs else dict.fromkeys(names):
        try:
            labs.append(load_lab(lab_directory(found, name)))
        except ConfigError as error:
            if broken is None:
                raise
            place = error.problems[0]
            broken(Notice(f"lab {name} is left out: {place.position}: {place.message}", Level.WARNING))
    return labs


def lab_folders(
    env: Env, names: Sequence[str], directories: Sequence[Path] | None, *, all_labs: bool
) -> Mapping[str, Path]:
    """Every lab's folder by name; names and --all are checked, the labs are not read.

    Raises:
        UsageError: No lab is named, or both names and --all are given.
    """
    from labctl.errors import UsageError
    from labctl.lab.catalogue import find_labs

    found = find_labs([*(directories or []), env.cwd / "labs"])
    if all_labs and names:
        raise UsageError("give lab names or --all, not both")
    if not names and not all_labs:
        raise UsageError("which lab?", hint=f"labs: {', '.join(sorted(found))}; or --all")
    return found


def use_color(env: Env, no_color: bool) -> bool:
    """Whether colours are wanted at all (https://no-color.org); the terminal decides the rest."""
    return not no_color and not env.environ.get("NO_COLOR")


def emit(session: Session, text: str, output_file: Path | None) -> None:
    """Results go to stdout, or whole and at once into a file."""
    from labctl.report.write import write_text

    write_text(text, output_file, session.env.stdout)


def check_output_file(path: Path | None) -> None:
    """Find out before anything is done that the result could not be written.

    Raises:
        UsageError: The file's folder does not exist or cannot be written.
    """
    from labctl.errors import UsageError

    if path is not None and not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {path}: its folder does not exist or cannot be written")


def plain_output(output: Output) -> Output:
    """Commands that print no report know table, json and yaml only."""
    from labctl.errors import UsageError

    if output not in (Output.TABLE, Output.JSON, Output.YAML):
        raise UsageError(f"this command has no {output} output", hint="-o table, json or yaml")
    return output
