"""The scheduler: which node a pod runs on. Source of the rules and texts: `pkg/scheduler`, default profile."""

from __future__ import annotations

from labctl.embedded.controllers.scheduler.controller import Scheduler

__all__ = ["Scheduler"]
