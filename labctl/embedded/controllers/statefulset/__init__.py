"""StatefulSets: pods with a name and an order. Source of the rules: `pkg/controller/statefulset`."""

from __future__ import annotations

from labctl.embedded.controllers.statefulset.controller import StatefulSetController

__all__ = ["StatefulSetController"]
