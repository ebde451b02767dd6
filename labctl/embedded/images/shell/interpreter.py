"""Runs a shell's syntax tree inside a container."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from labctl.embedded.cri import StartError
from labctl.embedded.images.process import KILLED, PIPE_BROKEN, Exit, Process
from labctl.embedded.images.shell import patterns
from labctl.embedded.images.shell import syntax as tree
from labctl.embedded.images.shell.arithmetic import ArithmeticError_
from labctl.embedded.images.shell.expansion import MAX_VALUE, Expander, ExpansionError, OutOfMemory, Surroundings
from labctl.embedded.images.shell.parser import parse
from labctl.embedded.images.shell.redirects import RedirectError, opened
from labctl.embedded.images.shell.state import BreakLoop, ContinueLoop, Interrupted, ReturnFunction, State, Streams
from labctl.embedded.images.streams import Buffer, Pipe, Shared

Builtin = Callable[["Interpreter", Sequence[str], Streams], Awaitable[int]]

NOT_FOUND, NOT_EXECUTABLE = 127, 126
BRACES = "B"
"""The option letter of brace expansion, which only bash has."""

BREATH = 64
"""Loop turns after which a busy script lets the rest of the process have the processor."""


class Interpreter:
    """One shell: the main one, or a subshell with a copy of its state."""

    def __init__(self, state: State, builtins: Mapping[str, Builtin]) -> None:
        self.state = state
        self.builtins = builtins
        self._turns = 0

    # -- structure --------------------------------------------------------------------------------------------------

    async def sequence(self, body: tree.Sequence, io: Streams) -> int:
        """Run commands one after another; the status of the last."""
        for item, background in body.items:
            if background:
                self._background(item, io)
                self.state.status = 0
            else:
                await self._and_or(item, io)
            await self._run_traps(io)
            if self.state.interrupted:
                raise Interrupted
        return self.state.status

    async def _and_or(self, item: tree.AndOr, io: Streams) -> None:
        # `set -e` does not apply to what `&&` and `||` look at.
        await self._pipeline(item.first, io, checked=bool(item.rest))
        for at, (operator, pipeline) in enumerate(item.rest):
            if (self.state.status == 0) == (operator == "&&"):
                await self._pipeline(pipeline, io, checked=at + 1 < len(item.rest))

    async def _pipeline(self, pipeline: tree.Pipeline, io: Streams, *, checked: bool) -> None:
        commands = pipeline.commands
        status = await self.command(commands[0], io) if len(commands) == 1 else await self._piped(commands, io)
        self.state.status = int(not status) if pipeline.negate else status
        if "e" in self.state.options and status and not checked and not pipeline.negate:
            raise Exit(status)

    async def _piped(self, commands: Sequence[tree.Command], io: Streams) -> int:
        tasks = []
        source = io.stdin
        for at, command in enumerate(commands):
            last = at + 1 == len(commands)
            pipe = None if last else Pipe()
            sink = io.stdout if pipe is None else pipe
            streams = Streams(source, sink, io.stderr)
            tasks.append(asyncio.get_running_loop().create_task(self._stage(command, streams, pipe)))
            if pipe is not None:
                source = pipe
        try:
            return (await asyncio.gather(*tasks))[-1]
        finally:
            for task in tasks:
                task.cancel()

    async def _stage(self, command: tree.Command, io: Streams, pipe: Pipe | None) -> int:
        shell = Interpreter(self.state.copy(), self.builtins)
        try:
            return await shell.guarded(shell.command(command, io))
        finally:
            if pipe is not None:
                pipe.close()
            if isinstance(io.stdin, Pipe):
                io.stdin.close_reader()

    async def guarded(self, work: Awaitable[int]) -> int:
        """What a subshell ends with, however it ends."""
        try:
            return await work
        except Exit as exit_:
            return exit_.code
        except ReturnFunction as returned:
            return returned.code
        except BreakLoop:
            return 0
        except BrokenPipeError:
            return PIPE_BROKEN

    def _background(self, item: tree.AndOr, io: Streams) -> None:
        shell = Interpreter(self.state.copy(), self.builtins)
        system = self.state.process.system
        child = self._child(("sh",), self.state.environment(), io)
        shell.state.process = child

        async def run(process: Process) -> int:
            return await shell.guarded(shell.sequence(tree.Sequence(((item, False),)), io))

        system.run(child, run)
        self.state.background.append(child.pid)

    async def command(self, command: tree.Command, io: Streams) -> int:
        """Run one command."""
        if isinstance(command, tree.Simple):
            return await self._simple(command, io)
        if isinstance(command, tree.Function):
            self.state.functions[command.name] = command.body
            return 0
        try:
            async with opened(command.redirects, self.expander(io), self.state.process, io) as inner:
                return await self._compound(command, inner)
        except RedirectError as error:
            await self.complain(io, str(error))
            return 1

    async def _compound(self, command: tree.Command, io: Streams) -> int:
        if isinstance(command, tree.Group):
            if not command.subshell:
                return await self.sequence(command.body, io)
            shell = Interpreter(self.state.copy(), self.builtins)
            return await shell.guarded(shell.sequence(command.body, io))
        if isinstance(command, tree.If):
            return await self._if(command, io)
        if isinstance(command, tree.Loop):
            return await self._loop(command, io)
        if isinstance(command, tree.For):
            return await self._for(command, io)
        assert isinstance(command, tree.Case)
        return await self._case(command, io)

    async def _if(self, command: tree.If, io: Streams) -> int:
        for condition, body in command.branches:
            if await self._condition(condition, io):
                return await self.sequence(body, io)
        return await self.sequence(command.otherwise, io) if command.otherwise is not None else 0

    async def _condition(self, condition: tree.Sequence, io: Streams) -> bool:
        quiet = "e" in self.state.options
        self.state.options.discard("e")
        try:
            return await self.sequence(condition, io) == 0
        finally:
            if quiet:
                self.state.options.add("e")

    async def _loop(self, command: tree.Loop, io: Streams) -> int:
        status = 0
        while await self._condition(command.condition, io) != command.until:
            await self._breathe()
            try:
                status = await self.sequence(command.body, io)
            except BreakLoop as leave:
                if not _again(leave):
                    return 0
        return status

    async def _for(self, command: tree.For, io: Streams) -> int:
        values = self.state.positional if command.words is None else await self.expander(io).fields(command.words)
        status = 0
        for value in list(values):
            await self._breathe()
            self.state.variables[command.name] = value
            try:
                status = await self.sequence(command.body, io)
            except BreakLoop as leave:
                if not _again(leave):
                    return 0
        return status

    async def _case(self, command: tree.Case, io: Streams) -> int:
        expander = self.expander(io)
        text = await expander.text(command.word)
        for words, body in command.arms:
            for word in words:
                if patterns.matches(await expander.fragments(word), text):
                    return await self.sequence(body, io)
        return 0

    async def _breathe(self) -> None:
        self._turns += 1
        # A busy loop in a container must not starve the cluster: it gets about a tenth of a processor.
        await asyncio.sleep(0 if self._turns % BREATH else 0.01)

    # -- simple commands --------------------------------------------------------------------------------------------

    async def _simple(self, command: tree.Simple, io: Streams) -> int:
        try:
            return await self._expanded(command, io)
        except (ExpansionError, ArithmeticError_) as error:
            await self.complain(io, str(error))
            raise Exit(2) from error
        except OutOfMemory:
            # The state's process may be a subshell's copy; the one in the table is the one that runs.
            process = self.state.process
            process.system.processes[process.pid].kill(signal.SIGKILL)
            await asyncio.Event().wait()
            return KILLED

    async def _expanded(self, command: tree.Simple, io: Streams) -> int:
        expander = self.expander(io)
        self.state.special("?")
        words = await expander.fields(command.words)
        assignments = [(name, await expander.text(word)) for name, word in command.assignments]
        if any(len(value) > MAX_VALUE for _, value in assignments):
            raise OutOfMemory
        if "x" in self.state.options and (words or assignments):
            shown = [f"{name}={value}" for name, value in assignments] + words
            await io.stderr.write(f"+ {' '.join(shown)}\n".encode())
        try:
            async with opened(command.redirects, expander, self.state.process, io) as inner:
                if words:
                    return await self.run(words, assignments, inner)
        except RedirectError as error:
            await self.complain(io, str(error))
            return 1
        self.state.variables.update(assignments)
        return self.state.status if _substitutes(command) else 0

    async def run(self, words: Sequence[str], assignments: Sequence[tuple[str, str]], io: Streams) -> int:
        """Run a function, a builtin or a program."""
        name = words[0]
        if name in self.state.functions:
            self.state.variables.update(assignments)
            return await self._function(self.state.functions[name], list(words[1:]), io)
        if name in self.builtins:
            if name in ("export", "readonly", "local", "exec", "eval", "."):
                self.state.variables.update(assignments)
            return await self.builtins[name](self, words, io)
        return await self.program(words, self.state.environment(assignments), io)

    async def _function(self, body: tree.Command, arguments: list[str], io: Streams) -> int:
        before, self.state.positional = self.state.positional, arguments
        try:
            return await self.command(body, io)
        except ReturnFunction as returned:
            return returned.code
        finally:
            self.state.positional = before

    async def program(self, words: Sequence[str], env: Mapping[str, str], io: Streams) -> int:
        """Start a program and wait for it."""
        system, cwd = self.state.process.system, self.state.process.cwd
        name = words[0]
        try:
            _, executable = system.find(name, self.state.variables, cwd)
        except StartError as error:
            await self._cannot_run(name, str(error), io)
            return NOT_EXECUTABLE if "permission denied" in str(error) else NOT_FOUND
        child = self._child(words, env, io)
        system.run(child, executable.program)
        try:
            return await child.wait()
        except asyncio.CancelledError:
            child.kill(signal.SIGKILL)
            raise

    def _child(self, words: Sequence[str], env: Mapping[str, str], io: Streams) -> Process:
        process = self.state.process
        return process.system.new(
            words,
            env,
            cwd=process.cwd,
            stdin=io.stdin,
            stdout=Shared(io.stdout),
            stderr=Shared(io.stderr),
            parent=process.pid,
            tty=process.tty,
        )

    async def _cannot_run(self, name: str, why: str, io: Streams) -> None:
        if "permission denied" in why:
            await self.complain(io, f"{name}: Permission denied")
        elif "exec format error" in why:
            await self.complain(io, f"{name}: Exec format error")
        else:
            await self.complain(io, f"{name}: not found")

    # -- helpers ----------------------------------------------------------------------------------------------------

    def expander(self, io: Streams) -> Expander:
        """Expands words with this shell's state."""
        state = self.state
        return Expander(
            Surroundings(
                state.variables,
                state.special,
                state.positional,
                partial(self._substitute, io=io),
                state.process.files,
                state.process.cwd,
                "u" in state.options,
                BRACES in state.options,
            )
        )

    async def _substitute(self, body: tree.Sequence, io: Streams) -> str:
        shell = Interpreter(self.state.copy(), self.builtins)
        buffer = Buffer()
        self.state.status = await shell.guarded(shell.sequence(body, Streams(io.stdin, buffer, io.stderr)))
        return buffer.data.replace(b"\0", b"").decode("utf-8", "surrogateescape")

    async def complain(self, io: Streams, text: str) -> None:
        """An error message of the shell itself."""
        await io.stderr.write(f"{self.state.name}: {text}\n".encode("utf-8", "surrogateescape"))

    def trap(self, number: int, command: str | None) -> None:
        """Set what happens on a signal; None restores the default."""
        handlers = self.state.process.handlers
        if command is None:
            self.state.traps.pop(number, None)
            handlers.pop(number, None)
            return
        self.state.traps[number] = command
        if number:
            handlers[number] = partial(self.state.pending.append, number) if command else None

    async def _run_traps(self, io: Streams) -> None:
        while self.state.pending:
            command = self.state.traps.get(self.state.pending.pop(0))
            if command:
                status = self.state.status
                await self.sequence(parse(command), io)
                self.state.status = status

    async def exit_trap(self, io: Streams) -> None:
        """Run `trap … EXIT`."""
        command = self.state.traps.pop(0, None)
        if command:
            await self.sequence(parse(command), io)


def _again(leave: BreakLoop) -> bool:
    """What a loop does with break or continue: go on (True), end (False), or pass it outwards."""
    if leave.levels > 1:
        raise type(leave)(leave.levels - 1)
    return isinstance(leave, ContinueLoop)


def _substitutes(command: tree.Simple) -> bool:
    return any(isinstance(part, tree.Substitution) for _, word in command.assignments for part in word)
