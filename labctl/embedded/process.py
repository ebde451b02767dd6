"""The embedded cluster as a background process: start it, find it, stop it. Used from outside that process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labctl.embedded.settings import EmbeddedSettings, StateDirectory
from labctl.env import Clock
from labctl.errors import ClusterError, LabctlError, UsageError, WaitTimeoutError
from labctl.waiting import Pending, wait_for


@dataclass(frozen=True, slots=True)
class Started:
    """How `start` found things.

    Attributes:
        pid: The running process.
        already: It was running before.
        recovered: Objects of an earlier process were taken over.
        stale_pid: Process id of an earlier process that ended without cleaning up; 0 when there was none.
    """

    pid: int
    already: bool = False
    recovered: bool = False
    stale_pid: int = 0


def running_pid(state: StateDirectory) -> int:
    """Process id of the running cluster; 0 when it does not run. The lock decides, not the number in the file."""
    try:
        with state.lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unusable(state, error) from error
    return 0


def start(
    settings: EmbeddedSettings, state: StateDirectory, *, timeout: float, meanwhile: Callable[[], object]
) -> Started:
    """Start the cluster's process unless it runs, and wait until its API answers.

    Args:
        settings: What to start.
        state: Where its files are.
        timeout: Seconds until it must be ready.
        meanwhile: Called while the process starts: what has to be done anyway costs no time then.

    Raises:
        UsageError: The cluster exists with other settings, or the state directory cannot be written.
        ClusterError: The process could not start; the message is its own.
        WaitTimeoutError: It did not become ready in time.
    """
    pid = running_pid(state)
    _check_settings(settings, state, running=bool(pid))
    if pid:
        return Started(pid, already=True)
    stale = _stale_pid(state)
    recovered = state.database.exists()
    _write_settings(settings, state)
    return Started(_spawn(state, timeout, meanwhile), recovered=recovered, stale_pid=stale)


def _check_settings(settings: EmbeddedSettings, state: StateDirectory, *, running: bool) -> None:
    if not running and not state.database.exists():
        return  # nothing depends on them yet: an earlier start did not get that far
    try:
        existing = state.settings.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unusable(state, error) from error
    if existing.strip() != settings.to_json():
        how = "runs" if running else "exists"
        raise UsageError(
            f"the embedded cluster '{settings.name}' {how} with other settings than asked for ({state.settings})",
            hint="`labctl down` removes it; or give the cluster in cluster.yaml another name",
        )


def _stale_pid(state: StateDirectory) -> int:
    try:
        return int(state.lock.read_text().strip() or 0)
    except (OSError, ValueError):
        return 0


def _write_settings(settings: EmbeddedSettings, state: StateDirectory) -> None:
    try:
        state.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = state.settings.with_suffix(".partial")
        partial.write_text(settings.to_json() + "\n", encoding="utf-8")
        partial.replace(state.settings)
        state.log.touch(mode=0o600)
    except OSError as error:
        raise _unusable(state, error) from error


def _unusable(state: StateDirectory, error: OSError) -> UsageError:
    return UsageError(
        f"cannot use the state directory {state.path}: {error.strerror}",
        hint="set LABCTL_STATE_DIR to a directory that you can write",
    )


def _spawn(state: StateDirectory, timeout: float, meanwhile: Callable[[], object]) -> int:
    read_end, write_end = os.pipe()
    with state.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "labctl.embedded", str(state.path), str(write_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=(write_end,),
            start_new_session=True,
        )
    os.close(write_end)
    try:
        meanwhile()
        answer = _read_line(read_end, timeout)
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        os.close(read_end)
    if not answer:
        code = child.wait()
        raise ClusterError(
            f"the embedded cluster ended while starting (exit code {code}); its last words:\n{_tail(state.log)}",
            hint=f"the whole log is {state.log}",
        )
    message = json.loads(answer)
    if "error" in message:
        child.wait()
        raise ClusterError(message["error"], hint=message.get("hint", ""))
    return child.pid


def _read_line(descriptor: int, timeout: float) -> bytes:
    """One line from a pipe; empty when the other end closed without one."""
    deadline = time.monotonic() + timeout
    data = b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise WaitTimeoutError(f"the embedded cluster was not ready within {timeout:g} s")
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return b""
        data += chunk
    return data


def _tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def stop(state: StateDirectory, clock: Clock, *, timeout: float, keep_data: bool) -> bool:
    """Stop the cluster; delete its state unless `keep_data`. False when there was nothing to stop or delete.

    Raises:
        WaitTimeoutError: The process did not end in time (it is not killed: its log tells what it does).
    """
    pid = running_pid(state)
    if pid:
        _terminate(pid)

        def ended() -> bool | Pending:
            return Pending(f"process {pid} still runs") if running_pid(state) else True

        wait_for("the embedded cluster to stop", ended, timeout=timeout, clock=clock, interval=0.01)
    existed = state.path.exists()
    if existed and not keep_data:
        try:
            shutil.rmtree(state.path)
        except OSError as error:
            raise LabctlError(f"cannot remove {error.filename}: {error.strerror}") from error
    return bool(pid) or (existed and not keep_data)


def _terminate(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself in between
        os.kill(pid, signal.SIGTERM)
