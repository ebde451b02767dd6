"""Prometheus metrics, under ingress-nginx's names."""

from __future__ import annotations

import bisect
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.embedded.ingress.model import Configuration

if TYPE_CHECKING:
    from labctl.embedded.ingress.controller.identity import Identity
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plane import Statistics
    from labctl.embedded.ingress.proxy.response import ResponseWriter

_PREFIX = "nginx_ingress_controller_"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("canary", "host", "ingress", "method", "namespace", "path", "service", "status")
VERSION = {"release": "v1.11.2", "build": "46e76e5916813cfca2a9b0bfdc34b69a0000f6b9", "version": "nginx/1.25.5"}


@dataclass(slots=True)
class _Series:
    """What is counted of requests with the same labels."""

    count: int
    seconds: float
    sent: int
    received: int
    buckets: list[int]


class Metrics:
    """Counts while the controller works; text when it is asked.

    Args:
        identity: The controller's pod.
        controller_class: `--controller-class`.
        per_host: Whether series have a host label.
    """

    def __init__(self, identity: Identity, controller_class: str, *, per_host: bool = True) -> None:
        self._own = {
            "controller_class": controller_class,
            "controller_namespace": identity.namespace,
            "controller_pod": identity.pod,
        }
        self._per_host = per_host
        self._series: dict[tuple[str, ...], _Series] = {}
        self._successes = self._failures = 0
        self._good = True
        self._reloaded = 0.0
        self._checks = {"check_success": 0, "check_errors": 0}
        self._configuration: Configuration | None = None

    def observe(self, exchange: Exchange, writer: ResponseWriter) -> None:
        """A request is done."""
        plan = exchange.plan
        if plan is None:
            return
        info = plan.info
        key = (
            exchange.alternative,
            plan.server.hostname if self._per_host else "",
            info.ingress,
            exchange.method,
            info.namespace,
            info.path or "/",
            info.service,
            str(writer.status),
        )
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(0, 0.0, 0, 0, [0] * (len(_BUCKETS) + 1))
        seconds = time.monotonic() - exchange.started
        series.count += 1
        series.seconds += seconds
        series.sent += writer.sent
        series.received += exchange.head.size + len(exchange.body)
        series.buckets[bisect.bisect_left(_BUCKETS, seconds)] += 1

    def reloaded(self, configuration: Configuration) -> None:
        """A reload succeeded."""
        self._successes += 1
        self._good, self._reloaded, self._configuration = True, time.time(), configuration

    def reload_failed(self) -> None:
        """A reload failed."""
        self._failures += 1
        self._good = False

    def checked(self, *, good: bool) -> None:
        """The webhook judged an Ingress."""
        self._checks["check_success" if good else "check_errors"] += 1

    def text(self, statistics: Statistics, leader: tuple[str, bool]) -> str:
        """The exposition format.

        Args:
            statistics: nginx's own counters.
            leader: Name of the lease, and whether this controller holds it.
        """
        lines: list[str] = []
        for name, kind, help_, samples in (
            *self._of_controller(leader),
            *self._of_requests(),
            *self._of_nginx(statistics),
        ):
            lines += [f"# HELP {name} {help_}", f"# TYPE {name} {kind}", *samples]
        return "\n".join(lines) + "\n"

    def _of_controller(self, leader: tuple[str, bool]) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        own = self._own
        build = {**own, **VERSION, "repository": "https://github.com/kubernetes/ingress-nginx"}
        yield _one("build_info", "gauge", "A metric with a constant '1' labeled with the build.", build, 1)
        checksum = int(self._configuration.settings.checksum) % 2**53 if self._configuration is not None else 0
        yield _one("config_hash", "gauge", "Running configuration hash actually running", own, checksum)
        good = int(self._good)
        yield _one("config_last_reload_successful", "gauge", "Whether the last reload was successful", own, good)
        name = "config_last_reload_successful_timestamp_seconds"
        yield _one(name, "gauge", "Timestamp of the last successful configuration reload.", own, self._reloaded)
        yield _one("success", "counter", "Cumulative number of reload operations", own, self._successes)
        yield _one("errors", "counter", "Cumulative number of errors during reload", own, self._failures)
        for check, count in self._checks.items():
            yield _one(check, "counter", "Cumulative number of syntax check operations", own, count)
        labels = {**own, "name": leader[0]}
        yield _one("leader_election_status", "gauge", "0 indicates follower, 1 leader", labels, int(leader[1]))
        yield f"{_PREFIX}ssl_expire_time_seconds", "gauge", "Expiry of certificates, seconds since 1970", self._expiry()

    def _expiry(self) -> Iterator[str]:
        if self._configuration is None:
            return
        for server in self._configuration.servers.values():
            if server.certificate is not None and server.certificate.name:
                namespace, _, secret = server.certificate.name.partition("/")
                labels = {
                    "class": self._own["controller_class"],
                    "host": server.hostname,
                    "namespace": namespace,
                    "secret_name": secret,
                }
                yield f"{_PREFIX}ssl_expire_time_seconds{_braces(labels)} {server.certificate.not_after:.0f}"

    def _of_requests(self) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        labelled = [
            (_braces({**self._own, **dict(zip(_LABELS, key, strict=True))}), series)
            for key, series in self._series.items()
        ]
        name = f"{_PREFIX}requests"
        yield name, "counter", "The total number of client requests", [f"{name}{b} {s.count}" for b, s in labelled]
        name = f"{_PREFIX}bytes_sent_total"
        yield name, "counter", "Bytes of bodies sent to clients", [f"{name}{b} {s.sent}" for b, s in labelled]
        name = f"{_PREFIX}request_size_total"
        yield name, "counter", "Bytes received from clients", [f"{name}{b} {s.received}" for b, s in labelled]
        name = f"{_PREFIX}request_duration_seconds"
        samples = [line for braces, series in labelled for line in _histogram(name, braces, series)]
        yield name, "histogram", "The request processing time in seconds", samples

    def _of_nginx(self, statistics: Statistics) -> Iterator[tuple[str, str, str, Iterable[str]]]:
        name = "nginx_process_requests_total"
        labels = self._own
        count = statistics.requests
        yield f"{_PREFIX}{name}", "counter", "Client requests", [f"{_PREFIX}{name}{_braces(labels)} {count}"]
        name = f"{_PREFIX}nginx_process_connections"
        active = len(statistics.active)
        yield name, "gauge", "Client connections", [f"{name}{_braces({**labels, 'state': 'active'})} {active}"]
        name = f"{_PREFIX}nginx_process_connections_total"
        states = ("accepted", "handled")
        samples = [f"{name}{_braces({**labels, 'state': state})} {statistics.accepted}" for state in states]
        yield name, "counter", "Client connections ever", samples


def _histogram(name: str, braces: str, series: _Series) -> Iterator[str]:
    total = 0
    for bound, count in zip((*map(str, _BUCKETS), "+Inf"), series.buckets, strict=True):
        total += count
        yield f'{name}_bucket{braces[:-1]},le="{bound}"}} {total}'
    yield f"{name}_sum{braces} {series.seconds:.6f}"
    yield f"{name}_count{braces} {series.count}"


def _one(
    name: str, kind: str, text: str, labels: Mapping[str, str], value: float
) -> tuple[str, str, str, Iterable[str]]:
    return f"{_PREFIX}{name}", kind, text, [f"{_PREFIX}{name}{_braces(labels)} {value:.15g}"]


def _braces(labels: Mapping[str, str]) -> str:
    pairs = (f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
