"""The same work on many hosts at once; a host that fails is a value beside those that did not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from labctl.errors import LabctlError, WaitTimeoutError
from labctl.ssh.transport import HostTimeoutError
from labctl.status import ExitStatus

H = TypeVar("H")
T = TypeVar("T")
AT_ONCE = 32
"""Hosts worked on at the same time."""


class HostsError(LabctlError):
    """Some hosts failed; one line for each, with its cause and remedy."""

    def __init__(self, failed: Mapping[str, LabctlError], of: int) -> None:
        errors = list(failed.values())
        if len(errors) == 1:
            message, hint = errors[0].message, errors[0].hint
        else:
            lines = [f"  {error.message}" + (f"\n    hint: {error.hint}" if error.hint else "") for error in errors]
            message, hint = "\n".join([f"{len(errors)} of {of} hosts failed:", *lines]), ""
        super().__init__(message, hint=hint)
        self.failed = dict(failed)
        late = all(isinstance(error, (HostTimeoutError, WaitTimeoutError)) for error in errors)
        self.exit_status = ExitStatus.DEADLINE if late else ExitStatus.UNREACHABLE


@dataclass(frozen=True, slots=True)
class HostResults(Generic[T]):
    """What came out on each host, in the order they were given."""

    succeeded: Mapping[str, T] = field(default_factory=dict)
    failed: Mapping[str, LabctlError] = field(default_factory=dict)

    def all(self) -> Mapping[str, T]:
        """The results, if there is one of every host.

        Raises:
            HostsError: Some hosts failed.
        """
        if self.failed:
            raise HostsError(self.failed, len(self.failed) + len(self.succeeded))
        return self.succeeded


def each(hosts: Mapping[str, H], work: Callable[[H], T], *, at_once: int = AT_ONCE) -> HostResults[T]:
    """Do the work on every host, at most `at_once` at a time.

    An interruption (Ctrl-C) cancels what has not begun and is raised at once; whoever owns the connections closes them,
    which ends what has.
    """
    if not hosts:
        return HostResults()
    pool = ThreadPoolExecutor(max_workers=min(at_once, len(hosts)), thread_name_prefix="host")
    try:
        futures = {name: pool.submit(work, host) for name, host in hosts.items()}
        succeeded: dict[str, T] = {}
        failed: dict[str, LabctlError] = {}
        for name, future in futures.items():
            try:
                succeeded[name] = future.result()
            except LabctlError as error:
                failed[name] = error
        return HostResults(succeeded, failed)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
