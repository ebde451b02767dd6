"""Server-side apply."""

from __future__ import annotations

from labctl.embedded.api.bodies import Checks
from labctl.embedded.api.call import Call
from labctl.embedded.api.errors import unsupported_media_type
from labctl.embedded.api.options import ChangeOptions
from labctl.embedded.api.registry import Registry
from labctl.embedded.clientset import Obj


class Applier:
    def __init__(self, registry: Registry, checks: Checks) -> None:
        self._registry = registry

    def apply(self, call: Call, options: ChangeOptions) -> tuple[Obj, bool]:
        raise unsupported_media_type()
