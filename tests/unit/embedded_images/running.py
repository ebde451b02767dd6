"""Running a command in a container, for tests."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labctl.embedded.cri import ContainerContext
from labctl.embedded.images.process import System
from labctl.embedded.images.streams import Buffer, Data
from tests.unit.embedded_images.fakes import context


@dataclass(frozen=True)
class Result:
    out: str
    err: str
    code: int


async def run_in(
    made: ContainerContext, *command: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> Result:
    """Run a command in a container as `kubectl exec` does."""
    system = System(made)
    system.last_pid = 1
    out, err = Buffer(), Buffer()
    variables = {**made.env, **(env or {})}
    _, executable = system.find(command[0], variables)
    process = system.new(command, variables, stdin=Data(stdin), stdout=out, stderr=err)
    system.run(process, executable.program)
    code = await asyncio.wait_for(process.wait(), 5)
    return Result(out.data.decode(), err.data.decode(), code)


def run(*command: str, image: str = "busybox", stdin: bytes = b"", files: dict[str, bytes] | None = None) -> Result:
    """Run a command in a fresh container of an image."""

    async def main() -> Result:
        made = context(image)
        for path, data in (files or {}).items():
            made.files.write(path, data)
        return await run_in(made, *command, stdin=stdin)

    return asyncio.run(main())


def sh(script: str, *, image: str = "busybox", stdin: bytes = b"", files: dict[str, bytes] | None = None) -> Result:
    """Run a shell script."""
    return run("sh", "-c", script, image=image, stdin=stdin, files=files)
