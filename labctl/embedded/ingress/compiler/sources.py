"""What the compiler asks of the objects besides Ingresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from labctl.embedded.clientset import Obj
from labctl.embedded.ingress.model import Certificate
from labctl.embedded.ingress.settings import Settings


class Sources(Protocol):
    """Services, endpoints and certificates, as they are at this moment."""

    @property
    def settings(self) -> Settings:
        """The global configuration."""

    def service(self, key: str) -> Obj | None:
        """The Service of that `namespace/name`."""

    def slices(self, key: str) -> Sequence[Obj]:
        """EndpointSlices of that Service, by name."""

    def certificate(self, key: str) -> Certificate | None:
        """Key pair of the Secret of that `namespace/name`; None when there is no good one."""

    def default_certificate(self) -> Certificate:
        """The one of `--default-ssl-certificate`, else the fake certificate."""

    def config_map(self, key: str) -> Obj | None:
        """The ConfigMap of that `namespace/name`."""
