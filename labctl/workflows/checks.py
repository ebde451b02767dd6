"""Checks that need no requests of labctl's own: commands, logs, objects, and what the API refuses."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from labctl.errors import ClusterError, LabctlError
from labctl.events import CheckDone, StepFailed, StepStarted
from labctl.kube.client import ApiRefusedError
from labctl.kube.exec import exec_in_pod
from labctl.kube.logs import LogOptions, pod_log
from labctl.lab.judging import judge_fields, judge_output
from labctl.lab.plan import namespace_of, stamp
from labctl.model.lab import (
    CheckStep,
    ExecStep,
    Lab,
    LogStep,
    ObjectStep,
    Place,
    PlaceKind,
    ProbeStep,
    RefusedStep,
)
from labctl.model.reference import expanded
from labctl.model.report import Check, Hits, Result, Verdict
from labctl.objects.manifests import describe, load_manifests
from labctl.objects.versions import CLUSTER_WIDE, api_version
from labctl.ssh.transport import Transport
from labctl.workflows.bench import Bench
from labctl.workflows.directory import ready_pods
from labctl.workflows.facts import MissingFactError, controller_pods, filled_exec, lookup, node_named
from labctl.workflows.probing import SETTLE_SECONDS, perform_probe

LOG_PAUSE = 0.1
"""Seconds between two looks at a log."""
QUIET_SECONDS = 0.5
"""How long a log is watched after the lines that must come have come: one more would come at once or not at all."""

TAKE_OVER_SECONDS = 45.0
"""How long an object may take until it is as expected: a Lease is taken over after 30 s."""

Judged = tuple[Verdict, tuple[Hits, ...]]


def perform_check(bench: Bench, lab: Lab, step: CheckStep, act: Callable[[], None] | None = None) -> Check:
    """Make a check of any kind.

    Args:
        bench: Where.
        lab: The lab.
        step: The check.
        act: What is done during the check, if anything.

    Raises:
        LabctlError: It cannot be made.
    """
    try:
        return perform_probe(bench, lab, step, act) if isinstance(step, ProbeStep) else _look(bench, lab, step, act)
    except MissingFactError as error:
        verdict = Verdict(False, "exact", error.message, None, bench.options.confidence)
        check = Check(step.name, Result.FAILED, title=step.title, verdict=verdict)
        bench.sink(CheckDone(f"{lab.name}/{step.name}", lab.name, check))
        return check


def _look(bench: Bench, lab: Lab, step: CheckStep, act: Callable[[], None] | None) -> Check:
    step_id = f"{lab.name}/{step.name}"
    bench.sink(StepStarted(step_id, step.title or step.name, lab.name))
    began = bench.env.clock.monotonic()
    try:
        look = Look(bench, lab)
        verdict, hits, command = look.at(step, act)
    except LabctlError as error:
        bench.sink(StepFailed(step_id, error.message))
        raise
    check = Check(
        name=step.name,
        title=step.title,
        result=Result.PASSED if verdict.passed else Result.FAILED,
        curl=command,
        elapsed_s=bench.env.clock.monotonic() - began,
        by="match",
        hits=hits,
        verdict=verdict,
    )
    bench.sink(CheckDone(step_id, lab.name, check))
    return check


@dataclass(slots=True)
class Look:
    """Looks at what a step is about, and judges it."""

    bench: Bench
    lab: Lab

    @property
    def namespace(self) -> str:
        """The lab's namespace."""
        return namespace_of(self.lab, self.bench.overrides)

    def at(self, step: CheckStep, act: Callable[[], None] | None) -> tuple[Verdict, tuple[Hits, ...], str]:
        """The judgement of a step, what was counted, and the command that does the same by hand."""
        match step:
            case ExecStep():
                return self._exec(step, act)
            case LogStep():
                return self._log(step, act)
            case ObjectStep():
                return self._object(step)
            case RefusedStep():
                return self._refused(step)
        raise TypeError(step)

    def expand(self, pattern: str) -> tuple[str, ...]:
        """A regular expression with its references replaced."""
        return expanded(pattern, lookup(self.bench, self.lab), escape=True)

    def _settled(self, judge: Callable[[], Judged], limit: float = SETTLE_SECONDS) -> Judged:
        """Judge until it holds, as long as a change may be on its way."""
        clock = self.bench.env.clock
        deadline = clock.monotonic() + min(limit, self.bench.options.timeout)
        pause = 0.05
        while True:
            found = judge()
            verdict = found[0]
            over = clock.monotonic() >= deadline or self.bench.interrupted or not self.bench.settle
            if verdict.passed or verdict.p_value is not None or over:
                return found
            clock.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _members(self, step: ExecStep | LogStep) -> tuple[str, ...]:
        split = step.expect.split
        return ready_pods(self.bench.api, self.namespace, split.pods_of) if split and split.pods_of else ()

    # -- exec

    def _exec(self, wanted: ExecStep, act: Callable[[], None] | None) -> tuple[Verdict, tuple[Hits, ...], str]:
        step = filled_exec(wanted, lookup(self.bench, self.lab))
        if step.place.kind is PlaceKind.NODE:
            return self._on_node(step, act)
        namespace, pod = self._pod(step.place)
        words = f"kubectl exec -n {namespace} {pod} -- {shlex.join(step.command)}"

        def judge() -> Judged:
            done = exec_in_pod(self.bench.api, namespace, pod, step.command, timeout=step.timeout)
            text = (done.stdout + done.stderr).decode(errors="replace")
            return self._judged(step, text, done.exit_code)

        return (*(judge() if step.changes else self._settled(judge)), words)

    def _on_node(self, step: ExecStep, act: Callable[[], None] | None) -> tuple[Verdict, tuple[Hits, ...], str]:
        name, address = node_named(self.bench.cluster, step.place.name)
        line = shlex.join(step.command)
        with closing(self.bench.shell(name)) as shell:
            text, code = self._run_there(shell, line, step, act)
        return (*self._judged(step, text, code), f"ssh {address} {'sudo ' if step.sudo else ''}{line}")

    def _run_there(
        self, shell: Transport, line: str, step: ExecStep, act: Callable[[], None] | None
    ) -> tuple[str, int]:
        """What a command on a node wrote, and its exit status; what is done meanwhile is done when it has begun."""
        outcome: list[tuple[str, int] | LabctlError] = []

        def run() -> None:
            try:
                done = shell.run(line, sudo=step.sudo, timeout=step.timeout)
                outcome.append(((done.stdout + done.stderr).decode(errors="replace"), done.exit_status))
            except LabctlError as error:
                outcome.append(error)

        if act is None:
            run()
        else:
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            act()
            thread.join()
        found = outcome[0]
        if isinstance(found, LabctlError):
            raise found
        if step.save:
            self._save(shell.run(f"cat {shlex.quote(step.save)}", sudo=step.sudo).stdout, step)
        return found

    def _save(self, data: bytes, step: ExecStep) -> None:
        path = self.bench.env.cwd / f"{self.lab.name}-{step.name}-{step.save.rpartition('/')[2]}"
        path.write_bytes(data)

    def _judged(self, step: ExecStep, text: str, exit_code: int) -> Judged:
        return judge_output(
            step.expect,
            text,
            count=step.count,
            exit_code=exit_code,
            members=self._members(step),
            expand=self.expand,
            confidence=self.bench.options.confidence,
        )

    def _pod(self, place: Place) -> tuple[str, str]:
        """Namespace and name of a pod that a place means."""
        if place.kind is PlaceKind.POD:
            return self.namespace, place.name
        if place.kind is PlaceKind.CONTROLLER:
            metadata = controller_pods(self.bench)[0]["metadata"]
            return metadata["namespace"], metadata["name"]
        pods = ready_pods(self.bench.api, self.namespace, place.name)
        if not pods:
            raise ClusterError(f"Service {self.namespace}/{place.name} has no ready pod behind it")
        return self.namespace, pods[0]

    # -- log

    def _log(self, step: LogStep, act: Callable[[], None] | None) -> tuple[Verdict, tuple[Hits, ...], str]:
        if step.place.kind is PlaceKind.CONTROLLER:
            metadata = [pod["metadata"] for pod in controller_pods(self.bench)]
            pods = [(found["namespace"], found["name"]) for found in metadata]
        else:
            pods = [self._pod(step.place)]
        since = {pod: self._last_time(*pod) for pod in pods}
        if act is not None:
            act()
        text = self._lines(step, since)
        verdict, hits = judge_output(step.expect, text, count=step.count, members=self._members(step))
        return verdict, hits, f"kubectl logs -n {pods[0][0]} {pods[0][1]} | grep -E {shlex.quote(step.count)}"

    def _last_time(self, namespace: str, pod: str) -> str:
        """The time of a log's last line, by the clock of the node that wrote it."""
        last = pod_log(self.bench.api, namespace, pod, LogOptions(tail=1, timestamps=True))
        return last.split(" ", 1)[0].strip()

    def _lines(self, step: LogStep, since: dict[tuple[str, str], str]) -> str:
        """The lines written since; watched until enough have come and no more come, or the step's time is over."""
        clock = self.bench.env.clock
        fewest = step.expect.matches[0] if step.expect.matches else 0
        end = clock.monotonic() + step.seconds
        while True:
            text = "\n".join(self._new_lines(pod, begin) for pod, begin in since.items())
            now = clock.monotonic()
            if fewest and len(re.findall(step.count, text)) >= fewest:
                end = min(end, now + QUIET_SECONDS)
                fewest = 0
            if now >= end or self.bench.interrupted:
                return text
            clock.sleep(min(LOG_PAUSE, end - now))

    def _new_lines(self, pod: tuple[str, str], begin: str) -> str:
        text = pod_log(self.bench.api, *pod, LogOptions(since_time=begin, timestamps=True))
        parts = (line.partition(" ") for line in text.splitlines())
        return "\n".join(rest for time, _, rest in parts if _instant(time) > _instant(begin))

    # -- object and refused

    def _object(self, step: ObjectStep) -> tuple[Verdict, tuple[Hits, ...], str]:
        look = lookup(self.bench, self.lab)
        place = expanded(step.namespace, look)[0] or self.namespace
        namespace = "" if step.kind in CLUSTER_WIDE else place
        name = expanded(step.object_name, look)[0]
        what = f"{step.kind} {namespace}/{name}" if namespace else f"{step.kind} {name}"

        def judge() -> Judged:
            found = self.bench.api.get(api_version(step.kind), step.kind, namespace, name)
            return judge_fields(step.fields, found, what, self.expand), ()

        where = f" -n {namespace}" if namespace else ""
        return (*self._settled(judge, TAKE_OVER_SECONDS), f"kubectl get {step.kind.lower()} {name}{where} -o yaml")

    def _refused(self, step: RefusedStep) -> tuple[Verdict, tuple[Hits, ...], str]:
        words = f"kubectl apply --dry-run=server -f {step.manifest}"
        for obj in load_manifests(self.lab.directory / step.manifest):
            wanted = stamp(obj, self.lab, self.bench.overrides)
            try:
                self.bench.api.apply(wanted, owner=self.lab.name, dry_run=True)
            except ApiRefusedError as error:
                if re.search(step.message, error.message):
                    return Verdict(True, "exact", error.message), (), words
                return Verdict(False, "exact", f"refused for another reason: {error.message}"), (), words
        return Verdict(False, "exact", f"the API server would take {describe(wanted)}"), (), words


def _instant(time: str) -> tuple[str, str]:
    """A log line's time (RFC 3339, trailing zeros left out) as something that can be compared."""
    seconds, _, fraction = time.rstrip("Z").partition(".")
    return seconds, fraction.ljust(9, "0")
