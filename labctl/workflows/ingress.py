"""`labctl ingress install | upgrade | uninstall`: an ingress controller, by Helm or without it, never half of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.env import Env
from labctl.errors import ClusterError, LabctlError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepFailed, StepStarted
from labctl.ingress.chart import VERSIONS
from labctl.ingress.check import value_problems
from labctl.ingress.controllers import CONTROLLERS, Controller, ControllerName
from labctl.ingress.diff import Change, Difference, differences
from labctl.ingress.install import Effective, ValueFlags, effective_values
from labctl.ingress.installed import Installed, Via, find_installed
from labctl.ingress.versions import support_warning
from labctl.kube.client import KubeApi
from labctl.model.cluster import Cluster
from labctl.model.inventory import Inventory, Provider
from labctl.objects.manifests import Obj
from labctl.workflows.ingress_checks import check_node_ports, check_node_selector, live_object
from labctl.workflows.ingress_rollout import wait_removed, wait_rollout
from labctl.workflows.ingress_ways import HelmWay, ManifestsWay, Way

BY_HAND_HINT = "`--yes` takes it over; put what shall stay into cluster.yaml or --values first"


@dataclass(frozen=True, slots=True)
class IngressOptions:
    """The command line of `ingress install` and `upgrade`, as given.

    Attributes:
        flags: `--values`, `--set`, `--set-string`.
        via: How to install.
        chart: A folder or archive with the chart; None takes the repository's.
        version: Version of the chart; empty takes the chart's at that path, else cluster.yaml's.
        controller: Which controller.
        yes: Go on where somebody else's work would be replaced, and where a check warns.
        timeout: Seconds that any one wait may take.
    """

    flags: ValueFlags = ValueFlags()
    via: Via = Via.AUTO
    chart: Path | None = None
    version: str = ""
    controller: ControllerName = ControllerName.NGINX
    yes: bool = False
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class IngressPlan:
    """What an installation would do; nothing has been changed yet.

    Attributes:
        controller: Which controller.
        way: Who does it.
        why: Why this way, in words.
        version: Version of the chart.
        effective: The values.
        installed: What is there.
        objects: What is to be there.
        changes: What differs between the two.
        drift: What others have changed since the last installation.
        mended: Whether the remains of an interrupted installation were removed.
    """

    controller: Controller
    way: Way
    why: str
    version: str
    effective: Effective
    installed: Installed | None
    objects: Sequence[Obj]
    changes: tuple[Difference, ...]
    drift: tuple[Difference, ...]
    mended: bool = False

    @property
    def is_done(self) -> bool:
        """Whether it is there as wanted, whole."""
        there = self.installed
        return there is not None and there.status == "deployed" and there.via is self.way.via and not self.changes


def plan_ingress(
    api: KubeApi,
    cluster: Cluster,
    inventory: Inventory,
    options: IngressOptions,
    *,
    env: Env,
    sink: EventSink,
    mend: bool,
) -> IngressPlan:
    """Find out what is there and what is wanted, and refuse what cannot be.

    With `mend` an interrupted installation is brought into order first; that is the only thing that is changed.

    Raises:
        UsageError, ConfigError: Values or a chart that do not fit.
        ClusterError: The cluster or Helm refuses.
    """
    controller = CONTROLLERS[options.controller]
    _check_controller(controller, inventory, options)
    effective = effective_values(inventory, options.flags, controller.study(inventory) if controller.study else None)
    release, namespace = controller.release(inventory), inventory.ingress.namespace
    installed = find_installed(api, release, namespace, controller.workload_selector(inventory))
    via, why = _choose(controller, effective, installed, inventory, options)
    if via is Via.HELM:
        way: Way = HelmWay.prepare(api, cluster, controller, inventory, options, env=env, sink=sink)
    else:
        way = ManifestsWay(api, controller, inventory, options, env)
    if controller.name is ControllerName.NGINX and (via is Via.MANIFESTS or way.version in VERSIONS):
        effective.check(helm=via is Via.HELM)
    interrupted = installed is not None and installed.status not in ("deployed", "failed")
    if installed is not None and interrupted:
        if mend:
            installed = way.mend(installed, sink)
        else:
            sink(Notice(f"the release is {installed.status}, and would be mended first", Level.WARNING))
    objects = way.render(effective.values)
    before = installed.objects if installed else ()
    lookup = live_object(api)
    drift = differences(before, before, lookup) if installed and installed.status == "deployed" else ()
    changes = differences(objects, before, lookup)
    return IngressPlan(controller, way, why, way.version, effective, installed, objects, changes, drift, interrupted)


def install_ingress(
    cluster: Cluster, inventory: Inventory, options: IngressOptions, *, env: Env, sink: EventSink, upgrade: bool
) -> IngressPlan:
    """Install the controller, or with `upgrade` change it, and wait until it runs.

    Raises:
        UsageError: It is there with other values (install), or is not there (upgrade), or somebody else's.
        ClusterError: The cluster or Helm refuses; what was begun is undone.
        WaitTimeoutError: Its pods do not become ready; the message says why.
    """
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        plan = plan_ingress(api, cluster, inventory, options, env=env, sink=sink, mend=True)
        _announce(plan, cluster, sink)
        if plan.is_done:
            sink(StepStarted("ingress", _title(plan, upgrade)))
            sink(StepDone("ingress", f"chart {plan.version} is installed with these values", changed=False))
            return plan
        _check_permitted(plan, options, upgrade)
        if not options.yes:
            check_node_selector(api, plan.objects)
        check_node_ports(api, plan.objects)
        _carry_out(api, plan, inventory, options, env=env, sink=sink, upgrade=upgrade)
        return plan
    finally:
        api.close()


def preview_ingress(
    cluster: Cluster, inventory: Inventory, options: IngressOptions, *, env: Env, sink: EventSink
) -> IngressPlan:
    """What `install_ingress` would do. Raises as it does; changes nothing."""
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        plan = plan_ingress(api, cluster, inventory, options, env=env, sink=sink, mend=False)
        check_node_ports(api, plan.objects)
        return plan
    finally:
        api.close()


def uninstall_ingress(
    cluster: Cluster, inventory: Inventory, options: IngressOptions, *, env: Env, sink: EventSink
) -> None:
    """Remove the controller with everything that was installed for it; its namespace stays, as with Helm.

    Raises:
        UsageError: It is somebody else's, and `--yes` was not given.
        ClusterError: The cluster or Helm refuses.
        WaitTimeoutError: Something of it does not go.
    """
    controller = CONTROLLERS[options.controller]
    release, namespace = controller.release(inventory), inventory.ingress.namespace
    api = KubeApi(cluster.kubeconfig, cluster.context)
    sink(StepStarted("ingress", f"Remove {controller.name}"))
    try:
        installed = find_installed(api, release, namespace, controller.workload_selector(inventory))
        if installed is None:
            sink(StepDone("ingress", f"no release {release} in namespace {namespace}", changed=False))
            return
        if not installed.by_labctl and not options.yes:
            raise UsageError(f"{controller.name} was installed by hand, not by labctl", hint="--yes removes it")
        if installed.via is Via.HELM:
            way: Way = HelmWay.prepare(api, cluster, controller, inventory, options, env=env, sink=sink, remove=True)
        else:
            way = ManifestsWay(api, controller, inventory, options, env)
        way.remove(installed)
        selector = controller.workload_selector(inventory)
        wait_removed(api, namespace, selector, env=env, timeout=options.timeout)
        sink(StepDone("ingress", f"removed; namespace {namespace} stays"))
    except LabctlError as error:
        sink(StepFailed("ingress", error.message))
        raise
    finally:
        api.close()


def _check_controller(controller: Controller, inventory: Inventory, options: IngressOptions) -> None:
    if controller.name is ControllerName.NGINX:
        return
    if inventory.provider is Provider.EMBEDDED:
        raise UsageError(
            f"{controller.name} runs on real clusters only; the embedded cluster has an embedded ingress-nginx",
            hint="use provider ssh or kubeconfig",
        )
    if options.via is Via.MANIFESTS:
        raise UsageError(f"labctl does not render {controller.name}'s chart", hint="--via helm")


def _choose(
    controller: Controller, effective: Effective, there: Installed | None, inventory: Inventory, options: IngressOptions
) -> tuple[Via, str]:
    """Who installs, and why."""
    if options.via is Via.MANIFESTS and there is not None and there.via is Via.HELM:
        raise UsageError(
            "Helm keeps this release; labctl's manifests beside it would be undone by the next `helm upgrade`",
            hint="use --via helm, or remove it first: `labctl ingress uninstall`",
        )
    if options.via is not Via.AUTO:
        return options.via, "asked for"
    if there is not None and there.via is not Via.AUTO:
        return there.via, f"it was installed via {there.via}"
    if controller.name is not ControllerName.NGINX:
        return Via.HELM, f"labctl does not render {controller.name}'s chart"
    if options.chart is not None:
        return Via.HELM, "--chart is given"
    version = options.version or inventory.ingress.chart_version
    if version not in VERSIONS:
        return Via.HELM, f"labctl does not render chart {version}"
    only_helm = [problem for problem in value_problems(effective.values) if "does not render" in problem.message]
    if only_helm and not value_problems(effective.values, helm=True):
        return Via.HELM, f"labctl does not render {'.'.join(only_helm[0].path)}"
    return Via.MANIFESTS, "labctl renders these values itself"


def _announce(plan: IngressPlan, cluster: Cluster, sink: EventSink) -> None:
    if plan.installed is None and plan.controller.notice:
        sink(Notice(plan.controller.notice, Level.WARNING))
    warning = support_warning(plan.version, cluster.version) if plan.controller.name is ControllerName.NGINX else ""
    if warning and not plan.is_done:
        sink(Notice(warning, Level.WARNING))


def _check_permitted(plan: IngressPlan, options: IngressOptions, upgrade: bool) -> None:
    there, name = plan.installed, plan.controller.name
    if there is None:
        if upgrade and not plan.mended:
            raise UsageError(f"{name} is not installed", hint="`labctl ingress install` installs it")
        return
    if options.yes:
        return
    if not there.by_labctl:
        raise UsageError(f"{name} was installed or changed by hand{_summary(plan.changes)}", hint=BY_HAND_HINT)
    if plan.drift:
        raise UsageError(
            f"others have changed {name} since it was installed{_summary(plan.changes)}", hint=BY_HAND_HINT
        )
    if not upgrade and there.status == "deployed":
        raise UsageError(
            f"{name} is installed with other values{_summary(plan.changes)}",
            hint="`labctl ingress upgrade` changes it, with --dry-run it shows how",
        )


def _summary(changes: Sequence[Difference]) -> str:
    shown = [line for change in changes[:6] for line in (f"\n  {change.change} {change.name}", *_marked(change))]
    rest = f"\n  … and {len(changes) - 6} more objects" if len(changes) > 6 else ""
    return f"; this would:{''.join(shown)}{rest}" if changes else ""


def _marked(change: Difference) -> list[str]:
    if change.change is not Change.UPDATE:
        return []
    lines = [f"\n    {line}" for line in change.lines if line.startswith(("-", "+"))]
    return [*lines[:8], *(["\n    …"] if len(lines) > 8 else [])]


def _title(plan: IngressPlan, upgrade: bool) -> str:
    verb = "Upgrade" if upgrade else "Install"
    return f"{verb} {plan.controller.name} (chart {plan.version}, via {plan.way.via})"


def _carry_out(
    api: KubeApi,
    plan: IngressPlan,
    inventory: Inventory,
    options: IngressOptions,
    *,
    env: Env,
    sink: EventSink,
    upgrade: bool,
) -> None:
    sink(StepStarted("ingress", _title(plan, upgrade)))
    try:
        try:
            plan.way.apply(plan.objects, plan.effective.values, plan.installed, sink)
        except ClusterError as error:
            undone = plan.way.undo(plan.installed)
            raise ClusterError(f"{error.message} ({undone})", hint=error.hint) from error
        wait_rollout(api, plan.objects, env=env, sink=sink, timeout=options.timeout)
    except LabctlError as error:
        sink(StepFailed("ingress", error.message))
        raise
    verb = "changed" if plan.installed else "installed"
    sink(StepDone("ingress", f"{verb}: {len(plan.changes)} of {len(plan.objects)} objects; ready"))
