"""Steps of a lab that change the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ApplyStep:
    """Apply manifests (paths relative to the lab's folder), in order, and wait until they are ready."""

    name: str
    manifests: tuple[str, ...]
    title: str = ""


@dataclass(frozen=True, slots=True)
class PatchStep:
    """Patch one object (JSON merge patch) and wait until the change has taken effect.

    Attributes:
        name: Name of the step.
        kind: Kind or `plural.group` of the object.
        object_name: Its name.
        namespace: Its namespace; empty is the lab's.
        patch: The merge patch.
    """

    name: str
    kind: str
    object_name: str
    patch: Mapping[str, Any]
    namespace: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class CertificateStep:
    """Make a self-signed certificate and store it as a TLS Secret, as the study does with openssl.

    Attributes:
        name: Name of the step.
        secret: Name of the Secret.
        common_name: CN of subject and issuer, and a DNS subjectAltName.
        organization: O of the subject.
        days: Validity in days from now.
        rsa_bits: Key size.
    """

    name: str
    secret: str
    common_name: str
    organization: str = ""
    days: int = 365
    rsa_bits: int = 2048
    title: str = ""


@dataclass(frozen=True, slots=True)
class DeleteStep:
    """Delete an object and wait until it is gone and what replaces it is ready.

    Attributes:
        name: Name of the step.
        kind: Kind of the object.
        object_name: Its name.
        namespace: Its namespace; empty is the lab's.
        grace: Seconds its containers get to end; None takes the object's own.
    """

    name: str
    kind: str
    object_name: str
    namespace: str = ""
    grace: int | None = None
    title: str = ""


Action = ApplyStep | PatchStep | CertificateStep | DeleteStep
"""A step that changes the cluster."""
