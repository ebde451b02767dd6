"""Checking again and again: on an interval, and as soon as the cluster's endpoints change."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labctl.env import Env
from labctl.errors import ClusterError, LabctlError
from labctl.kube.client import KubeApi
from labctl.model.report import LabReport, Report, Result
from labctl.providers.base import ClusterProvider

_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
"""What changes with every rollout, drain, scaling and failing readiness probe."""
CALM_SECONDS = 0.3
"""A change seldom comes alone: so long is waited for the others."""


def watched(check: Callable[[], Report], provider: ClusterProvider, env: Env, interval: float) -> Iterator[Report]:
    """Reports without end: the next one `interval` seconds after the last, or when endpoints have changed.

    A cluster that cannot be reached is a report too, with result error. Ends with KeyboardInterrupt, or after a report
    that was interrupted.
    """
    while True:
        begun, started = env.clock.monotonic(), env.clock.now()
        try:
            report = check()
        except ClusterError as error:
            lab = LabReport("cluster", Result.ERROR, reason=error.message, hint=error.hint)
            report = Report("verify", started, env.clock.monotonic() - begun, Result.ERROR, (lab,))
        yield report
        if report.partial:
            return
        wait_for_change(provider, env, interval)


def wait_for_change(provider: ClusterProvider, env: Env, interval: float) -> None:
    """Return when an endpoint changes, at the latest after `interval` seconds."""
    deadline = env.clock.monotonic() + interval
    try:
        cluster = provider.find()
        api = KubeApi(cluster.kubeconfig, cluster.context)
        try:
            _first_change(api, interval)
        finally:
            api.close()
    except LabctlError:
        # Not to be reached: the next report will say so. Until then the interval is all there is to go by.
        env.clock.sleep(max(0.0, deadline - env.clock.monotonic()))
        return
    env.clock.sleep(max(0.0, min(CALM_SECONDS, deadline - env.clock.monotonic())))


def _first_change(api: KubeApi, seconds: float) -> None:
    version = api.request("GET", _SLICES, query={"limit": "1"})["metadata"]["resourceVersion"]
    query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(max(1, round(seconds)))}
    for chunk in api.chunks(_SLICES, query, read_timeout=seconds):
        if chunk:
            return
