"""What the controller counts, under ingress-nginx's names."""

from __future__ import annotations

import bisect
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.embedded.ingress.controller.exposition import Family, Labels, Sample, exposition, histogram
from labctl.embedded.ingress.model import Certificate, Configuration

if TYPE_CHECKING:
    from labctl.embedded.ingress.controller.identity import Identity
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plane import Statistics
    from labctl.embedded.ingress.proxy.response import ResponseWriter

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LENGTHS = tuple(float(number) for number in range(10, 101, 10))
_SIZES = tuple(float(10**power) for power in range(1, 8))
_LABELS = ("canary", "host", "ingress", "method", "namespace", "path", "service", "status")
RELEASE, BUILD = "v1.11.2", "d3bb2b4f8"
REPOSITORY = "https://github.com/kubernetes/ingress-nginx"


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    counts: list[int]
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value


class _Series:
    """Requests with the same labels."""

    __slots__ = ("bytes_sent", "count", "request", "request_size", "response", "response_size")

    def __init__(self) -> None:
        self.count = 0
        self.request = _Histogram(_SECONDS, [0] * (len(_SECONDS) + 1))
        self.response = _Histogram(_SECONDS, [0] * (len(_SECONDS) + 1))
        self.request_size = _Histogram(_LENGTHS, [0] * (len(_LENGTHS) + 1))
        self.response_size = _Histogram(_LENGTHS, [0] * (len(_LENGTHS) + 1))
        self.bytes_sent = _Histogram(_SIZES, [0] * (len(_SIZES) + 1))


class Metrics:
    """Counts while the controller works.

    Args:
        identity: The controller's pod.
        controller_class: `--controller-class`.
    """

    def __init__(self, identity: Identity, controller_class: str) -> None:
        self._class = controller_class
        self._own = {
            "controller_class": controller_class,
            "controller_namespace": identity.namespace,
            "controller_pod": identity.pod,
        }
        self._series: dict[tuple[str, ...], _Series] = {}
        self._successes = self._failures = self._allowed = self._refused = 0
        self._good = True
        self._reloaded = 0.0
        self._started = time.time()
        self._configuration: Configuration | None = None

    # Events

    def observe(self, exchange: Exchange, writer: ResponseWriter) -> None:
        """A request is done."""
        plan = exchange.plan
        if plan is None:
            return
        info = plan.info
        key = (
            exchange.alternative,
            plan.server.hostname,
            info.ingress,
            exchange.method,
            info.namespace,
            info.path or "/",
            info.service,
            str(writer.status),
        )
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.count += 1
        series.request.add(time.monotonic() - exchange.started)
        if exchange.upstream_seconds:
            series.response.add(exchange.upstream_seconds[-1])
        series.request_size.add(exchange.head.size + len(exchange.body))
        series.response_size.add(writer.bytes_sent)
        series.bytes_sent.add(writer.bytes_sent)

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
        if good:
            self._allowed += 1
        else:
            self._refused += 1

    # Text

    def text(self, statistics: Statistics, leader: tuple[str, bool]) -> str:
        """The exposition.

        Args:
            statistics: nginx's own counters.
            leader: Name of the lease, and whether this controller holds it.
        """
        return exposition([*self._of_controller(leader), *self._of_requests(), *self._of_nginx(statistics)])

    def _of_controller(self, leader: tuple[str, bool]) -> Iterator[Family]:
        build = {**self._own, "build": BUILD, "release": RELEASE, "repository": REPOSITORY}
        yield _one("build_info", "gauge", "Information about the build", build, 1)
        checksum = int(self._configuration.settings.checksum) if self._configuration is not None else 0
        own, name = self._own, "config_last_reload_successful"
        yield _one("config_hash", "gauge", "Running configuration hash", own, float(checksum))
        yield _one(name, "gauge", "Whether the last reload was successful", own, int(self._good))
        yield _one(f"{name}_timestamp_seconds", "gauge", "Time of the last successful reload", own, self._reloaded)
        yield _one("success", "counter", "Reloads", own, self._successes)
        if self._failures:
            yield _one("errors", "counter", "Failed reloads", own, self._failures)
        if self._allowed:
            yield _one("check_success", "counter", "Ingresses that the webhook allowed", own, self._allowed)
        if self._refused:
            yield _one("check_errors", "counter", "Ingresses that the webhook refused", own, self._refused)
        for name in ("config_size", "render_duration", "render_ingresses", "roundtrip_duration"):
            yield _one(f"admission_{name}", "gauge", "Last judgement of the webhook", own, 0)
        for name in ("tested_duration", "tested_ingresses"):
            yield _one(f"admission_{name}", "gauge", "Last judgement of the webhook", own, 0)
        labels = {**own, "name": leader[0]}
        yield _one("leader_election_status", "gauge", "0 indicates follower, 1 leader", labels, int(leader[1]))
        yield Family("orphan_ingress", "gauge", "1 indicates an orphaned Ingress", list(self._orphans()))
        expiry, facts = list(self._certificates()), "Certificates that servers show"
        yield Family("ssl_expire_time_seconds", "gauge", "End of validity", [entry[0] for entry in expiry])
        yield Family("ssl_certificate_info", "gauge", facts, [entry[1] for entry in expiry])

    def _orphans(self) -> Iterator[Sample]:
        if self._configuration is None:
            return
        seen: set[tuple[str, str]] = set()
        for server in self._configuration.servers.values():
            for location in server.locations:
                if location.ingress is None or (location.ingress.name, location.ingress.namespace) in seen:
                    continue
                seen.add((location.ingress.name, location.ingress.namespace))
                backend = self._configuration.backends.get(location.backend)
                labels = {**self._own, "ingress": location.ingress.name, "namespace": location.ingress.namespace}
                yield "", {**labels, "type": "no-endpoint"}, int(backend is None or not backend.endpoints)
                yield "", {**labels, "type": "no-service"}, int(not location.service)

    def _certificates(self) -> Iterator[tuple[Sample, Sample]]:
        if self._configuration is None:
            return
        for server in self._configuration.servers.values():
            if server.certificate is not None:
                labels, facts = self._certificate_labels(server.hostname, server.certificate)
                yield ("", labels, server.certificate.not_after), ("", facts, 1)

    def _certificate_labels(self, host: str, certificate: Certificate) -> tuple[Labels, Labels]:
        namespace, _, name = certificate.name.partition("/")
        common = {
            "class": self._class,
            "host": host,
            "identifier": f"-{certificate.serial_number}",
            "secret_name": name,
        }
        facts = {
            "issuer_common_name": certificate.issuer_common_name,
            "issuer_organization": certificate.issuer_organization,
            "namespace": namespace,
            "public_key_algorithm": "RSA",
            "serial_number": certificate.serial_number,
        }
        return {**common, "namespace": namespace or self._own["controller_namespace"]}, {**common, **facts}

    def _of_requests(self) -> Iterator[Family]:
        labelled = [
            ({**self._own, **dict(zip(_LABELS, key, strict=True))}, series) for key, series in self._series.items()
        ]
        yield Family("requests", "counter", "Client requests", [("", labels, s.count) for labels, s in labelled])
        histograms = (
            ("request_duration_seconds", "request", "Time of requests"),
            ("response_duration_seconds", "response", "Time until the pod's response was there"),
            ("header_duration_seconds", "response", "Time until the head of the pod's response was there"),
            ("request_size", "request_size", "Bytes of requests"),
            ("response_size", "response_size", "Bytes of responses"),
            ("bytes_sent", "bytes_sent", "Bytes of responses"),
        )
        for name, attribute, text in histograms:
            samples = [sample for labels, series in labelled for sample in _samples(labels, getattr(series, attribute))]
            yield Family(name, "histogram", text, samples)
        connected = [sample for labels, series in labelled for sample in _connected(labels, series)]
        yield Family("connect_duration_seconds", "histogram", "Time of connecting to pods", connected)
        yield Family("ingress_upstream_latency_seconds", "summary", "Latency of pods", self._latencies())

    def _latencies(self) -> list[Sample]:
        totals: dict[tuple[str, ...], tuple[int, float]] = {}
        for key, series in self._series.items():
            short = (key[0], key[2], key[4], key[6])
            count, total = totals.get(short, (0, 0.0))
            totals[short] = (count + series.count, total + series.response.total)
        samples: list[Sample] = []
        for names, (count, total) in totals.items():
            labels = {**self._own, **dict(zip(("canary", "ingress", "namespace", "service"), names, strict=True))}
            mean = round(total / count, 3)
            samples += [("", {**labels, "quantile": quantile}, mean) for quantile in ("0.5", "0.9", "0.99")]
            samples += [("_sum", labels, total), ("_count", labels, count)]
        return samples

    def _of_nginx(self, statistics: Statistics) -> Iterator[Family]:
        own, usage = self._own, resource.getrusage(resource.RUSAGE_SELF)
        active, prefix = len(statistics.active), "nginx_process"
        states = (("active", active), ("reading", 0), ("waiting", max(0, active - 1)), ("writing", min(1, active)))
        connections = [("", {**own, "state": state}, float(count)) for state, count in states]
        yield Family(f"{prefix}_connections", "gauge", "Client connections", connections)
        total = [("", {**own, "state": state}, float(statistics.accepted)) for state in ("accepted", "handled")]
        yield Family(f"{prefix}_connections_total", "counter", "Client connections ever", total)
        yield _one(f"{prefix}_requests_total", "counter", "Client requests", own, statistics.requests)
        yield _one(f"{prefix}_cpu_seconds_total", "counter", "Processor time", own, usage.ru_utime + usage.ru_stime)
        yield _one(f"{prefix}_num_procs", "gauge", "Processes", own, 1)
        yield _one(f"{prefix}_oldest_start_time_seconds", "gauge", "Start", own, self._started)
        memory = float(usage.ru_maxrss * 1024)
        yield _one(f"{prefix}_resident_memory_bytes", "gauge", "Memory", own, memory)
        yield _one(f"{prefix}_virtual_memory_bytes", "gauge", "Memory", own, memory)
        yield _one(f"{prefix}_read_bytes_total", "counter", "Blocks read", own, usage.ru_inblock * 512)
        yield _one(f"{prefix}_write_bytes_total", "counter", "Blocks written", own, usage.ru_oublock * 512)


def _samples(labels: Labels, values: _Histogram) -> Sequence[Sample]:
    return list(histogram(labels, values.bounds, values.counts, values.total)) if any(values.counts) else []


def _connected(labels: Labels, series: _Series) -> Sequence[Sample]:
    """Connecting is not timed by itself: it takes less than the shortest bucket on one machine."""
    count = sum(series.response.counts)
    return list(histogram(labels, _SECONDS, [count, *[0] * len(_SECONDS)], 0.0)) if count else []


def _one(name: str, kind: str, text: str, labels: Labels, value: float) -> Family:
    return Family(name, kind, text, [("", labels, value)])
