"""The controllers of the embedded cluster: pure functions from observed objects to wanted changes, and their runner."""

from __future__ import annotations

from labctl.embedded.controllers.recorder import EventRecorder
from labctl.embedded.controllers.runner import ControllerManager
from labctl.embedded.controllers.settings import ControllerSettings
from labctl.embedded.controllers.wanted import Note

__all__ = ["ControllerManager", "ControllerSettings", "EventRecorder", "Note"]
