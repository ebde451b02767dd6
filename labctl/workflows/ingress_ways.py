"""The two ways to install an ingress controller, with one face: Helm's release, or labctl's own objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from labctl.download import DownloadError
from labctl.env import Env
from labctl.errors import ClusterError, UsageError
from labctl.events import EventSink, Level, Notice, StepDone, StepProgress, StepStarted
from labctl.ingress.controllers import Controller
from labctl.ingress.diff import object_key
from labctl.ingress.helm import HELM_VERSION, Chart, Helm, HelmError, find_helm, have_helm
from labctl.ingress.install import install_objects
from labctl.ingress.installed import Installed, Via, placed
from labctl.ingress.record import Record, is_secret, record_name, record_secret
from labctl.ingress.render import prepare
from labctl.ingress.webhook import WebhookCertificate
from labctl.kube.client import KubeApi
from labctl.model.cluster import Cluster
from labctl.model.inventory import Ingress, Inventory
from labctl.objects.manifests import Obj, describe
from labctl.objects.order import apply_order, delete_order
from labctl.objects.readiness import pod_problem
from labctl.secrets import Secret

STILL_RUNNING = timedelta(minutes=5)
"""Helm's own default timeout: a release that has been pending for longer was interrupted."""


class WayOptions(Protocol):
    """What of the command line a way needs."""

    @property
    def chart(self) -> Path | None:
        """A folder or archive with the chart."""

    @property
    def version(self) -> str:
        """Version of the chart, if one was asked for."""

    @property
    def yes(self) -> bool:
        """Whether to go on where it is not sure."""

    @property
    def timeout(self) -> float:
        """Seconds that any one wait may take."""


class Way(Protocol):
    """Who renders, applies and removes."""

    via: Via
    version: str

    def mend(self, installed: Installed, sink: EventSink) -> Installed | None:
        """Bring an interrupted installation into a state to start from; returns what is then there."""

    def render(self, values: Mapping[str, Any]) -> list[Obj]:
        """The objects that these values give; nothing is changed."""

    def apply(
        self, objects: Sequence[Obj], values: Mapping[str, Any], installed: Installed | None, sink: EventSink
    ) -> None:
        """Make it so."""

    def undo(self, installed: Installed | None) -> str:
        """Go back to what was there after `apply` failed; returns what was done, in words."""

    def remove(self, installed: Installed) -> None:
        """Remove everything that was installed."""


class ManifestsWay:
    """labctl renders the chart's objects itself and applies them server-side."""

    via = Via.MANIFESTS

    def __init__(
        self, api: KubeApi, controller: Controller, inventory: Inventory, options: WayOptions, env: Env
    ) -> None:
        self._api = api
        self._env = env
        self.version = options.version or controller.version(inventory)
        self._ingress: Ingress = replace(inventory.ingress, chart_version=self.version)
        self._made: list[Obj] = []
        if options.chart is not None:
            raise UsageError("--chart needs Helm: labctl renders the chart's objects itself", hint="--via helm")

    def mend(self, installed: Installed, sink: EventSink) -> Installed | None:
        """Nothing to mend: applying again completes it."""
        sink(Notice("the last installation was interrupted; it is completed now", Level.WARNING))
        return installed

    def render(self, values: Mapping[str, Any]) -> list[Obj]:
        """The namespace, and the chart's objects; an installed webhook certificate is kept."""
        return install_objects(values, self._ingress, self._env.clock.now(), self._certificate(values))

    def _certificate(self, values: Mapping[str, Any]) -> WebhookCertificate | None:
        release = prepare(values, self._ingress.release, self._ingress.namespace, self.version)
        secret = self._api.get("v1", "Secret", release.namespace, release.webhook_name)
        data = (secret or {}).get("data") or {}
        if not all(data.get(key) for key in ("ca", "cert", "key")):
            return None
        ca, certificate, key = (base64.b64decode(data[name]) for name in ("ca", "cert", "key"))
        return WebhookCertificate(ca, certificate, Secret(key.decode()))

    def apply(
        self, objects: Sequence[Obj], values: Mapping[str, Any], installed: Installed | None, sink: EventSink
    ) -> None:
        """Apply the objects, then remove those that are no longer wanted; the record is written first and last."""
        now = self._env.clock.now()
        record = Record(self.version, values, objects, now, complete=False)
        for done, obj in enumerate(apply_order(list(objects)), start=1):
            existed = self._exists(obj)
            self._api.apply(obj)
            if not existed:
                self._made.append(obj)
            if obj["kind"] == "Namespace":
                self._write(record)
            sink(StepProgress("ingress", done, len(objects), describe(obj)))
        kept = {object_key(obj) for obj in objects}
        for obj in delete_order(list(installed.objects) if installed else []):
            if object_key(obj) not in kept and obj["kind"] != "Namespace":
                self._api.delete(obj)
        self._write(replace(record, complete=True))

    def _exists(self, obj: Obj) -> bool:
        metadata = obj["metadata"]
        found = self._api.get(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
        return found is not None

    def _write(self, record: Record) -> None:
        self._api.apply(record_secret(self._ingress.release, self._ingress.namespace, record))

    def undo(self, installed: Installed | None) -> str:
        """Delete what was new; put the rest back as the last installation had it."""
        for obj in delete_order(self._made):
            self._api.delete(obj)
        if installed is None or installed.via is not Via.MANIFESTS:
            self._forget()
            return "nothing of it is left on the cluster"
        for obj in apply_order([obj for obj in installed.objects if not is_secret(obj)]):
            self._api.apply(obj)
        self._write(Record(installed.chart_version, installed.values, installed.objects, installed.updated))
        return "everything is as it was before"

    def _forget(self) -> None:
        metadata = {"name": record_name(self._ingress.release), "namespace": self._ingress.namespace}
        self._api.delete({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    def remove(self, installed: Installed) -> None:
        """Delete the recorded objects, dependents first; the namespace stays."""
        if installed.via is Via.AUTO:
            raise UsageError(
                "neither Helm nor labctl has a record of what was installed",
                hint="remove it with what installed it, or take it over first: `labctl ingress upgrade --yes`",
            )
        for obj in delete_order(list(installed.objects)):
            if obj["kind"] != "Namespace":
                self._api.delete(
                    obj, propagation="Foreground" if obj["kind"] in ("Deployment", "DaemonSet") else "Background"
                )
        self._forget()


@dataclass(slots=True)
class HelmWay:
    """The real Helm, with a real release."""

    helm: Helm
    chart: Chart
    release: str
    namespace: str
    version: str
    yes: bool
    timeout: float
    env: Env
    api: KubeApi
    hooks: tuple[Obj, ...] = ()
    via: Via = Via.HELM

    @classmethod
    def prepare(
        cls,
        api: KubeApi,
        cluster: Cluster,
        controller: Controller,
        inventory: Inventory,
        options: WayOptions,
        *,
        env: Env,
        sink: EventSink,
        remove: bool = False,
    ) -> HelmWay:
        """Helm found or fetched, and the chart looked at.

        Raises:
            ClusterError: There is no Helm and none can be fetched, or the repository does not give the chart.
            UsageError: `--chart` is no chart, or another version than `--version` says.
        """
        helm = Helm(provide_helm(env, sink), env.environ, cluster.kubeconfig, cluster.context)
        chart = chart_of(controller, inventory, options)
        version = options.version or controller.version(inventory)
        if not remove:
            version = _chart_version(helm, chart, controller, options)
        names = controller.release(inventory), inventory.ingress.namespace
        return cls(helm, chart, *names, version, options.yes, options.timeout, env, api)

    def mend(self, installed: Installed, sink: EventSink) -> Installed | None:
        """Remove what an interrupted first installation left, or go back to the last revision that was whole."""
        age = self.env.clock.now() - installed.updated if installed.updated else STILL_RUNNING
        since = f"{installed.status} for {int(age.total_seconds())} s"
        if age < STILL_RUNNING and not self.yes:
            raise ClusterError(
                f"release {self.release} is {since}: another Helm may be at work on it",
                hint="wait for it; if it was interrupted, --yes mends it",
            )
        last = installed.last_deployed
        if last is None:
            self.helm.uninstall(self.release, self.namespace, timeout=self.timeout)
            sink(Notice(f"release {self.release} was {since}, interrupted: its remains are removed", Level.WARNING))
            return None
        self.helm.rollback(self.release, self.namespace, last.revision, timeout=self.timeout)
        sink(
            Notice(f"release {self.release} was {since}, interrupted: back at revision {last.revision}", Level.WARNING)
        )
        return replace(installed, status="deployed", values=last.values, objects=last.objects)

    def render(self, values: Mapping[str, Any]) -> list[Obj]:
        """What Helm would install, asked of the cluster with a dry run."""
        found = self.helm.preview(self.release, self.namespace, self.chart, values, timeout=self.timeout)
        self.hooks = tuple(placed(self.api, obj, self.namespace) for obj in found.hooks)
        return [placed(self.api, obj, self.namespace) for obj in found.objects]

    def apply(
        self, objects: Sequence[Obj], values: Mapping[str, Any], installed: Installed | None, sink: EventSink
    ) -> None:
        """`helm upgrade --install`; a release that labctl kept itself is adopted, and its record forgotten."""
        sink(StepProgress("ingress", note="helm is at work"))
        note = "upgrade" if installed else "install"
        try:
            self.helm.install(self.release, self.namespace, self.chart, values, timeout=self.timeout, note=note)
        except HelmError as error:
            raise HelmError(error.message + self._why_hooks_failed(), hint=error.hint) from error
        if installed is not None and installed.via is Via.MANIFESTS:
            metadata = {"name": record_name(self.release), "namespace": self.namespace}
            self.api.delete({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})

    def _why_hooks_failed(self) -> str:
        """What the pods of the chart's hook Jobs say: Helm itself only says that it waited."""
        for job in self.hooks:
            if job["kind"] == "Job":
                name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
                for pod in self.api.list("v1", "Pod", namespace, selector=f"batch.kubernetes.io/job-name={name}"):
                    problem = pod_problem(pod)
                    if problem:
                        return f"; Job {namespace}/{name}: {problem}"
        return ""

    def undo(self, installed: Installed | None) -> str:
        """Uninstall a failed first installation; roll a failed upgrade back."""
        try:
            if installed is None or installed.last_deployed is None:
                self.helm.uninstall(self.release, self.namespace, timeout=self.timeout)
                for obj in delete_order(list(self.hooks)):  # Helm leaves those of a hook that failed
                    self.api.delete(obj)
                return "nothing of it is left on the cluster"
            revision = installed.last_deployed.revision
            self.helm.rollback(self.release, self.namespace, revision, timeout=self.timeout)
        except HelmError as error:
            if "not found" in error.message:  # Helm refused before it began
                return "nothing was changed"
            return f"and it could not be undone: {error.message}"
        return f"rolled back to revision {revision}"

    def remove(self, installed: Installed) -> None:
        """`helm uninstall`."""
        self.helm.uninstall(self.release, self.namespace, timeout=self.timeout)


def provide_helm(env: Env, sink: EventSink) -> Path:
    """Helm 3: found, or fetched with a line that says so.

    Raises:
        ClusterError: There is none, and it cannot be fetched.
    """
    found = find_helm(env)
    if found is not None:
        return found
    sink(StepStarted("helm", f"Fetch Helm {HELM_VERSION}"))
    try:
        found = have_helm(env, lambda done, total: sink(StepProgress("helm", done, total)))
    except DownloadError as error:
        raise ClusterError(
            f"there is no helm 3 on PATH, and none can be fetched: {error.message}",
            hint="put helm 3 on PATH, or use --via manifests, which needs neither Helm nor the internet",
        ) from error
    sink(StepDone("helm", str(found)))
    return found


def chart_of(controller: Controller, inventory: Inventory, options: WayOptions) -> Chart:
    """The chart that is asked for."""
    version = options.version or controller.version(inventory)
    return Chart(controller.name.value, version, controller.repository, options.chart)


def _chart_version(helm: Helm, chart: Chart, controller: Controller, options: WayOptions) -> str:
    metadata = helm.chart_metadata(chart, timeout=options.timeout)
    name, version = str(metadata.get("name")), str(metadata.get("version"))
    if name != controller.name.value:
        raise UsageError(f"{chart} is the chart {name}, not {controller.name}", hint="--controller says which is meant")
    if chart.path is not None and options.version and options.version != version:
        raise UsageError(f"{chart} is version {version}, not {options.version}", hint="leave --version or --chart out")
    return version
