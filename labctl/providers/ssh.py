"""Provider `ssh`: real k3s on real hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import yaml

from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepFailed, StepStarted
from labctl.files import write_private
from labctl.k3s import layout
from labctl.k3s.apply import Builder, ask_server
from labctl.k3s.artifacts import Artifacts
from labctl.k3s.facts import Facts, gather
from labctl.k3s.hosts import connections, open_transport, read_secret
from labctl.k3s.plan import Joined, Plan, Wishes, make_plan
from labctl.k3s.preflight import examine
from labctl.k3s.removal import remove
from labctl.k3s.render import server_url
from labctl.k3s.show import describe
from labctl.k3s.sources import find_artifacts
from labctl.k3s.state import host_state
from labctl.model.cluster import Cluster, HostState
from labctl.model.finding import Finding, Severity
from labctl.model.inventory import Inventory, Node, Role
from labctl.objects.kubeconfig import renamed
from labctl.providers.ready import wait_nodes
from labctl.ssh.fleet import HostsError, each
from labctl.ssh.transport import HostError, Transport


@dataclass(frozen=True, slots=True)
class Survey:
    """Hosts that were looked at: open connections and what was seen."""

    transports: Mapping[str, Transport]
    facts: Mapping[str, Facts]


class SshProvider:
    """Builds, finds and removes k3s on the hosts that cluster.yaml names."""

    def __init__(self, inventory: Inventory, env: Env) -> None:
        self._inventory = inventory
        self._env = env
        self.kubeconfig = env.state_dir / "clusters" / inventory.name / "kubeconfig"

    def with_inventory(self, inventory: Inventory) -> SshProvider:
        """The same for a part of the cluster."""
        return SshProvider(inventory, self._env)

    @contextmanager
    def survey(self, sink: EventSink, nodes: tuple[Node, ...] | None = None) -> Iterator[Survey]:
        """Connect to hosts (all of them by default) and ask each what is there: one round trip.

        Raises:
            HostsError: Some could not be reached or asked.
        """

        def learnt(text: str) -> None:
            sink(Notice(text))

        with connections(self._inventory, nodes or self._inventory.nodes, self._env, learnt) as opened:
            transports = opened.all()
            facts = each(transports, lambda transport: gather(transport.host, transport, self._env.clock)).all()
            yield Survey(transports, facts)

    def up(self, sink: EventSink, *, timeout: float) -> Cluster:
        """Make the hosts what cluster.yaml says; what is as wanted is left alone."""
        clock = self._env.clock
        with self.survey(sink) as survey:
            self.refuse_unfit(survey.facts, sink)
            plan = self.make_plan(survey.facts, sink)
            for node in plan.nodes:
                if not node.changes:
                    step = f"{node.node.name}/up"
                    sink(StepStarted(step, "k3s", node.node.name))
                    reasons = f"{len(node.actions)} of {len(node.actions)} things are as wanted"
                    sink(StepDone(step, reasons, changed=False))
            joined = Builder(plan, survey.transports, clock, sink, timeout).build()
            self.keep_kubeconfig(joined, plan.first)
            return self.wait_ready(survey, sink, timeout=timeout)

    def plan(self, sink: EventSink) -> tuple[str, ...]:
        """What `up` would do, with the difference of every file; the hosts are only asked."""
        with self.survey(sink) as survey:
            self.refuse_unfit(survey.facts, sink)
            return tuple(describe(self.make_plan(survey.facts, sink)))

    def make_plan(self, facts: Mapping[str, Facts], sink: EventSink, *, replace_binary: bool = False) -> Plan:
        """What is to be done, from what was seen."""
        artifacts = self.artifacts(facts, sink, keep_release=not replace_binary)
        k3s = self._inventory.k3s
        token = read_secret(k3s.token, self._env)
        datastore = read_secret(k3s.datastore_endpoint, self._env)
        return make_plan(self._inventory, facts, Wishes(artifacts, token, datastore, replace_binary))

    def artifacts(self, facts: Mapping[str, Facts], sink: EventSink, *, keep_release: bool = True) -> Artifacts:
        """The files for these hosts; of the release that they have, if cluster.yaml names no exact one."""
        architectures = sorted({seen.arch for seen in facts.values()})
        releases = [str(seen.k3s_version) for seen in facts.values() if seen.k3s_version]
        installed = releases[0] if releases and keep_release else ""
        return find_artifacts(self._inventory.k3s, architectures, self._env, sink, installed=installed)

    def refuse_unfit(self, facts: Mapping[str, Facts], sink: EventSink) -> None:
        """Say what is doubtful, and stop before anything is changed where k3s could not run.

        Raises:
            HostsError: Some hosts are not fit.
        """
        failed = {}
        for name, findings in examine(self._inventory, facts).items():
            for finding in findings:
                if finding.severity is Severity.WARN and not facts[name].runs("k3s") | facts[name].runs("k3s-agent"):
                    sink(Notice(f"{name}: {finding.check}: {finding.evidence}", Level.WARNING, finding.remedy))
            bad = [finding for finding in findings if finding.severity is Severity.FAIL]
            if bad:
                words = "; ".join(f"{finding.check}: {finding.evidence}" for finding in bad)
                failed[name] = HostError(name, words, hint="; ".join(finding.remedy for finding in bad))
        if failed:
            raise HostsError(failed, len(facts))

    def examine(self, sink: EventSink) -> tuple[Finding, ...]:
        """Every check of every host, for `labctl doctor`; a host that cannot be reached is a finding too."""
        found: list[Finding] = []
        with connections(self._inventory, self._inventory.nodes, self._env, lambda text: sink(Notice(text))) as opened:
            for name, error in opened.failed.items():
                found.append(Finding(f"{name}: SSH", Severity.FAIL, error.message, error.hint))
            asked = each(opened.succeeded, lambda transport: gather(transport.host, transport, self._env.clock))
        for name, error in asked.failed.items():
            found.append(Finding(f"{name}: facts", Severity.FAIL, error.message, error.hint))
        for name, findings in examine(self._inventory, asked.succeeded).items():
            found += [replace(item, check=f"{name}: {item.check}", host=name) for item in findings]
        return tuple(found)

    def fix(self, findings: tuple[Finding, ...], sink: EventSink) -> None:
        """Run what mends findings on their hosts, and say what came of it."""
        for finding in findings:
            step = f"{finding.check}/fix"
            sink(StepStarted(step, finding.fix, finding.host))
            transport = self.transport(finding.host)
            try:
                done = transport.run(finding.fix, sudo=True)
            finally:
                transport.close()
            if done.exit_status == 0:
                sink(StepDone(step, "done"))
            else:
                sink(StepFailed(step, done.error_text or f"exit status {done.exit_status}"))

    def keep_kubeconfig(self, joined: Joined, server: Node) -> None:
        """Keep the admin's kubeconfig on this machine, readable by the user alone."""
        original = yaml.safe_load(joined.kubeconfig.reveal())
        config = renamed(original, self._inventory.name, server_url(self._inventory, server))
        write_private(self.kubeconfig, yaml.safe_dump(config, sort_keys=False))

    def wait_ready(self, survey: Survey, sink: EventSink, *, timeout: float) -> Cluster:
        """Wait until every node is Ready and cluster DNS is available."""
        from labctl.kube.client import KubeApi
        from labctl.providers.describe import describe_cluster

        api = KubeApi(self.kubeconfig)
        try:
            wait_nodes(api, self._inventory, survey.transports, self._env.clock, sink, timeout=timeout)
            return describe_cluster(api, self._inventory, self.kubeconfig, None)
        finally:
            api.close()

    def find(self) -> Cluster:
        """The cluster as its API describes it; the kubeconfig is fetched where this machine has none."""
        from labctl.kube.client import KubeApi
        from labctl.providers.describe import describe_cluster

        if not self.kubeconfig.exists():
            self._fetch_kubeconfig()
        api = KubeApi(self.kubeconfig)
        try:
            return describe_cluster(api, self._inventory, self.kubeconfig, None)
        finally:
            api.close()

    def _fetch_kubeconfig(self) -> None:
        server = self._inventory.servers[0]
        transport = open_transport(self._inventory, server, self._env, lambda text: None)
        try:
            joined = ask_server(transport)
        finally:
            transport.close()
        if joined is None:
            raise ClusterError(
                f"the cluster '{self._inventory.name}' is not up: {server.name} has no {layout.KUBECONFIG}",
                hint="`labctl up` builds it",
            )
        self.keep_kubeconfig(joined, server)

    def hosts(self) -> tuple[HostState, ...]:
        """The state of every host, in the inventory's order."""
        clock = self._env.clock
        with connections(self._inventory, self._inventory.nodes, self._env, lambda text: None) as opened:
            asked = each(opened.succeeded, lambda transport: gather(transport.host, transport, clock))
        failed = {**opened.failed, **asked.failed}
        return tuple(
            HostState(node.name, error=failed[node.name].message)
            if node.name in failed
            else host_state(node, asked.succeeded[node.name])
            for node in self._inventory.nodes
        )

    def limits(self) -> tuple[str, ...]:
        """None: these are real machines."""
        return ()

    def conflicts(self) -> tuple[str, ...]:
        """None that could be seen from here."""
        return ()

    def transport(self, node: str) -> Transport:
        """A connection to one node's machine."""
        found = next((item for item in self._inventory.nodes if item.name == node), None)
        if found is None:
            names = ", ".join(item.name for item in self._inventory.nodes)
            raise UsageError(f"cluster.yaml has no node {node!r}", hint=f"nodes: {names}")
        return open_transport(self._inventory, found, self._env, lambda text: None)

    def down(self, sink: EventSink, *, timeout: float, keep_data: bool) -> None:
        """Remove k3s from every host that can be reached, agents first; the others are named.

        Raises:
            HostsError: Some hosts could not be reached or cleared.
        """
        clock = self._env.clock
        with connections(self._inventory, self._inventory.nodes, self._env, lambda text: sink(Notice(text))) as opened:
            asked = each(opened.succeeded, lambda transport: gather(transport.host, transport, clock))
            failed = {**opened.failed, **asked.failed}
            survey = Survey(opened.succeeded, asked.succeeded)
            for role in (Role.AGENT, Role.SERVER):
                nodes = [node.name for node in self._inventory.nodes if node.role is role and node.name in survey.facts]
                hosts = {name: survey.transports[name] for name in nodes}
                failed |= each(hosts, lambda host: self._remove(host, survey, sink, keep_data, timeout)).failed
        if failed:
            raise HostsError(failed, len(self._inventory.nodes))
        if not keep_data:
            self.kubeconfig.unlink(missing_ok=True)

    def _remove(self, host: Transport, survey: Survey, sink: EventSink, keep_data: bool, timeout: float) -> None:
        step = f"{host.host}/down"
        sink(StepStarted(step, "remove k3s", host.host))
        removed = remove(self._inventory, survey.facts[host.host], host, keep_data=keep_data, timeout=timeout)
        done = "removed, but for the server's data" if keep_data else "removed"
        sink(StepDone(step, done if removed else "there is none", changed=removed))
