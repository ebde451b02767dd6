"""A host's state for `labctl status`, from its facts."""

from __future__ import annotations

from labctl.k3s import layout
from labctl.k3s.facts import Facts
from labctl.model.cluster import HostState
from labctl.model.inventory import Node


def host_state(node: Node, facts: Facts) -> HostState:
    """What is worth knowing of a host that has k3s."""
    unit = layout.unit(node.role)
    seen = facts.units.get(unit)
    return HostState(
        name=node.name,
        service=f"{unit} {seen.active if seen else 'not installed'}",
        restarts=seen.restarts if seen else 0,
        free_mb=facts.number(f"free-kb:{layout.DATA}") // 1024,
        certificates_until=_first_end(facts),
        etcd=facts.value("etcd") == "yes",
    )


def _first_end(facts: Facts) -> str:
    from cryptography import x509

    ends = []
    for path in layout.CERTIFICATES:
        if path in facts.files:
            try:
                certificate = x509.load_pem_x509_certificate(facts.files[path].content.encode())
            except ValueError:
                continue
            ends.append(certificate.not_valid_after_utc)
    return min(ends).strftime("%Y-%m-%dT%H:%M:%SZ") if ends else ""
