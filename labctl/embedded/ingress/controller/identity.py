"""Who this controller is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """The controller's pod.

    Attributes:
        namespace: Its namespace.
        pod: Its name.
        uid: Its uid.
        ip: Its address: what other pods see as their client.
        labels: Its labels.
        node: Its node's name.
    """

    namespace: str
    pod: str
    uid: str = ""
    ip: str = "127.0.0.1"
    labels: Mapping[str, str] = field(default_factory=dict)
    node: str = ""
