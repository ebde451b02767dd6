"""Which controllers there are, and which resources they need to see."""

from __future__ import annotations

import random
from collections.abc import Iterator

from labctl.embedded.clientset import ApiError, Clientset
from labctl.embedded.controllers import meta
from labctl.embedded.controllers.apiserver import KubernetesServiceController
from labctl.embedded.controllers.autoscaling import HorizontalPodAutoscalerController
from labctl.embedded.controllers.clusterroles import ClusterRoleAggregationController
from labctl.embedded.controllers.controller import Controller
from labctl.embedded.controllers.daemonset import DaemonSetController
from labctl.embedded.controllers.deployment import DeploymentController
from labctl.embedded.controllers.disruption import DisruptionController
from labctl.embedded.controllers.endpoints import (
    EndpointsController,
    EndpointSliceController,
    EndpointSliceMirroringController,
)
from labctl.embedded.controllers.eventttl import EventTTLController
from labctl.embedded.controllers.garbage import GarbageCollector
from labctl.embedded.controllers.jobs import CronJobController, JobController, TTLAfterFinishedController
from labctl.embedded.controllers.namespaces import NamespaceController
from labctl.embedded.controllers.nodelifecycle import NodeLifecycleController, greeters
from labctl.embedded.controllers.podgc import PodGarbageCollector
from labctl.embedded.controllers.quotas import ResourceQuotaController
from labctl.embedded.controllers.replicasets import ReplicaSetController, ReplicationControllerController
from labctl.embedded.controllers.scheduler import Scheduler
from labctl.embedded.controllers.serviceaccounts import RootCAPublisher, ServiceAccountController
from labctl.embedded.controllers.servicelb import CloudServiceController, ServiceLB
from labctl.embedded.controllers.settings import ControllerSettings
from labctl.embedded.controllers.statefulset import StatefulSetController
from labctl.embedded.controllers.tainteviction import TaintEvictionController
from labctl.embedded.controllers.tokens import IssueToken, TokenController
from labctl.embedded.controllers.volumeprotection import VolumeProtectionController
from labctl.embedded.controllers.volumes import PersistentVolumeController
from labctl.embedded.kinds.resources import BUILTIN, storage_key

_CRDS = "customresourcedefinitions.apiextensions.k8s.io"


def all_controllers(
    settings: ControllerSettings, started: float, issue_token: IssueToken | None = None
) -> Iterator[Controller]:
    """Every controller of the cluster, in the order in which they hear of a change.

    Args:
        settings: Times and names.
        started: When the cluster's process started, seconds since the epoch.
        issue_token: Makes the tokens of ServiceAccounts' Secrets; without it such Secrets stay as they are.
    """
    scale = settings.time_scale
    if settings.kept:
        yield KubernetesServiceController(settings.kept, scale)
    yield ServiceAccountController()
    yield RootCAPublisher(settings.root_ca)
    yield ClusterRoleAggregationController()
    yield DeploymentController()
    yield ReplicaSetController()
    yield ReplicationControllerController()
    yield StatefulSetController()
    yield DaemonSetController()
    yield JobController(scale)
    yield CronJobController()
    yield TTLAfterFinishedController()
    yield Scheduler(random.Random(settings.seed))  # noqa: S311  chooses among equals
    yield EndpointsController()
    yield EndpointSliceController()
    yield EndpointSliceMirroringController()
    yield CloudServiceController()
    yield ServiceLB(settings.server)
    yield PersistentVolumeController(scale)
    yield VolumeProtectionController()
    yield NodeLifecycleController(settings.node_monitor_grace_period * scale, started)
    yield from greeters()
    yield TaintEvictionController(scale)
    yield PodGarbageCollector(scale)
    yield DisruptionController()
    yield HorizontalPodAutoscalerController(settings.autoscaler_period)
    yield ResourceQuotaController()
    if issue_token is not None:
        yield TokenController(issue_token, settings.root_ca)
    yield EventTTLController(settings.event_ttl)
    yield GarbageCollector(settings.garbage_delay)
    yield NamespaceController()


def observed_resources(clientset: Clientset) -> list[str]:
    """Every stored resource: the built-in ones, and those that CustomResourceDefinitions define."""
    found = dict.fromkeys(storage_key(resource) for resource in BUILTIN if resource.stored)
    found.pop("componentstatuses", None)
    try:
        definitions = clientset.list(_CRDS)
    except ApiError:
        return list(found)
    return [*found, *(meta.name(definition) for definition in definitions)]
