"""What became of a Job's pods, each counted once, also when the pod is deleted meanwhile.

A finished pod's uid is first noted in `uncountedTerminatedPods`, then the pod's finalizer is taken off, then the uid
is turned into a number. Wherever this is cut off, the next look goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta, pods
from labctl.embedded.controllers.wanted import Update, Wanted

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
_INITIAL_BACKOFF, _MAX_BACKOFF = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """A Job's pods, sorted out.

    Attributes:
        pods: All of them.
        active: Those that run or will run.
        succeeded: Finished well, with the finalizer still on and not noted.
        failed: Finished badly or deleted, likewise.
        noted: uids in `uncountedTerminatedPods` whose pod has lost the finalizer or is gone, by outcome.
        pending: uids there whose pod still has the finalizer, by outcome.
    """

    pods: tuple[Obj, ...]
    active: tuple[Obj, ...]
    succeeded: tuple[Obj, ...]
    failed: tuple[Obj, ...]
    noted: dict[str, list[str]]
    pending: dict[str, list[str]]


def is_tracked(pod: Obj) -> bool:
    """Whether the pod still has to be counted."""
    return FINALIZER in meta.finalizers(pod)


def _has_failed(job: Obj, pod: Obj) -> bool:
    if pods.phase(pod) == "Failed":
        return True
    if meta.spec(job).get("podReplacementPolicy") == "Failed":
        return False
    # A pod that is being deleted may never get to say how it ended.
    return meta.deleting(pod) and pods.phase(pod) != "Succeeded"


def sort_out(job: Obj, members: Sequence[Obj]) -> Tracked:
    """Sort a Job's pods by what is to be done with them."""
    uncounted = meta.status(job).get("uncountedTerminatedPods") or {}
    waiting = {meta.uid(pod) for pod in members if is_tracked(pod)}
    outcomes: dict[str, list[str]] = {
        outcome: list(uncounted.get(outcome) or ()) for outcome in ("succeeded", "failed")
    }
    known = {uid for uids in outcomes.values() for uid in uids}
    new = [pod for pod in members if is_tracked(pod) and meta.uid(pod) not in known]
    return Tracked(
        pods=tuple(members),
        active=tuple(pod for pod in members if pods.is_active(pod)),
        succeeded=tuple(pod for pod in new if pods.phase(pod) == "Succeeded"),
        failed=tuple(pod for pod in new if _has_failed(job, pod)),
        noted={outcome: [uid for uid in uids if uid not in waiting] for outcome, uids in outcomes.items()},
        pending={outcome: [uid for uid in uids if uid in waiting] for outcome, uids in outcomes.items()},
    )


def release(members: Iterable[Obj]) -> list[Wanted]:
    """Take the tracking finalizer off."""
    return [Update(pods.PODS, meta.without_finalizer(pod, FINALIZER)) for pod in members if is_tracked(pod)]


def index_of(pod: Obj) -> int | None:
    """The completion index of an Indexed Job's pod."""
    text = meta.annotations_of(pod).get(INDEX) or meta.labels(pod).get(INDEX) or ""
    return int(text) if text.isdigit() else None


def parse_indexes(text: str) -> set[int]:
    """`0-2,5` as numbers."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """Numbers as `0-2,5`; two in a row are written apart, as Kubernetes does."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and runs[-1][1] == index - 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(_run(first, last) for first, last in runs)


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def _finished_at(pod: Obj) -> float:
    times = [
        meta.parse_time((entry.get("state") or {}).get("terminated", {}).get("finishedAt"))
        for entry in meta.status(pod).get("containerStatuses") or ()
        if (entry.get("state") or {}).get("terminated")
    ]
    if times:
        return max(times)
    ready = meta.condition_of(pod, "Ready") or {}
    return meta.parse_time(ready.get("lastTransitionTime") or pod["metadata"].get("deletionTimestamp"))


def retry_time(tracked: Tracked, scale: float) -> float:
    """When the next pod may start after failures in a row: 10 s after the first, doubling up to 10 minutes."""
    ended = sorted(
        (_finished_at(pod), pods.phase(pod) == "Succeeded")
        for pod in tracked.pods
        if pods.is_finished(pod) or meta.deleting(pod)
    )
    failures, last = 0, 0.0
    for when, succeeded in ended:
        failures = 0 if succeeded else failures + 1
        last = when
    if not failures:
        return 0.0
    return last + min(_INITIAL_BACKOFF * 2.0 ** min(failures - 1, 10), _MAX_BACKOFF) * scale
