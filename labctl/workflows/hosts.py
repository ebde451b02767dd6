"""Lines for /etc/hosts, for those who want a browser to find the labs' names."""

from __future__ import annotations

from collections.abc import Iterable

from labctl.model.cluster import Cluster
from labctl.model.lab import Lab, ProbeStep


def hosts_lines(cluster: Cluster, labs: Iterable[Lab]) -> str:
    """One line per host name that the labs' probes use, with the ingress address."""
    address = cluster.ingress.http[0].address if cluster.ingress.http else "# no ingress controller answers yet:"
    names = sorted({step.host for lab in labs for step in lab.steps if isinstance(step, ProbeStep) and step.host})
    return "".join(f"{address}\t{name}\n" for name in names)
