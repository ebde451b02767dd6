"""The ingress' routing table in words, and what it would do with one request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the routing table.

    Attributes:
        host: The server's name, `_` for the default one.
        path: The location as nginx matches it.
        match: `exact`, `prefix` or `regex`.
        backend: `namespace-service-port`.
        ingress: `namespace/name` of the Ingress that wrote it; empty for the built-in default.
        canaries: Backends that take a part of it, with their rules in words.
        endpoints: How many pods are ready.
        tls: Secret of the certificate; empty for the default certificate or none.
    """

    host: str
    path: str
    match: str
    backend: str
    ingress: str
    canaries: tuple[str, ...]
    endpoints: int
    tls: str


@dataclass(frozen=True, slots=True)
class Loser:
    """A rule without effect."""

    ingress: str
    path: str
    backend: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would happen to a request.

    Attributes:
        server: The server's name.
        server_reason: By which rule it was chosen.
        location: The location's path; empty when no location is reached.
        location_reason: By which rule it was chosen.
        ingress: `namespace/name` of the Ingress that wrote it.
        losers: Rules for this host that have no effect, with the reason.
        status: Status that nginx answers itself; 0 when a pod answers.
        redirect: Where a redirect leads.
        backend: Backend of the location.
        canary: The canary that was chosen; empty for none.
        canary_reason: How that was decided; empty where there is no canary.
        balancer: Name of the algorithm.
        path_to_pod: Path and query that the pod gets.
        next_pods: Pods (or addresses) in the order in which they may come next.
    """

    server: str
    server_reason: str
    location: str = ""
    location_reason: str = ""
    ingress: str = ""
    losers: tuple[Loser, ...] = ()
    status: int = 0
    redirect: str = ""
    backend: str = ""
    canary: str = ""
    canary_reason: str = ""
    balancer: str = ""
    path_to_pod: str = ""
    next_pods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingFacts:
    """From what the table was made.

    Attributes:
        controller: The controller's image tag; empty when there is none.
        rules: The version whose rules were used.
        warnings: By Ingress (`namespace/name`), what of it was left out of account.
        unread: Kinds of objects that this user may not list.
    """

    controller: str
    rules: str
    warnings: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know before trusting the table."""
        notes = [f"computed from the cluster's objects by the rules of ingress-nginx {self.rules}; nothing was sent"]
        if not self.controller:
            notes.append("the cluster has no ingress-nginx controller that labctl can find: this is what one would do")
        elif self.controller.removeprefix("v") != self.rules:
            notes.append(f"the cluster's controller is {self.controller}: rules may differ")
        notes += [f"{kind} cannot be listed with these credentials; they were taken to be none" for kind in self.unread]
        notes += [f"Ingress {ingress}: {warning}" for ingress, warning in self.warnings]
        return tuple(notes)
