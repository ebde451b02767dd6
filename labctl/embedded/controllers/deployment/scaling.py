"""Sizes of the ReplicaSets: while rolling out, and proportionally when a rollout is scaled."""

from __future__ import annotations

from labctl.embedded.clientset import Obj
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.deployment.revisions import new_size
from labctl.embedded.controllers.deployment.sync import (
    DESIRED,
    MAXIMUM,
    Sync,
    active,
    by_creation,
    counter,
    replicas,
    total,
)
from labctl.embedded.controllers.numbers import round_half_away


def is_scaling(sync: Sync) -> bool:
    """Whether `spec.replicas` changed since a ReplicaSet was last sized."""
    wanted = str(sync.replicas)
    return any(meta.annotations_of(entry).get(DESIRED, wanted) != wanted for entry in active(sync.all))


def scale(sync: Sync) -> None:
    """Follow `spec.replicas`: the only active ReplicaSet, or all of them in proportion to their sizes."""
    single = _active_or_latest(sync)
    if single is not None:
        if replicas(single) != sync.replicas:
            sync.scale(single, sync.replicas)
        return
    if _is_saturated(sync):
        for entry in active(sync.old):
            sync.scale(entry, 0)
    elif sync.is_rolling:
        _scale_in_proportion(sync)


def _active_or_latest(sync: Sync) -> Obj | None:
    sets = active(sync.all)
    if len(sets) > 1 or not sync.all:
        return None
    if sets:
        return sets[0]
    return sync.new if sync.new is not None else by_creation(sync.old)[-1]


def _is_saturated(sync: Sync) -> bool:
    new = sync.new
    return (
        new is not None
        and replicas(new) == sync.replicas
        and meta.annotations_of(new).get(DESIRED) == str(sync.replicas)
        and counter(new, "availableReplicas") == sync.replicas
    )


def _scale_in_proportion(sync: Sync) -> None:
    sets = active(sync.all)
    allowed = sync.replicas + sync.max_surge if sync.replicas > 0 else 0
    missing = allowed - total(sets)
    sizes = {meta.uid(entry): replicas(entry) for entry in sets}
    # Growing, the newest of the largest comes first, shrinking, the oldest.
    ranked = by_creation(sets)
    if missing > 0:
        ranked.reverse()
    ordered = sorted(ranked, key=replicas, reverse=True)
    added = 0
    for entry in ordered:
        share = _share(sync, entry, missing, added)
        sizes[meta.uid(entry)] += share
        added += share
    if missing:
        largest = meta.uid(ordered[0])
        sizes[largest] = max(0, sizes[largest] + missing - added)
    for entry in ordered:
        sync.scale(entry, sizes[meta.uid(entry)])


def _share(sync: Sync, entry: Obj, missing: int, added: int) -> int:
    left = missing - added
    if replicas(entry) == 0 or left == 0:
        return 0
    fraction = _fraction(sync, entry)
    return min(fraction, left) if missing > 0 else max(fraction, left)


def _fraction(sync: Sync, entry: Obj) -> int:
    if sync.replicas == 0:
        return -replicas(entry)
    text = meta.annotations_of(entry).get(MAXIMUM, "")
    before = int(text) if text.isdigit() and int(text) else counter(sync.deployment, "replicas")
    if not before:
        return 0
    return round_half_away(replicas(entry) * (sync.replicas + sync.max_surge), before) - replicas(entry)


def grow_new(sync: Sync) -> bool:
    """RollingUpdate, first half: as many new pods as surge allows."""
    if sync.new is None or replicas(sync.new) == sync.replicas:
        return False
    size = sync.replicas if replicas(sync.new) > sync.replicas else new_size(sync)
    return size != replicas(sync.new) and sync.scale(sync.new, size)


def shrink_old(sync: Sync) -> bool:
    """RollingUpdate, second half: fewer old pods, the unhealthy ones first, as far as enough stay available."""
    old = active(sync.old)
    if not old or sync.new is None:
        return False
    least = sync.replicas - sync.max_unavailable
    not_yet = replicas(sync.new) - counter(sync.new, "availableReplicas")
    most = total(sync.all) - least - not_yet
    if most <= 0:
        return False
    cleaned = _remove_unhealthy(sync, by_creation(old), most)
    return _remove_surplus(sync, least) or cleaned


def _remove_unhealthy(sync: Sync, old: list[Obj], most: int) -> bool:
    left = most
    for entry in old:
        unhealthy = replicas(entry) - counter(entry, "availableReplicas")
        step = min(left, unhealthy)
        if step > 0:
            sync.scale(entry, replicas(entry) - step)
            left -= step
    return left < most


def _remove_surplus(sync: Sync, least: int) -> bool:
    surplus = left = sum(counter(entry, "availableReplicas") for entry in sync.all) - least
    for entry in by_creation(active(sync.old)):
        if left <= 0:
            break
        step = min(replicas(entry), left)
        sync.scale(entry, replicas(entry) - step)
        left -= step
    return left < surplus


def stop_old(sync: Sync) -> bool:
    """Recreate: no old pod may stay. Tells whether any ReplicaSet still had to be told."""
    changed = [sync.scale(entry, 0) for entry in active(sync.old)]
    return any(changed)
