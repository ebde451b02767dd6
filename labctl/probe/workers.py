"""Several sending processes at once: where one processor is the limit, and where several URLs are asked.

Each process sends its part of the plan and hands back its counts; they add up to what one process would have counted.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import IO, Any

from labctl.errors import LabctlError
from labctl.model.probe import ProbePlan, ProbeResult
from labctl.probe import engine

_TURN_SECONDS = 0.05


def send(
    plans: Sequence[ProbePlan],
    processes: int = 1,
    *,
    on_progress: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[ProbeResult, ...]:
    """Send plans at the same time, each by so many processes (one plan by one process: by this one).

    Raises:
        UsageError: A plan cannot be sent.
        LabctlError: A process ended without a result.
    """
    if len(plans) == 1 and processes == 1:
        return (engine.run(plans[0], on_progress=on_progress, stop=stop),)
    for plan in plans:
        engine.check(plan)
    parts = [[_Worker(part) for part in split(plan, processes)] for plan in plans]
    _conduct([worker for each in parts for worker in each], on_progress, stop)
    return tuple(
        replace(reduce(ProbeResult.merge, (worker.outcome() for worker in each)), plan=plan)
        for plan, each in zip(plans, parts, strict=True)
    )


def split(plan: ProbePlan, parts: int) -> list[ProbePlan]:
    """A plan cut into parts that together send what it asks for; never more parts than requests."""
    parts = min(parts, plan.count, plan.users or plan.concurrency)
    load = replace(plan.load, rate=plan.load.rate / parts)

    def part(number: int, whole: int) -> int:
        return whole // parts + (number < whole % parts)

    return [
        replace(
            plan,
            count=part(number, plan.count),
            concurrency=max(1, part(number, plan.concurrency)),
            users=part(number, plan.users),
            load=load,
        )
        for number in range(parts)
    ]


def _conduct(
    workers: list[_Worker], on_progress: Callable[[int], None] | None, stop: Callable[[], bool] | None
) -> None:
    """Let all begin together, follow them, and stop them when the caller or the user wants that."""
    try:
        for worker in workers:
            worker.wait_until_ready()
        for worker in workers:
            worker.tell(b"go\n")
        stopping = False
        while any(not worker.ended for worker in workers):
            try:
                if not stopping and stop is not None and stop():
                    stopping = True
                    _tell_all(workers, b"end\n")
                for worker in workers:
                    worker.listen()
                if on_progress is not None:
                    on_progress(sum(worker.done for worker in workers))
            except KeyboardInterrupt:
                stopping = True
                _tell_all(workers, b"stop\n")
    finally:
        for worker in workers:
            worker.close()


def _tell_all(workers: list[_Worker], word: bytes) -> None:
    for worker in workers:
        worker.tell(word)


class _Worker:
    """One process and what it has said."""

    def __init__(self, plan: ProbePlan) -> None:
        self.done = 0
        self.ended = False
        self._result: ProbeResult | None = None
        self._error: LabctlError | None = None
        self._messages: queue.Queue[Any] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labctl.probe.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stdout: IO[bytes] = self._process.stdout
        pickle.dump(plan, self._stdin)
        self._stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Block until the process waits for the word to begin."""
        self._take(self._messages.get())

    def tell(self, word: bytes) -> None:
        """Send a word; a process that has ended hears nothing."""
        try:
            self._stdin.write(word)
            self._stdin.flush()
        except (BrokenPipeError, ValueError):
            self.ended = self.ended or self._process.poll() is not None

    def listen(self) -> None:
        """Take what it says within a moment."""
        if not self.ended:
            try:
                self._take(self._messages.get(timeout=_TURN_SECONDS))
            except queue.Empty:
                return

    def outcome(self) -> ProbeResult:
        """Its result."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise LabctlError("a sending process ended without a result", hint="run again with --processes 1")
        return self._result

    def close(self) -> None:
        """End it and take its last words."""
        self._stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._stdout.close()

    def _take(self, message: object) -> None:
        match message:
            case int():
                self.done = message
            case ProbeResult():
                self._result, self.ended = message, True
                self.done = message.fold.requests
            case LabctlError():
                self._error, self.ended = message, True
            case None:
                self.ended = True

    def _read(self) -> None:
        try:
            while True:
                self._messages.put(pickle.load(self._stdout))  # noqa: S301 - what our own process says
        except (EOFError, pickle.UnpicklingError):
            self._messages.put(None)


@dataclass(slots=True)
class _Words:
    """What the conducting process has said: `end` lets an open end come, `stop` interrupts."""

    source: IO[bytes]
    ending: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> None:
        """Hear until it says something, or is gone."""
        self.source.readline()
        self.ending.set()


def main() -> None:
    """The sending process: a plan in, its result out."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the conducting process says when to stop
    words_in, out = open(0, "rb", closefd=False), open(1, "wb", closefd=False)  # noqa: SIM115 - the pipes

    def say(message: object) -> None:
        pickle.dump(message, out)
        out.flush()

    plan: ProbePlan = pickle.load(words_in)  # noqa: S301 - from the process that started this one
    say(0)
    if words_in.readline() != b"go\n":
        return
    words = _Words(words_in)
    threading.Thread(target=words.listen, daemon=True).start()
    try:
        say(engine.run(plan, on_progress=say, stop=words.ending))
    except LabctlError as error:
        say(error)
    os._exit(0)  # the thread that still listens would hold the interpreter's end


if __name__ == "__main__":
    main()
