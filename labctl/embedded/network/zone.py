"""What the cluster's DNS knows: Services, endpoints, pods and nodes. Pure.

Sources: CoreDNS's plugin `kubernetes` (kubernetes.go, parse.go, reverse.go, and ../backend_lookup.go) and the Corefile
that k3s installs: `pods insecure`, node names from NodeHosts, everything else forwarded.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.network.dnsmessage import Rcode, Record, Reply, Type
from labctl.embedded.network.table import ServiceTable

TTL = 5
"""Seconds; the plugin's default."""
_HOSTS_TTL = 30
"""NodeHosts have 60, the cache in front of them allows 30."""
_SCHEMA_VERSION = "1.1.0"
_REVERSE = ".in-addr.arpa"
_MAX_CNAMES = 8


@dataclass(frozen=True, slots=True)
class _Found:
    """One thing that a name stands for: an address or another name, its port, and the name it is published under."""

    host: str
    name: str
    port: int = -1

    @property
    def is_address(self) -> bool:
        return _is_address(self.host)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parts of a name below the zone (CoreDNS's recordRequest)."""

    kind: str = ""
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    protocol: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class ClusterZone:
    """The zone of a cluster.

    Attributes:
        table: Services and EndpointSlices.
        nodes: Name → address of each node.
        dns_address: The DNS service's own address.
        domain: The cluster's domain.
    """

    table: ServiceTable
    nodes: Mapping[str, str]
    dns_address: str
    domain: str = "cluster.local"

    def answer(self, name: str, kind: int, serial: int) -> Reply | None:
        """The reply to a question; None when it is not the cluster's business and has to be forwarded.

        Args:
            name: Without the last dot, in the query's case.
            kind: Record type.
            serial: The zone's serial number.
        """
        lower = name.lower()
        if lower == self.domain or lower.endswith("." + self.domain):
            return self._inside(name, kind, serial)
        if lower.endswith(_REVERSE):
            return self._reverse(name, kind)
        return self._host(name, kind)

    # -- below the zone ----------------------------------------------------------------------------------------------

    def _inside(self, name: str, kind: int, serial: int) -> Reply:
        soa = self._soa(serial)
        if name.lower() == self.domain:
            records = self._apex(name, kind, soa)
            return Reply(Rcode.NOERROR, records) if records else Reply(Rcode.NOERROR, authority=(soa,))
        if name.lower() == f"dns-version.{self.domain}" and kind == Type.TXT:
            return Reply(Rcode.NOERROR, (Record(name, Type.TXT, 28800, _SCHEMA_VERSION),))
        found = self._find(name)
        if found is None:
            return Reply(Rcode.NXDOMAIN, authority=(soa,))
        answers, extra = self._srv(name, found) if kind == Type.SRV else (self._records(name, kind, found), ())
        if not answers:
            return Reply(Rcode.NOERROR, authority=(soa,))
        return Reply(Rcode.NOERROR, answers, extra=extra)

    def _soa(self, serial: int) -> Record:
        data = f"ns.dns.{self.domain} hostmaster.{self.domain} {serial} 7200 1800 86400 {TTL}"
        return Record(self.domain, Type.SOA, TTL, data)

    def _apex(self, name: str, kind: int, soa: Record) -> tuple[Record, ...]:
        if kind == Type.SOA:
            return (soa,)
        return (Record(name, Type.NS, TTL, f"ns.dns.{self.domain}"),) if kind == Type.NS else ()

    def _find(self, name: str) -> list[_Found] | None:
        """What a name stands for: nothing yet ([]: NODATA), or nothing at all (None: NXDOMAIN)."""
        if name.lower() == f"ns.dns.{self.domain}":
            return [_Found(self.dns_address, name)]
        asked = _parse(name[: -len(self.domain) - 1].lower())
        if asked is None:
            return None
        if not asked.kind:
            return []
        if asked.namespace not in self.table.namespaces:
            return None
        if not asked.service:
            return []
        return self._pod(name, asked) if asked.kind == "pod" else self._service(asked)

    def _pod(self, name: str, asked: _Asked) -> list[_Found] | None:
        """`pods insecure`: any address is taken for a pod's, whether there is such a pod or not."""
        address = asked.service.replace("-", "." if asked.service.count("-") == 3 else ":")
        return [_Found(address, name)] if _is_address(address) else None

    def _service(self, asked: _Asked) -> list[_Found] | None:
        service = self.table.services.get(f"{asked.namespace}/{asked.service}")
        if service is None:
            return None
        spec = service.get("spec", {})
        base = f"{asked.service}.{asked.namespace}.svc.{self.domain}"
        if spec.get("type") == "ExternalName":
            found = self._external(spec, asked, base)
        elif spec.get("clusterIP") == "None" or asked.endpoint:
            found = list(self._endpoints(asked, base))
        else:
            addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
            ports = [port for port in _service_ports(spec) if _fits(asked, port)]
            found = [_Found(address, base, port["port"]) for port in ports for address in addresses if address]
        return found or None

    def _external(self, spec: Mapping[str, Any], asked: _Asked, base: str) -> list[_Found]:
        target = str(spec.get("externalName", "")).rstrip(".")
        if asked.endpoint or asked.port or asked.protocol or _is_address(target) or not target:
            return []
        return [_Found(target, base)]

    def _endpoints(self, asked: _Asked, base: str) -> Iterator[_Found]:
        for entry in self.table.slices_of(f"{asked.namespace}/{asked.service}"):
            ports = [port for port in entry.get("ports") or [{"port": -1}] if _fits(asked, port)]
            for item in entry.get("endpoints") or ():
                if (item.get("conditions") or {}).get("ready") is False:
                    continue
                for address in item["addresses"]:
                    hostname = item.get("hostname") or address.replace(".", "-").replace(":", "-")
                    if asked.endpoint in ("", hostname.lower()):
                        yield from (_Found(address, f"{hostname}.{base}", port.get("port") or -1) for port in ports)

    # -- records -----------------------------------------------------------------------------------------------------

    def _records(self, name: str, kind: int, found: list[_Found], depth: int = 0) -> tuple[Record, ...]:
        """A, AAAA and CNAME records of what was found; the zone's own names are followed."""
        records: dict[Record, None] = {}
        for item in found:
            if item.is_address:
                own = Type.AAAA if ":" in item.host else Type.A
                if kind == own:
                    records[Record(name, own, TTL, item.host)] = None
            elif kind in (Type.A, Type.AAAA, Type.CNAME) and item.host.lower() != name.lower():
                records.update(dict.fromkeys(self._cname(name, kind, item.host, depth)))
        return tuple(records)

    def _cname(self, name: str, kind: int, target: str, depth: int) -> tuple[Record, ...]:
        record = Record(name, Type.CNAME, TTL, target)
        if kind == Type.CNAME or not target.lower().endswith("." + self.domain):
            return (record,)
        found = self._find(target) if depth < _MAX_CNAMES else None
        rest = self._records(target, kind, found, depth + 1) if found else ()
        return (record, *rest) if rest else ()

    def _srv(self, name: str, found: list[_Found]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        weight = 100 // len(found) if found else 0
        records: dict[Record, None] = {}
        extra: dict[Record, None] = {}
        for item in found:
            if item.port != -1 and item.is_address:
                records[Record(name, Type.SRV, TTL, f"0 {max(weight, 1)} {item.port} {item.name}")] = None
                kind = Type.AAAA if ":" in item.host else Type.A
                extra[Record(item.name, kind, TTL, item.host)] = None
        return tuple(records), tuple(extra)

    # -- other names -------------------------------------------------------------------------------------------------

    def _reverse(self, name: str, kind: int) -> Reply | None:
        address = ".".join(reversed(name[: -len(_REVERSE)].split(".")))
        targets = list(self._names_of(address)) if _is_address(address) else []
        if targets and kind == Type.PTR:
            return Reply(Rcode.NOERROR, tuple(Record(name, Type.PTR, TTL, target) for target in targets))
        nodes = [node for node, own in self.nodes.items() if own == address]
        if nodes and kind == Type.PTR:
            return Reply(Rcode.NOERROR, tuple(Record(name, Type.PTR, _HOSTS_TTL, node) for node in nodes))
        return None

    def _names_of(self, address: str) -> Iterator[str]:
        """The Service with that ClusterIP, else the endpoints with that address that have a hostname."""
        for key, service in self.table.services.items():
            if service.get("spec", {}).get("clusterIP") == address:
                yield f"{_dotted(key)}.svc.{self.domain}"
                return
        for key, slices in self.table.slices.items():
            for entry in slices.values():
                yield from (f"{host}.{_dotted(key)}.svc.{self.domain}" for host in _hostnames(entry, address))

    def _host(self, name: str, kind: int) -> Reply | None:
        address = self.nodes.get(name.lower())
        if address is None:
            return None
        return Reply(Rcode.NOERROR, (Record(name, Type.A, _HOSTS_TTL, address),) if kind == Type.A else ())


def _parse(below: str) -> _Asked | None:
    """The parts of a name below the zone; None when no such name can be."""
    if below in ("svc", "pod"):
        return _Asked()
    *labels, kind = below.split(".")
    if kind not in ("svc", "pod") or len(labels) > 4:
        return None
    namespace, service, below_service, port = (*reversed(labels), *[""] * (4 - len(labels)))
    if not port:
        return _Asked(kind, namespace, service, endpoint=below_service)
    return _Asked(kind, namespace, service, protocol=below_service.removeprefix("_"), port=port.removeprefix("_"))


def _service_ports(spec: Mapping[str, Any]) -> list[Obj]:
    return list(spec.get("ports") or [{"port": -1}])


def _fits(asked: _Asked, port: Mapping[str, Any]) -> bool:
    """Whether a port has the name and protocol that were asked for, if any were."""
    name, protocol = (port.get("name") or "").lower(), port.get("protocol", "TCP").lower()
    return asked.port in ("", name) and asked.protocol in ("", protocol)


def _hostnames(entry: Obj, address: str) -> Iterator[str]:
    for item in entry.get("endpoints") or ():
        ready = (item.get("conditions") or {}).get("ready") is not False
        if ready and address in item["addresses"] and item.get("hostname"):
            yield item["hostname"]


def _dotted(key: str) -> str:
    namespace, _, name = key.partition("/")
    return f"{name}.{namespace}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
