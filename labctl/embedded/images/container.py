"""Containers made of programs: process 1, servers that start at once, and images that run a command."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from labctl.embedded.cni import PodPort
from labctl.embedded.cri import ContainerContext, StartError
from labctl.embedded.images.process import ABORTED, KILLED, Exit, Process, Program, System
from labctl.embedded.images.streams import Lines, Output
from labctl.embedded.images.terminal import TerminalOutput

RUNC = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
"""What containerd puts before runc's own words when a container's process cannot be started."""

HttpPort = Callable[..., PodPort]
"""Makes a port that speaks HTTP from an application (`labctl.embedded.http.server.http_port`)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A program that serves ports until it is told to end.

    As process 1 it is listening when `Image.start` returns, so that a pod without a readiness probe never reports
    Ready before it answers.

    Attributes:
        ports: Reads the process's arguments and returns what to open; raises Exit when there is nothing to serve.
        signals: Signals it ends on, with the exit code it then has.
    """

    ports: Callable[[Process], Mapping[int, PodPort]]
    signals: tuple[tuple[int, int], ...] = ((signal.SIGTERM, 0), (signal.SIGQUIT, 0), (signal.SIGINT, 0))

    def open(self, process: Process, done: asyncio.Future[int]) -> None:
        """Open the ports and arrange for `done`.

        Raises:
            Exit: Wrong arguments, or nothing to serve.
            OSError: A port is taken.
        """
        for port, server in self.ports(process).items():
            process.system.listen(process, port, server)
        for number, code in self.signals:
            process.handlers[number] = partial(_settle, done, code)

    async def __call__(self, process: Process) -> int:
        """Serve until a signal."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            self.open(process, done)
        except OSError as error:
            await process.complain(f"bind() failed ({error.strerror})")
            return 1
        return await done


def _settle(done: asyncio.Future[int], code: int) -> None:
    if not done.done():
        done.set_result(code)


class ProcessContainer:
    """A running container whose process 1 is a program of the image."""

    ports: Mapping[int, PodPort] = {}
    """Empty: programs open the pod's ports themselves, when they come to it."""

    def __init__(self, system: System, process: Process, program: Program, output: tuple[Output, Output]) -> None:
        self.system = system
        self.process = process
        self.stdout, self.stderr = output
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._killer: asyncio.TimerHandle | None = None
        if isinstance(program, Server):
            self._serve(program)
        else:
            system.run(process, program)
            assert process.task is not None
            process.task.add_done_callback(self._ended)

    def stop(self, grace_seconds: float) -> None:
        """SIGTERM to process 1, SIGKILL to all of them after the grace period."""
        self.process.deliver(signal.SIGTERM)
        if not self.exited.done():
            self._killer = asyncio.get_running_loop().call_later(grace_seconds, self._kill)

    def _serve(self, program: Server) -> None:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        try:
            program.open(self.process, done)
        except Exit as exit_:
            for line in exit_.message.splitlines():
                self.system.context.log(line)
            self._finish(exit_.code)
        except OSError as error:
            self.system.context.log(f"bind() failed ({error.strerror})")
            self._finish(1)
        else:
            done.add_done_callback(lambda future: self._finish(future.result()))

    def _ended(self, task: asyncio.Task[int]) -> None:
        if task.cancelled():
            self._finish(128 + self.process.killed if self.process.killed else KILLED)
        elif (error := task.exception()) is not None:
            self.system.context.log(f"{self.process.argv[0]}: {error!r}")
            self._finish(ABORTED)
        else:
            self._finish(task.result())

    def _kill(self) -> None:
        self.system.kill_all()
        self._finish(KILLED)

    def _finish(self, code: int) -> None:
        if self.exited.done():
            return
        if self._killer is not None:
            self._killer.cancel()
        self.system.ended(self.process)
        self.system.kill_all()
        self.stdout.close()
        self.stderr.close()
        self.exited.set_result(code)


@dataclass(frozen=True, slots=True)
class CommandImage:
    """An image whose containers run a command.

    Attributes:
        entrypoint: ENTRYPOINT of the image; the spec's `command` replaces it.
        cmd: CMD of the image; the spec's `args` (or `command`) replace it.
        workdir: WORKDIR of the image.
    """

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = "/"

    def start(self, context: ContainerContext) -> ProcessContainer:
        """Start process 1.

        Raises:
            StartError: There is no such executable.
        """
        return start_process(context, self.argv(context.command, context.args), context.working_dir or self.workdir)

    def argv(self, command: tuple[str, ...], args: tuple[str, ...]) -> tuple[str, ...]:
        """What the spec and the image's defaults make together."""
        if command:
            return command + args
        return self.entrypoint + (args or self.cmd)


def start_process(context: ContainerContext, argv: tuple[str, ...], cwd: str = "/") -> ProcessContainer:
    """Run a command as a container's process 1, its output into the container's log.

    Raises:
        StartError: There is no such executable.
    """
    if not argv:
        raise StartError(RUNC + "unable to start container process: no command specified")
    system = System(context)
    try:
        _, executable = system.find(argv[0], context.env, cwd)
    except StartError as error:
        raise StartError(f"{RUNC}unable to start container process: {error}") from error
    out, err = Output(Lines(context.log)), Output(Lines(context.log))
    process = system.new(argv, context.env, cwd=cwd, stdin=context.stdin, stdout=out, stderr=err, tty=context.tty)
    if context.tty:
        process.stdout = process.stderr = TerminalOutput(out)
    return ProcessContainer(system, process, executable.program, (out, err))
