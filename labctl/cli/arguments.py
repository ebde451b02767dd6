"""Options that several commands take together, declared once as a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_type_hints

import typer

from labctl.cli import options

if TYPE_CHECKING:
    from labctl.workflows.bench import LabOptions

LabNames = Annotated[list[str] | None, typer.Argument(metavar="[LAB]...", help="Names of labs.", show_default=False)]


@dataclass(frozen=True, slots=True)
class LabArguments:
    """What `run` and `verify` take."""

    names: LabNames = None
    all_labs: options.All = False
    file: options.File = None
    labs: options.Labs = None
    requests: options.Count = None
    concurrency: options.Concurrency = None
    confidence: options.Confidence = 0.999
    ingress_class: options.IngressClass = None
    namespace: options.Namespace = None
    jobs: options.Jobs = 4
    timeout: options.Timeout = 60.0
    output: options.OutputFormat = options.Output.TABLE
    output_file: options.OutputFile = None
    quiet: options.Quiet = False
    verbose: options.Verbose = False
    no_color: options.NoColor = False

    def lab_options(self, *, keep: bool = False) -> LabOptions:
        """The same for the workflows."""
        from labctl.workflows.bench import LabOptions

        return LabOptions(
            requests=self.requests,
            concurrency=self.concurrency,
            confidence=self.confidence,
            ingress_class=self.ingress_class,
            namespace=self.namespace,
            timeout=self.timeout,
            keep=keep,
            jobs=self.jobs,
        )


@dataclass(frozen=True, slots=True)
class RunArguments(LabArguments):
    """What `run` takes besides."""

    keep: options.Keep = False


@dataclass(frozen=True, slots=True)
class VerifyArguments(LabArguments):
    """What `verify` takes besides."""

    watch: options.Watch = False
    interval: options.Interval = 5.0


A = TypeVar("A", bound=LabArguments)


def command_of(arguments: type[A], body: Callable[[A], int]) -> Callable[..., int]:
    """A Typer command whose options are the fields of a dataclass; name and help are the body's."""

    def command(**given: object) -> int:
        return body(arguments(**given))  # type: ignore[arg-type]  # Typer has checked them

    hints = get_type_hints(arguments, globalns={**globals(), "Path": Path}, include_extras=True)
    parameters = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=hints[f.name])
        for f in fields(arguments)
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # PEP 362: what signature() reads
    command.__annotations__ = hints
    command.__name__, command.__doc__ = body.__name__, body.__doc__
    return command
