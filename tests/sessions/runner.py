"""Replays sessions against fresh embedded clusters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.sessions.listed import reason
from tests.sessions.matching import agrees
from tests.sessions.place import Place
from tests.sessions.recording import Session, Step

_UNORDERED = re.compile(
    r" events\b|\b(?:env|printenv)$|\bfind |helm status .*--show-resources|describe secret|drain |uniq -c|describe limits"
)
"""Commands whose lines come in an order that is chance: side by side, from a Go map, or as a file system has them."""
_CUT_OFF = re.compile(r"timeout \d+ kubectl logs -f|kubectl attach .*kill ")
"""Commands that follow a log until they are ended: how often it ticked meanwhile is chance."""
POD_START, POD_START_IDLE = 2.0, 1.2
"""Seconds that the recorded nodes needed to start or to end a pod, roughly: some sessions look at what is there meanwhile.
Most were recorded six at a time, those called `.idle` almost alone."""
FIRST_PLACE = 130
CHAIN = ("labs",)
"""Directories whose sessions build on each other: they run in order on one cluster that has ingress-nginx."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command did here."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that did not agree."""

    session: str
    step: Step
    got: Printed


@dataclass(slots=True)
class Result:
    """What came of the sessions.

    Attributes:
        compared: Steps that were compared.
        failures: Those that did not agree.
        listed: Session, command and reason of steps that were not compared.
    """

    compared: int = 0
    failures: list[Failure] = field(default_factory=list)
    listed: list[tuple[str, Step, str]] = field(default_factory=list)

    def add(self, other: Result) -> None:
        """Take over another result."""
        self.compared += other.compared
        self.failures += other.failures
        self.listed += other.listed


class Replay:
    """One session in one place."""

    def __init__(self, session: Session, place: Place, pace: float) -> None:
        self._session = session
        self._place = place
        self._pace = pace
        self._folder = place.home / "sessions" / session.name

    async def run(self) -> Result:
        """Every step in order."""
        session, result = self._session, Result()
        shutil.rmtree(self._folder, ignore_errors=True)
        for name, text in session.files.items():
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._folder.mkdir(parents=True, exist_ok=True)
        environ = self._place.environment(session.namespace, self._folder)
        if session.namespace != "default":
            await self._perform(environ, f"kubectl create namespace {session.namespace}", 30.0)
        for step in session.steps:
            why = reason(session, step)
            if why:
                if step.compare:
                    result.listed.append((session.name, step, why))
                continue
            await self._step(environ, step, result)
        return result

    async def _step(self, environ: dict[str, str], step: Step, result: Result) -> None:
        began = asyncio.get_running_loop().time()
        got = await self._perform(environ, step.command, step.cut or step.elapsed * 3 + 60.0)
        if step.compare:
            result.compared += 1
            if not step_agrees(step, got):
                result.failures.append(Failure(self._session.name, step, got))
        left = began + step.elapsed * self._pace - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, left))  # the next command was typed so much later

    async def _perform(self, environ: dict[str, str], command: str, limit: float) -> Printed:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            cwd=self._folder,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), limit)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = await process.communicate()
        return Printed(process.returncode or 0, *(self._as_recorded(text) for text in (out, err)))

    def _as_recorded(self, data: bytes) -> str:
        return self._place.as_recorded(data.decode(errors="replace").replace(str(self._folder), "."))


def step_agrees(step: Step, got: Printed) -> bool:
    """Whether exit code, standard output and standard error agree."""
    unordered = _UNORDERED.search(step.command) is not None
    stdout, printed = step.stdout, got.stdout
    if "uniq -c" in step.command:
        stdout, printed = _drawn(stdout), _drawn(printed)
    if _CUT_OFF.search(step.command):
        stdout, printed = _repeated(stdout), _repeated(printed)
    return step.code == got.code and agrees(stdout, printed, unordered=unordered) and agrees(step.stderr, got.stderr)


def _drawn(text: str) -> str:
    """What `uniq -c` counted, without the counts: kube-proxy and a canary draw lots."""
    return re.sub(r"^ *\d+ ", "", text, flags=re.M)


def _repeated(text: str) -> str:
    """What was printed again and again until it was cut off, once."""
    return re.sub(r"^(.*\n)\1+", r"\1", text, flags=re.M)


def chains(sessions: Sequence[Session]) -> list[list[Session]]:
    """Sessions that share a cluster, in order; most have one of their own. The longest come first."""
    together = [session for session in sessions if session.group in CHAIN]
    together.sort(key=lambda session: (not session.name.startswith("helm-ingress"), session.name))
    alone = [[session] for session in sessions if session.group not in CHAIN]
    return sorted([*alone, together], key=lambda chain: -sum(session.elapsed for session in chain))


async def run_all(
    sessions: Sequence[Session], *, home: Path, workers: int, pace: float, progress: Callable[[Session, Result], None]
) -> Result:
    """Replay sessions, several at a time, each chain of them on a fresh cluster."""
    queue = [chain for chain in chains(sessions) if chain]
    total = Result()

    async def worker(number: int) -> None:
        while queue:
            chain = queue.pop(0)
            place = Place(home / f"{number}", FIRST_PLACE + 2 * number)
            start = POD_START_IDLE if chain[0].name.endswith(".idle") else POD_START
            await asyncio.to_thread(place.up, pace=start * pace, ingress=chain[0].group in CHAIN)
            try:
                for session in chain:
                    result = await Replay(session, place, pace).run()
                    total.add(result)
                    progress(session, result)
            finally:
                await asyncio.to_thread(place.down)

    await asyncio.gather(*(worker(number) for number in range(workers)))
    return total
