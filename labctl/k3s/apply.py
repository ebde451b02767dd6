"""A plan carried out: everything staged on all hosts, the first server started, the others as soon as it answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from labctl.env import Clock
from labctl.events import EventSink, StepDone, StepFailed, StepProgress, StepStarted
from labctl.k3s import layout
from labctl.k3s.change import change_script, run_script
from labctl.k3s.plan import Join, Joined, NodePlan, Plan, Start, Upload, Write
from labctl.k3s.service import begin, wait_active
from labctl.model.inventory import Role
from labctl.secrets import Secret
from labctl.ssh.files import download, upload
from labctl.ssh.fleet import HostResults, each
from labctl.ssh.transport import HostError, Transport
from labctl.waiting import Pending, wait_for


@dataclass(slots=True)
class Builder:
    """Carries out a plan over open connections.

    Attributes:
        plan: What is to be done.
        transports: An open connection to every host of the plan.
        clock: Time.
        sink: Where events go.
        timeout: Seconds that one service may take to come up.
    """

    plan: Plan
    transports: Mapping[str, Transport]
    clock: Clock
    sink: EventSink
    timeout: float
    joined: Joined | None = field(default=None)

    def build(self) -> Joined:
        """Carry it out; returns what the first server gives.

        The first server is staged alone and started at once: what the others are sent travels while it starts.

        Raises:
            HostsError: Some hosts failed; the others were brought as far as possible.
            HostError: The first server failed; the others were only staged.
        """
        first = self.plan.of(self.plan.first.name)
        others = {plan.node.name: plan for plan in self.plan.nodes if plan is not first}
        self._stage(first)
        pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="staging")
        try:
            staging = pool.submit(each, others, self._stage)
            self._start(first)
            self.joined = self._ask_first()
            staged = staging.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        ready = {name: plan for name, plan in others.items() if name in staged.succeeded}
        self._finish(ready, staged)
        return self.joined

    def stage_all(self) -> None:
        """Put everything on every host, and start nothing.

        Raises:
            HostsError: Some hosts failed.
        """
        each({plan.node.name: plan for plan in self.plan.nodes}, self._stage).all()

    def restart(self, plan: NodePlan) -> None:
        """Start one host's service anew, if its plan says so."""
        self._start(plan)

    def _finish(self, ready: Mapping[str, NodePlan], staged: HostResults[None]) -> None:
        """Start the other servers one by one (etcd takes one new member at a time), then every agent at once."""
        failed = dict(staged.failed)
        for name, plan in ready.items():
            if plan.node.role is Role.SERVER:
                failed |= each({name: plan}, self._join).failed
        agents = {name: plan for name, plan in ready.items() if plan.node.role is Role.AGENT}
        failed |= each(agents, self._join).failed
        succeeded = {plan.node.name: None for plan in self.plan.nodes if plan.node.name not in failed}
        HostResults(succeeded, failed).all()

    def _stage(self, plan: NodePlan) -> None:
        """Put everything on a host that does not depend on others, and unpack k3s, but start nothing."""
        if not plan.changes:
            return
        name = plan.node.name
        step = f"{name}/stage"
        self.sink(StepStarted(step, "put k3s and its configuration there", name))
        work = [action for action in plan.changes if not isinstance(action, (Join, Start))]
        try:
            self._changes(plan, step)
        except HostError as error:
            self.sink(StepFailed(step, error.cause))
            raise
        files = sum(1 for action in work if isinstance(action, Write))
        sent = sum(action.artifact.size for action in work if isinstance(action, Upload))
        fetched = "k3s fetched, " if any(isinstance(action, Upload) and action.artifact.url for action in work) else ""
        self.sink(StepDone(step, f"{fetched}{sent / 1e6:.0f} MB sent, {files} files written", changed=bool(work)))

    def _changes(self, plan: NodePlan, step: str) -> None:
        transport = self.transports[plan.node.name]
        run_script(transport, change_script(plan), "writing files")
        uploads = [action for action in plan.changes if isinstance(action, Upload)]
        total = sum(action.artifact.size for action in uploads)
        before = 0
        for action in uploads:
            if action.artifact.url:
                download(transport, action.artifact.url, action.path, action.artifact.sha256, mode=action.mode)
                continue
            already = before

            def progress(done: int, already: int = already) -> None:
                self.sink(StepProgress(step, (already + done) // 1_000_000, max(1, total // 1_000_000), "MB"))

            upload(
                transport,
                action.artifact.path,
                action.path,
                action.artifact.sha256,
                mode=action.mode,
                on_progress=progress,
            )
            before += action.artifact.size
        if any(action.path == layout.BINARY for action in uploads):
            waits = plan.node != self.plan.first and self.joined is None
            self._try(transport, unpack=waits)

    def _try(self, transport: Transport, *, unpack: bool) -> None:
        """See that k3s runs on this machine at all, and let it unpack itself where its start has to wait anyway."""
        script = f'{layout.BINARY} --version 2>&1 || {{ echo "$({layout.BINARY} --version 2>&1)" >&2; exit 1; }}\n'
        if unpack:
            script += f"{layout.BINARY} kubectl version --client >/dev/null 2>&1 || true\n"
        text = run_script(transport, script, f"running {layout.BINARY}", timeout=120)
        if "k3s version" not in text:
            raise HostError(
                transport.host,
                f"{layout.BINARY} does not say a version: {text.strip()[:200]!r}",
                hint="is the file a k3s binary for this machine?",
            )

    def _start(self, plan: NodePlan) -> None:
        start = plan.start
        if start is None:
            return
        name = plan.node.name
        step = f"{name}/start"
        self.sink(StepStarted(step, f"{'restart' if start.running else 'start'} {start.unit}", name))
        transport = self.transports[name]
        begun = self.clock.monotonic()
        try:
            since = begin(transport, start)
            wait_active(transport, start.unit, since, self.clock, timeout=self.timeout)
        except HostError as error:
            self.sink(StepFailed(step, error.cause.partition("\n")[0]))
            raise
        self.sink(StepDone(step, f"up after {self.clock.monotonic() - begun:.1f} s ({start.reason})"))

    def _join(self, plan: NodePlan) -> None:
        assert self.joined is not None
        if any(isinstance(action, Join) for action in plan.actions):
            write = Write(layout.JOIN_TOKEN, self.joined.token.reveal().strip() + "\n", 0o600, secret=True)
            only = replace(plan, actions=(write,))
            run_script(self.transports[plan.node.name], change_script(only), "writing the token")
        self._start(plan)

    def _ask_first(self) -> Joined:
        """The full token and the kubeconfig, read from the first server as root."""
        first = self.plan.of(self.plan.first.name)
        known = first.facts.secrets
        if not first.changes and {"node-token", "kubeconfig"} <= known.keys():
            return Joined(known["node-token"], known["kubeconfig"])
        transport = self.transports[first.node.name]

        def observe() -> Joined | Pending:
            return ask_server(transport) or Pending(f"there is no {layout.KUBECONFIG} yet")

        return wait_for("the server's kubeconfig", observe, timeout=self.timeout, clock=self.clock)


def ask_server(transport: Transport) -> Joined | None:
    """The full token and the admin's kubeconfig of a server; None while it has written none.

    Raises:
        HostError: The host cannot be asked.
    """
    text = run_script(
        transport,
        f"for f in {layout.NODE_TOKEN} {layout.KUBECONFIG}; do\n"
        "  if [ -s $f ]; then base64 < $f | tr -d '\\n'; fi; echo\n"
        "done\n",
        "reading the cluster's kubeconfig",
    )
    token, kubeconfig = (base64.b64decode(line).decode() for line in text.split("\n")[:2])
    return Joined(Secret(token), Secret(kubeconfig)) if token and kubeconfig else None
