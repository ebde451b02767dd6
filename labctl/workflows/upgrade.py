"""`labctl upgrade`: another release of k3s, servers one by one, then the agents; stops at the first that fails."""

from __future__ import annotations

from labctl.env import Env
from labctl.errors import ClusterError, LabctlError
from labctl.events import EventSink, Notice, StepDone, StepFailed, StepProgress, StepStarted
from labctl.k3s.apply import Builder
from labctl.k3s.plan import NodePlan, Plan, Upload
from labctl.k3s.release import Version, parse_version
from labctl.k3s.versions import artifact_version
from labctl.kube.client import KubeApi
from labctl.kube.drain import cordon, drain
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Role
from labctl.objects.manifests import Obj
from labctl.objects.readiness import readiness
from labctl.providers.ssh import SshProvider, Survey
from labctl.waiting import Pending, wait_for
from labctl.workflows.nodes import reachable


def upgrade(
    provider: SshProvider, inventory: Inventory, env: Env, sink: EventSink, *, draining: bool, timeout: float
) -> Cluster:
    """Replace k3s on every host where it is another release.

    Everything is staged on all hosts first; a server is restarted, and must be Ready in the new version, before the
    next is touched.

    Raises:
        ClusterError: The cluster is not whole, or the new release is older than what runs.
        WaitTimeoutError: A node did not come back; the others are as they were.
    """
    cluster = provider.find()
    reachable(cluster)
    members = {node.name for node in cluster.nodes}
    strangers = [node.name for node in inventory.nodes if node.name not in members]
    if strangers:
        sink(Notice(f"not in the cluster, and left alone: {', '.join(strangers)} (`labctl node add` brings one in)"))
    nodes = tuple(node for node in inventory.nodes if node.name in members)
    with provider.survey(sink, nodes) as survey:
        plan = provider.make_plan(survey.facts, sink, replace_binary=True)
        _refuse_downgrade(plan)
        if not plan.changes:
            step = "upgrade"
            sink(StepStarted(step, "Upgrade k3s"))
            sink(
                StepDone(
                    step, f"every host has {next(iter(survey.facts.values())).value('k3s-version')}", changed=False
                )
            )
            return cluster
        work = _Upgrade(provider, survey, plan, env, sink, draining, timeout)
        work.run(KubeApi(cluster.kubeconfig, cluster.context))
        return provider.find()


def _refuse_downgrade(plan: Plan) -> None:
    for node in plan.nodes:
        for action in node.actions:
            if isinstance(action, Upload) and action.mode == 0o755:
                new, old = artifact_version(action.artifact), node.facts.k3s_version
                if new is not None and old is not None and new < old:
                    raise ClusterError(
                        f"{node.node.name} runs {old}, and {new} is older: Kubernetes does not support going back",
                        hint="restore a snapshot of the older release on new hosts instead",
                    )


class _Upgrade:
    def __init__(
        self,
        provider: SshProvider,
        survey: Survey,
        plan: Plan,
        env: Env,
        sink: EventSink,
        draining: bool,
        timeout: float,
    ) -> None:
        self._plan = plan
        self._env = env
        self._sink = sink
        self._draining = draining
        self._timeout = timeout
        self._builder = Builder(plan, survey.transports, env.clock, sink, timeout)

    def run(self, api: KubeApi) -> None:
        """Servers first, agents after them, one at a time."""
        order = sorted(self._plan.nodes, key=lambda plan: plan.node.role is not Role.SERVER)
        try:
            self._builder.stage_all()
            done: list[str] = []
            for plan in order:
                if plan.start is None:
                    continue
                self._one(api, plan, done)
                done.append(plan.node.name)
        finally:
            api.close()

    def _one(self, api: KubeApi, plan: NodePlan, done: list[str]) -> None:
        name = plan.node.name
        step = f"{name}/upgrade"
        try:
            if self._draining and plan.node.role is Role.AGENT:
                count = drain(api, name, self._env.clock, timeout=self._timeout)
                self._sink(Notice(f"{name}: {count} pods moved"))
            self._sink(StepStarted(step, "upgrade", name))
            self._builder.restart(plan)
            seen = self._wait(api, plan, step)
            cordon(api, name, unschedulable=False)
        except LabctlError as error:
            self._sink(StepFailed(step, error.message.partition("\n")[0]))
            already = f" (done: {', '.join(done)})" if done else ""
            error.hint = f"the upgrade stops here{already}; mend {name} and run it again. {error.hint}".strip()
            raise
        self._sink(StepDone(step, f"Ready with {seen}"))

    def _wait(self, api: KubeApi, plan: NodePlan, step: str) -> str:
        wanted = self._wanted(plan)

        def observe() -> str | Pending:
            try:
                node = api.get("v1", "Node", "", plan.node.name)
            except ClusterError as error:  # its own API server is coming back
                return Pending(error.message)
            if node is None:
                return Pending("it is not in the cluster")
            version = _kubelet(node)
            if not readiness(node).ready:
                return Pending(f"not Ready ({version})")
            if wanted is not None and parse_version(version) != wanted:
                return Pending(f"its kubelet still says {version}")
            return version

        return wait_for(
            f"node {plan.node.name}",
            observe,
            timeout=self._timeout,
            clock=self._env.clock,
            on_pending=lambda pending: self._sink(StepProgress(step, note=pending.observed)),
        )

    @staticmethod
    def _wanted(plan: NodePlan) -> Version | None:
        uploads = [action for action in plan.actions if isinstance(action, Upload) and action.mode == 0o755]
        return artifact_version(uploads[0].artifact) if uploads else None


def _kubelet(node: Obj) -> str:
    return str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))
