"""Deployments: rollouts, roll-backs and scaling by ReplicaSets. Source of the rules: `pkg/controller/deployment`."""

from __future__ import annotations

from labctl.embedded.controllers.deployment.controller import DeploymentController

__all__ = ["DeploymentController"]
