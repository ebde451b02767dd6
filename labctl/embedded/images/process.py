"""Processes of a container: what a program is started with, how it is signalled, and what it shares with others."""

from __future__ import annotations

import asyncio
import posixpath
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from labctl.embedded.cni import PodPort
from labctl.embedded.cri import ContainerContext, StartError
from labctl.embedded.images.filesystem import Directory, Executable, File, FileSystem
from labctl.embedded.images.streams import Null, Sink, Source

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KILLED = 128 + signal.SIGKILL
PIPE_BROKEN = 128 + signal.SIGPIPE
ABORTED = 128 + signal.SIGABRT
SEGMENTATION_FAULT = 128 + signal.SIGSEGV


Program = Callable[["Process"], Awaitable[int]]
"""What an executable file does: runs to the end and returns the exit code."""


class Exit(Exception):  # noqa: N818 - it is no error: `exit` unwinds the program like SystemExit does
    """Ends a program from within.

    Attributes:
        code: The exit code.
        message: What goes to standard error before.
    """

    def __init__(self, code: int, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message


@dataclass(eq=False, slots=True)
class Process:
    """One process.

    Attributes:
        system: What it shares with the container's other processes.
        pid: Its number in the container; 1 is the entrypoint.
        argv: Its arguments, the program's name first.
        env: Its environment.
        cwd: Its working directory.
        stdin: Standard input.
        stdout: Standard output.
        stderr: Standard error.
        parent: Number of the process that started it; 0 for the runtime.
        tty: Whether it has a terminal.
        handlers: What it does on a signal instead of the default; None ignores it.
        task: What runs it.
    """

    system: System
    pid: int
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    stdin: Source
    stdout: Sink
    stderr: Sink
    parent: int = 0
    tty: bool = False
    handlers: dict[int, Callable[[], None] | None] = field(default_factory=dict)
    task: asyncio.Task[int] | None = None
    killed: int = 0

    async def print(self, text: str) -> None:
        """Write text to standard output."""
        await self.stdout.write(text.encode("utf-8", "surrogateescape"))

    async def complain(self, text: str) -> None:
        """Write a line to standard error, after the program's name."""
        line = f"{posixpath.basename(self.argv[0])}: {text}\n"
        await self.stderr.write(line.encode("utf-8", "surrogateescape"))

    def path(self, path: str) -> str:
        """An argument as an absolute path."""
        return posixpath.normpath(posixpath.join(self.cwd, path)) + ("/" if path.endswith("/") and path != "/" else "")

    @property
    def files(self) -> FileSystem:
        """The container's files."""
        return self.system.files

    def deliver(self, number: int) -> None:
        """A signal from inside the container.

        Process 1 ignores every signal that it has no handler for, SIGKILL included (pid_namespaces(7)).
        """
        if number == signal.SIGKILL:
            if self.pid != 1:
                self.kill(number)
            return
        if number in self.handlers:
            handler = self.handlers[number]
            if handler is not None:
                handler()
        elif self.pid != 1 and number not in (signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGURG):
            self.kill(number)

    def kill(self, number: int) -> None:
        """End it with a signal, whatever it wants."""
        self.killed = number
        if self.task is not None:
            self.task.cancel()

    async def wait(self) -> int:
        """The exit code; 128 + n after signal n."""
        assert self.task is not None
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            if self.task.cancelled() and self.killed:
                return 128 + self.killed
            raise


@dataclass(eq=False, slots=True)
class System:
    """What the processes of one container share.

    Attributes:
        context: What the container was started with.
        processes: Running processes by number.
        listening: Ports that are open, with the process that holds each.
    """

    context: ContainerContext
    processes: dict[int, Process] = field(default_factory=dict)
    listening: dict[int, int] = field(default_factory=dict)
    last_pid: int = 0

    @property
    def files(self) -> FileSystem:
        """The container's files."""
        return self.context.files

    def find(self, name: str, env: Mapping[str, str], cwd: str = "/") -> tuple[str, Executable]:
        """Look a program up, along PATH when its name has no slash.

        Raises:
            StartError: Not found or not executable, in runc's words.
        """
        if "/" in name:
            path = posixpath.join(cwd, name)
            if not self.files.exists(path):
                raise StartError(f'exec: "{name}": stat {name}: no such file or directory')
            node = self.files.stat(path)
            if isinstance(node, Executable):
                return path, node
            if isinstance(node, Directory):
                raise StartError(f'exec: "{name}": is a directory')
            return path, self._script(name, path, node)
        for folder in env.get("PATH", DEFAULT_PATH).split(":"):
            path = posixpath.join(folder or ".", name)
            if self.files.exists(path):
                node = self.files.stat(path)
                if isinstance(node, Executable):
                    return path, node
                if isinstance(node, File) and node.mode & 0o111:
                    return path, self._script(name, path, node)
        raise StartError(f'exec: "{name}": executable file not found in $PATH')

    def _script(self, name: str, path: str, node: object) -> Executable:
        if not isinstance(node, File) or not node.mode & 0o111:
            raise StartError(f'exec: "{name}": permission denied')
        first = node.content().split(b"\n", 1)[0]
        if not first.startswith(b"#!"):
            raise StartError(f'exec: "{name}": exec format error')
        interpreter = first[2:].decode("utf-8", "replace").split()
        _, program = self.find(interpreter[0], {})
        return Executable(_Script(program.program, (*interpreter, path)))

    def new(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        cwd: str = "/",
        stdin: Source | None = None,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        parent: int = 0,
        tty: bool = False,
    ) -> Process:
        """A process that does not run yet."""
        self.last_pid += 1
        nothing = Null()
        process = Process(
            system=self,
            pid=self.last_pid,
            argv=tuple(argv),
            env=dict(env),
            cwd=cwd,
            stdin=stdin or nothing,
            stdout=stdout or nothing,
            stderr=stderr or nothing,
            parent=parent,
            tty=tty,
        )
        self.processes[process.pid] = process
        return process

    def run(self, process: Process, program: Program) -> None:
        """Start a process; `process.wait()` tells its exit code."""
        process.task = asyncio.get_running_loop().create_task(self._run(process, program))
        process.task.add_done_callback(lambda _: self.ended(process))

    async def _run(self, process: Process, program: Program) -> int:
        try:
            return await program(process)
        except Exit as exit_:
            if exit_.message:
                await process.stderr.write(exit_.message.encode())
            return exit_.code
        except BrokenPipeError:
            return PIPE_BROKEN
        except OSError as error:
            # What a program did not expect of the file system: it would print perror's line and give up.
            await process.complain(error.strerror or str(error))
            return 1
        except RecursionError:
            return SEGMENTATION_FAULT

    def ended(self, process: Process) -> None:
        """A process has ended: its ports close and its number is free."""
        self.processes.pop(process.pid, None)
        for port in [port for port, pid in self.listening.items() if pid == process.pid]:
            del self.listening[port]
            self.context.network.close(self.context.uid, port)

    def listen(self, process: Process, port: int, server: PodPort) -> None:
        """Open a port of the pod.

        Raises:
            OSError: EADDRINUSE.
        """
        self.context.network.listen(self.context.uid, port, server)
        self.listening[port] = process.pid

    def kill_all(self) -> None:
        """SIGKILL to everything: the container is gone."""
        for process in list(self.processes.values()):
            process.kill(signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class _Script:
    """An executable text file: its interpreter with its path."""

    interpreter: Program
    argv: tuple[str, ...]

    async def __call__(self, process: Process) -> int:
        process.argv = (*self.argv, *process.argv[1:])
        return await self.interpreter(process)
