"""Endpoints and EndpointSlices of Services."""

from __future__ import annotations

from labctl.embedded.controllers.endpoints.legacy import EndpointsController
from labctl.embedded.controllers.endpoints.mirroring import EndpointSliceMirroringController
from labctl.embedded.controllers.endpoints.slices import EndpointSliceController

__all__ = ["EndpointSliceController", "EndpointSliceMirroringController", "EndpointsController"]
