"""DaemonSets: a pod on every node that fits. Source of the rules: `pkg/controller/daemon`."""

from __future__ import annotations

from labctl.embedded.controllers.daemonset.controller import DaemonSetController

__all__ = ["DaemonSetController"]
