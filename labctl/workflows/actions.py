"""Steps that change the cluster, each done and waited for until it has taken effect; and how they are taken back."""

from __future__ import annotations

from typing import Any

from labctl.errors import ClusterError
from labctl.events import StepDone, StepStarted
from labctl.lab.certificate import is_usable, make_certificate, tls_secret
from labctl.lab.plan import first_objects, lab_objects, namespace_of, resets, stamp, step_objects
from labctl.model.actions import Action, ApplyStep, CertificateStep, DeleteStep, PatchStep
from labctl.model.lab import Lab
from labctl.objects.manifests import Obj, describe
from labctl.objects.patches import inverse
from labctl.objects.readiness import readiness
from labctl.objects.versions import api_version
from labctl.waiting import Pending, wait_for
from labctl.workflows.apply import apply_and_wait, wait_ready
from labctl.workflows.bench import Bench
from labctl.workflows.facts import filled_delete, lookup, one


class Actions:
    """The changes that one lab makes to a cluster, and the way back."""

    def __init__(self, bench: Bench, lab: Lab) -> None:
        self._bench = bench
        self._lab = lab
        self._undo: list[tuple[PatchStep, dict[str, Any]]] = []

    def perform(self, step: Action) -> None:
        """Do a step, and wait until it has taken effect."""
        match step:
            case ApplyStep():
                self._apply(step)
            case PatchStep():
                self._patch(step)
            case CertificateStep():
                self._certificate(step)
            case DeleteStep():
                self._delete(step)

    def reset(self) -> None:
        """Clear what a run that was killed has left: patches, and objects that only later steps make."""
        api = self._bench.api
        for obj, patch in resets(self._lab, self._bench.overrides):
            metadata = obj["metadata"]
            place = (obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
            if api.get(*place) is not None:
                api.merge_patch(*place, patch)
        self._delete_later_objects()

    def restore(self) -> None:
        """Undo the patches, the last first, and bring the objects back to what the first manifests say."""
        bench = self._bench
        count = len(self._undo)
        step_id = f"{self._lab.name}/restore"
        if count:
            bench.sink(StepStarted(step_id, "Put back what was patched", self._lab.name))
        while self._undo:
            step, undo = self._undo.pop()
            version, kind, namespace, name = place = self._place(step)
            if bench.api.get(*place) is not None:
                bench.api.merge_patch(*place, undo)
                self._settle({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace, "name": name}})
        if count:
            bench.sink(StepDone(step_id, f"{count} patches undone"))
        if bench.options.keep:
            self._delete_later_objects()
            self._bring_back()

    def _bring_back(self) -> None:
        """Apply again those of the first objects that are gone, and wait for all of them."""
        bench, lab = self._bench, self._lab
        for obj in first_objects(lab, bench.overrides):
            if self._found(obj) is None:
                bench.api.apply(obj, owner=lab.name)
            self._settle(obj)

    def _delete_later_objects(self) -> None:
        first = [describe(obj) for obj in first_objects(self._lab, self._bench.overrides)]
        for obj in lab_objects(self._lab, self._bench.overrides):
            if describe(obj) not in first and obj["kind"] != "Namespace":
                self._bench.api.delete(obj)

    def _found(self, obj: Obj) -> Obj | None:
        metadata = obj["metadata"]
        return self._bench.api.get(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])

    def _apply(self, step: ApplyStep) -> None:
        bench, lab = self._bench, self._lab
        apply_and_wait(
            bench.api,
            step_objects(lab, step, bench.overrides),
            env=bench.env,
            sink=bench.sink,
            step=f"{lab.name}/{step.name}",
            title=step.title or step.name,
            group=lab.name,
            timeout=bench.options.timeout,
            owner=lab.name,
        )

    def _patch(self, step: PatchStep) -> None:
        bench = self._bench
        step_id = f"{self._lab.name}/{step.name}"
        bench.sink(StepStarted(step_id, step.title or step.name, self._lab.name))
        place = self._place(step)
        target = bench.api.get(*place)
        if target is None:
            raise ClusterError(f"{step.kind} {place[2]}/{step.object_name} is not there to be patched")
        undo = inverse(target, step.patch)
        bench.api.merge_patch(*place, step.patch)
        self._undo.append((step, undo))
        self._settle(target)
        bench.sink(StepDone(step_id, f"{step.kind} {place[3]} patched"))

    def _settle(self, obj: Obj) -> None:
        """Wait until a changed object is ready again."""
        bench = self._bench
        whole = {"apiVersion": api_version(obj["kind"]), **obj}
        wait_ready(
            bench.api,
            whole,
            env=bench.env,
            sink=bench.sink,
            step=f"{self._lab.name}/{obj['metadata']['name']}",
            timeout=bench.options.timeout,
        )

    def _place(self, step: PatchStep) -> tuple[str, str, str, str]:
        """apiVersion, kind, namespace and name of what a step patches."""
        look = lookup(self._bench, self._lab)
        namespace = one(step.namespace, look) or namespace_of(self._lab, self._bench.overrides)
        own = {obj["kind"]: obj["apiVersion"] for obj in lab_objects(self._lab, self._bench.overrides)}
        return own.get(step.kind) or api_version(step.kind), step.kind, namespace, one(step.object_name, look)

    def _certificate(self, step: CertificateStep) -> None:
        bench, lab = self._bench, self._lab
        step_id = f"{lab.name}/{step.name}"
        bench.sink(StepStarted(step_id, step.title or step.name, lab.name))
        namespace = namespace_of(lab, bench.overrides)
        now = bench.env.clock.now()
        existing = bench.api.get("v1", "Secret", namespace, step.secret)
        if existing is not None and is_usable(existing, step, now):
            bench.sink(StepDone(step_id, f"Secret {step.secret} holds a valid one", changed=False))
            return
        secret = stamp(tls_secret(step.secret, namespace, make_certificate(step, now)), lab, bench.overrides)
        bench.api.apply(secret, owner=lab.name)
        made = f"CN={step.common_name}, RSA {step.rsa_bits}, {step.days} days"
        bench.sink(StepDone(step_id, f"Secret {step.secret}: {made}"))

    def _delete(self, wanted: DeleteStep) -> None:
        bench = self._bench
        step = filled_delete(wanted, lookup(bench, self._lab))
        step_id = f"{self._lab.name}/{step.name}"
        bench.sink(StepStarted(step_id, step.title or step.name, self._lab.name))
        namespace = step.namespace or namespace_of(self._lab, bench.overrides)
        obj = bench.api.get(api_version(step.kind), step.kind, namespace, step.object_name)
        if obj is None:
            raise ClusterError(f"{step.kind} {namespace}/{step.object_name} is not there to be deleted")
        bench.api.delete(obj, grace=step.grace)
        wait_for(
            f"{describe(obj)} to go and its replacement to be ready",
            lambda: self._replaced(obj),
            timeout=bench.options.timeout,
            clock=bench.env.clock,
        )
        bench.sink(StepDone(step_id, f"{step.kind} {step.object_name} deleted"))

    def _replaced(self, obj: Obj) -> bool | Pending:
        """Whether an object is gone, and its owner has as many ready pods again as it wants."""
        metadata = obj["metadata"]
        found = self._found(obj)
        if found is not None and found["metadata"]["uid"] == metadata["uid"]:
            return Pending("it is still there")
        for owner in metadata.get("ownerReferences") or []:
            whole = self._bench.api.get(owner["apiVersion"], owner["kind"], metadata["namespace"], owner["name"])
            if whole is not None and "replicas" in whole.get("spec", {}):
                ready = self._ready_pods(metadata["namespace"], owner["uid"])
                if ready < whole["spec"]["replicas"]:
                    return Pending(f"{ready} of {whole['spec']['replicas']} pods of {describe(whole)} ready")
        return True

    def _ready_pods(self, namespace: str, owner: str) -> int:
        return sum(
            readiness(pod).ready and "deletionTimestamp" not in pod["metadata"]
            for pod in self._bench.api.list("v1", "Pod", namespace)
            if any(reference["uid"] == owner for reference in pod["metadata"].get("ownerReferences") or [])
        )
