"""`labctl clean`: remove what labs have applied, and wait until it is gone."""

from __future__ import annotations

from collections.abc import Sequence

from labctl.env import Env
from labctl.events import EventSink, StepDone, StepStarted
from labctl.kube.client import KubeApi
from labctl.objects.manifests import describe
from labctl.providers.base import ClusterProvider
from labctl.waiting import Pending, wait_for
from labctl.workflows.bench import Bench
from labctl.workflows.ownership import labs_of, objects_of_lab, remove_lab


def clean_labs(
    labs: Sequence[str],
    provider: ClusterProvider,
    *,
    env: Env,
    sink: EventSink,
    timeout: float,
    dry_run: bool,
) -> None:
    """Remove the objects of labs, by name; with `dry_run` only say which."""
    cluster = provider.find()
    api = KubeApi(cluster.kubeconfig, cluster.context)
    try:
        for lab in labs:
            sink(StepStarted(lab, f"Clean lab {lab}"))
            sink(_clean(api, lab, env, timeout, dry_run=dry_run))
    finally:
        api.close()


def clean_up(bench: Bench, lab: str) -> None:
    """Remove a lab's objects after its run."""
    step = f"{lab}/clean"
    bench.sink(StepStarted(step, "Clean up", lab))
    done = _clean(bench.api, lab, bench.env, bench.options.timeout, dry_run=False)
    bench.sink(StepDone(step, f"{done.note} (--keep leaves them)", done.changed))


def _clean(api: KubeApi, lab: str, env: Env, timeout: float, *, dry_run: bool) -> StepDone:
    found = objects_of_lab(api, lab)
    if not found:
        return StepDone(lab, "nothing of it is there", changed=False)
    own = [describe(obj) for obj in found if labs_of(obj) == {lab}]
    if dry_run:
        return StepDone(lab, f"would remove {', '.join(own)}", changed=False)
    count = remove_lab(api, lab, wait_for_pods=True)

    def gone() -> bool | Pending:
        left = [describe(obj) for obj in objects_of_lab(api, lab)]
        return Pending(f"{', '.join(left)} still there") if left else True

    wait_for(f"the objects of lab {lab} to go", gone, timeout=timeout, clock=env.clock)
    return StepDone(lab, f"{count} objects removed")
