"""exec, attach and port-forward: a client's streams on a container's processes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from labctl.embedded.api.kubelet import ExecError, Streams
from labctl.embedded.clientset import ApiError
from labctl.embedded.cni import PodNetwork
from labctl.embedded.cri import StartError
from labctl.embedded.http.messages import Duplex, Flow
from labctl.embedded.images.connection import Connection
from labctl.embedded.images.container import ProcessContainer
from labctl.embedded.images.process import Process, System
from labctl.embedded.images.streams import CHUNK, Null, Sink, Source
from labctl.embedded.images.terminal import TerminalInput, TerminalOutput
from labctl.embedded.kubelet.record import ContainerRecord

EXEC_FAILED = (
    'failed to exec in container: failed to start exec "{id}": OCI runtime exec failed: exec failed: '
    "unable to start container process: {why}"
)
"""containerd's words for a command that cannot be started."""

SETTLE = 0.05
"""Seconds that a process gets to answer its last input before an attached client leaves."""


def system_of(record: ContainerRecord) -> System:
    """What the processes of a running container share.

    Raises:
        ApiError: 404, it does not run.
    """
    if record.running is None or record.context is None:
        raise ApiError(404, "NotFound", f'container not found ("{record.name}")')
    if isinstance(record.running, ProcessContainer):
        return record.running.system
    if record.system is None:
        record.system = System(record.context)
        # Number 1 is the image's own process, which is no program here.
        record.system.new(("/" + record.name,), record.context.env)
    return record.system


def new_process(
    record: ContainerRecord, command: Sequence[str], stdin: Source, stdout: Sink, stderr: Sink, *, tty: bool
) -> Process:
    """Start a command in a container.

    Raises:
        ApiError: The container does not run.
        ExecError: There is no such command.
    """
    system = system_of(record)
    env = {**system.context.env, **({"TERM": "xterm"} if tty else {})}
    first = system.processes.get(1)
    cwd = system.context.working_dir or (first.cwd if first is not None else "/")
    try:
        _, executable = system.find(command[0], env, cwd)
    except StartError as error:
        raise ExecError(EXEC_FAILED.format(id=os.urandom(32).hex(), why=error)) from error
    process = system.new(command, env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, tty=tty)
    system.run(process, executable.program)
    return process


async def execute(record: ContainerRecord, command: Sequence[str], streams: Streams) -> int:
    """Run a command with a client's streams; its exit code. The client's leaving kills it.

    Raises:
        ApiError: The container does not run.
        ExecError: The command cannot be started.
    """
    nothing = Null()
    stdin: Source = streams.stdin or nothing
    stdout: Sink = streams.stdout or nothing
    stderr: Sink = streams.stderr or nothing
    if not streams.tty:
        return await _until_end(new_process(record, command, stdin, stdout, stderr, tty=False))
    output = TerminalOutput(stdout)
    session: list[Process] = []
    typed = TerminalInput(stdin, stdout, lambda number: interrupt(session[0], number))
    session.append(new_process(record, command, typed, output, output, tty=True))
    pumping = asyncio.get_running_loop().create_task(typed.pump())
    try:
        return await _until_end(session[0])
    finally:
        pumping.cancel()


async def _until_end(process: Process) -> int:
    try:
        return await process.wait()
    finally:
        for child in (process, *descendants(process)):
            if child.task is not None and not child.task.done():
                child.kill(signal.SIGKILL)


def descendants(process: Process) -> list[Process]:
    """Processes that were started by it, and by those."""
    found, numbers = [], {process.pid}
    for pid, other in sorted(process.system.processes.items()):
        if other.parent in numbers:
            numbers.add(pid)
            found.append(other)
    return found


def interrupt(session: Process, number: int) -> None:
    """A signal from the terminal: to everything in its foreground."""
    for process in (session, *descendants(session)):
        process.deliver(number)


async def run_command(record: ContainerRecord, command: Sequence[str], output: Sink) -> int:
    """Run a command without input, both outputs into one: probes and hooks."""
    return await _until_end(new_process(record, command, Null(), output, output, tty=False))


async def attach(record: ContainerRecord, streams: Streams) -> int:
    """Connect to a container's main process; returns 0 when it ends or the client's input does.

    How the process ended is no matter of the connection: clients read it from the pod's status.

    Raises:
        ApiError: The container does not run.
    """
    container = record.running
    if container is None:
        raise ApiError(404, "NotFound", f'container not found ("{record.name}")')
    if not isinstance(container, ProcessContainer):
        await asyncio.wait({container.exited})
        return 0
    attached = []
    if streams.stdout is not None:
        attached.append((container.stdout, streams.stdout))
    if streams.stderr is not None and not streams.tty:
        attached.append((container.stderr, streams.stderr))
    for output, sink in attached:
        output.attach(sink)
    try:
        await _attached(record, container, streams)
    finally:
        for output, sink in attached:
            output.detach(sink)
    return 0


async def _attached(record: ContainerRecord, container: ProcessContainer, streams: Streams) -> None:
    waiting: set[asyncio.Future[Any]] = {container.exited}
    feeding: asyncio.Task[None] | None = None
    if streams.stdin is not None and record.stdin is not None:
        feeding = asyncio.get_running_loop().create_task(_feed(record, container, streams))
        waiting.add(feeding)
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if feeding is not None:
            feeding.cancel()


async def _feed(record: ContainerRecord, container: ProcessContainer, streams: Streams) -> None:
    source: Source | None = streams.stdin
    assert source is not None
    assert record.stdin is not None
    if streams.tty and streams.stdout is not None:
        typed = TerminalInput(source, streams.stdout, lambda number: interrupt(container.process, number))
        await asyncio.gather(typed.pump(), _copy(typed, record.stdin))
    else:
        await _copy(source, record.stdin)
    if record.spec.get("stdinOnce"):
        record.stdin.close()
        await asyncio.wait({container.exited})
    await asyncio.sleep(SETTLE)


async def _copy(source: Source, target: Sink) -> None:
    with suppress(BrokenPipeError):
        while piece := await source.read(CHUNK):
            await target.write(piece)


def port_forward(network: PodNetwork, ip: str, port: int) -> Duplex:
    """A connection to a pod's port, from its own loopback as `kubectl port-forward` makes it.

    Raises:
        ConnectionRefusedError: Nothing listens there.
    """
    server = network.port_at(ip, port)
    if server is None:
        raise ConnectionRefusedError(111, "connection refused")
    local = 32768 + int.from_bytes(os.urandom(2), "big") % 28232
    return Connection(server, Flow(("127.0.0.1", local), ("127.0.0.1", port)))
