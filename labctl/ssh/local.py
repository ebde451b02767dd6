"""The machine labctl runs on, with the contract of a remote one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable
from typing import IO

from labctl.secrets import Secret
from labctl.ssh.transport import Completed, HostTimeoutError, Stdin, check_sudo, pieces, shell_command


class LocalTransport:
    """Commands as child processes; each in a session of its own, so that it can be ended whole."""

    def __init__(self, host: str, sudo_password: Secret | None = None) -> None:
        self._host = host
        self._password = sudo_password
        self._running: set[subprocess.Popen[bytes]] = set()

    @property
    def host(self) -> str:
        """The node's name."""
        return self._host

    def run(self, command: str, *, stdin: Stdin = b"", sudo: bool = False, timeout: float = 60.0) -> Completed:
        """See Transport.run."""
        line, first = shell_command(command, sudo=sudo, password=self._password)
        child = self._start(line, subprocess.PIPE)
        feeder = threading.Thread(target=_feed, args=(child.stdin, pieces(first, stdin)), daemon=True)
        feeder.start()
        child.stdin = None  # the feeder's; communicate() must not touch it
        try:
            out, error = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            raise HostTimeoutError(self._host, f"a command did not end within {timeout:g} s") from expired
        finally:
            self._end(child)
        status = child.returncode if child.returncode >= 0 else 128 - child.returncode
        return check_sudo(self._host, Completed(status, out, error))

    def stream(self, command: str, on_output: Callable[[bytes], None], *, sudo: bool = False) -> int:
        """See Transport.stream."""
        line, first = shell_command(command, sudo=sudo, password=self._password)
        child = self._start(line, None)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _feed(child.stdin, [first])
            while chunk := os.read(child.stdout.fileno(), 65536):
                on_output(chunk)
            return child.wait()
        finally:
            self._end(child)

    def close(self) -> None:
        """End what still runs."""
        for child in tuple(self._running):
            self._end(child)

    def _start(self, line: str, stderr: int | None) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            ["/bin/sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
        self._running.add(child)
        return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        self._running.discard(child)
        if child.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGTERM)
            child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


def _feed(pipe: IO[bytes] | None, data: Iterable[bytes]) -> None:
    """Write everything and close; a command that ends without reading it all is no error."""
    assert pipe is not None
    with contextlib.suppress(BrokenPipeError):
        for piece in data:
            pipe.write(piece)
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
