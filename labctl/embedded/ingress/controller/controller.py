"""The controller: watches objects, compiles them, and gives the result to the data plane."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from labctl.embedded.clientset import Change, Clientset, Obj
from labctl.embedded.cni import PodNetwork
from labctl.embedded.ingress.compiler.compiler import Changes, Compiler
from labctl.embedded.ingress.compiler.parsed import ParsedIngress
from labctl.embedded.ingress.controller.accesslog import AccessLog
from labctl.embedded.ingress.controller.equality import needs_reload, same_backends, same_certificates
from labctl.embedded.ingress.controller.flags import Flags
from labctl.embedded.ingress.controller.identity import Identity
from labctl.embedded.ingress.controller.journal import Journal
from labctl.embedded.ingress.controller.leader import LeaderElection
from labctl.embedded.ingress.controller.metrics import Metrics
from labctl.embedded.ingress.controller.status import StatusWriter
from labctl.embedded.ingress.controller.store import ObjectStore
from labctl.embedded.ingress.log import LogLine, quote, structured
from labctl.embedded.ingress.model import Certificate, Configuration
from labctl.embedded.ingress.nginx.tester import ConfigurationTester
from labctl.embedded.ingress.proxy.passthrough import Dial, PassthroughTable, dial_directly
from labctl.embedded.ingress.proxy.plane import Address, DataPlane, Ports, same_address

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.response import ResponseWriter

_SHORTEST_INTERVAL = 0.005
_LONGEST_INTERVAL = 0.05
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0
ConfigurationTest = Callable[[Configuration], str]
"""What `nginx -t` says against a configuration; empty when it is good."""


class Controller:
    """One ingress-nginx controller.

    Args:
        flags: Its flags.
        identity: Its pod.
        clientset: The API.
        network: Where embedded pods are.
        fake: The certificate for hosts without one.
        output: Gets the log, line by line.
        test: Tests a configuration before it is loaded; None takes nginx's rules.
        address: Translates endpoints before they are dialled.
        dial: Opens connections to Services, for TLS passthrough.
        seed: For random numbers of the data plane.

    Attributes:
        plane: Serves clients.
        store: Its view of the cluster.
        reloads: How often the configuration was reloaded.
    """

    def __init__(
        self,
        flags: Flags,
        identity: Identity,
        clientset: Clientset,
        network: PodNetwork,
        fake: Certificate,
        *,
        output: Callable[[str], None],
        test: ConfigurationTest | None = None,
        address: Address = same_address,
        dial: Dial = dial_directly,
        seed: int | None = None,
    ) -> None:
        self.flags = flags
        self.identity = identity
        self.journal = Journal(output, clientset, flags.v)
        self.reloads = 0
        self._clientset = clientset
        self._output = output
        self._dial = dial
        self.test: ConfigurationTest = test or ConfigurationTester().test
        self._pod: Obj = _pod_reference(identity)
        self.store = ObjectStore(flags, fake, log=self.journal.log, notify=self._notify, changed=self._changed)
        self.compiler = Compiler(flags.default_backend_service)
        self._trials = Compiler(flags.default_backend_service)
        self._untried = Changes()
        self.metrics = Metrics(identity, flags.controller_class)
        self._running: Configuration | None = None
        self._loaded: Configuration | None = None
        self._access_log = AccessLog(self.store.settings, output)
        self._status = StatusWriter(clientset, flags, identity, self.journal.log)
        self._election = LeaderElection(clientset, identity, flags.election_id, self.journal.log, self._write_status)
        self._unsubscribe: Callable[[], None] | None = None
        self._timer: asyncio.Handle | None = None
        self._status_timer: asyncio.TimerHandle | None = None
        self._last_sync = self._last_cost = 0.0
        self._retry = _FIRST_RETRY
        self._told: dict[str, tuple[str, ...]] = {}
        self._started = False
        self.plane = DataPlane(
            self.compiler.compile({}, self.store),
            network,
            pod_ip=identity.ip,
            ports=Ports(flags.http_port, flags.https_port),
            observe=self._observe,
            address=address,
            seed=seed,
            health_path=flags.health_check_path,
        )

    @property
    def configuration(self) -> Configuration | None:
        """What is being served; None before the first sync."""
        return self._running

    @property
    def loaded(self) -> Configuration | None:
        """What the last reload loaded: what nginx.conf says."""
        return self._loaded

    @property
    def idle(self) -> bool:
        """Whether no sync is due."""
        return self._timer is None

    @property
    def leadership(self) -> tuple[str, bool]:
        """Name of the lease, and whether this controller holds it."""
        return self.flags.election_id, self._election.leading

    # Life

    def start(self) -> None:
        """Read what there is, configure the data plane, and follow all changes."""
        log = self.journal.log
        log(LogLine("I", "nginx.go:271", '"Starting NGINX Ingress controller"'))
        self._unsubscribe = self._clientset.subscribe(self._handle)
        self.store.load(self._clientset)
        log(LogLine("I", "nginx.go:317", '"Starting NGINX process"'))
        if not self.flags.disable_leader_election:
            self._election.start()
        self._started = True
        if self._timer is not None:
            self._timer.cancel()
        self._sync()

    def stop(self) -> None:
        """Stop following changes, take the addresses back, and close all connections."""
        self.journal.log(LogLine("I", "nginx.go:393", '"Shutting down controller queues"'))
        if self._unsubscribe is not None:
            self._unsubscribe()
        for timer in (self._timer, self._status_timer):
            if timer is not None:
                timer.cancel()
        if self.flags.update_status and self._election.leading:
            self._status.clear(self.store.accepted())
        self._election.stop()
        self.journal.flush()
        self.journal.log(LogLine("I", "nginx.go:409", '"Stopping NGINX process"'))
        self.plane.close()
        self.journal.log(LogLine("I", "nginx.go:422", '"NGINX process has stopped"'))

    # Changes

    def _handle(self, change: Change) -> None:
        self.store.handle(change)

    def _notify(self, about: Obj, reason: str, message: str) -> None:
        if not self.flags.disable_sync_events:
            self.journal.event(about, reason, message)

    def _changed(self) -> None:
        """Sync soon: at once after a quiet time, else when the last one has paid off."""
        if self._timer is not None or not self._started:
            return
        loop = asyncio.get_running_loop()
        interval = min(max(_SHORTEST_INTERVAL, self._last_cost), _LONGEST_INTERVAL)
        wait = self._last_sync + interval - time.monotonic()
        self._timer = loop.call_later(wait, self._sync) if wait > 0 else loop.call_soon(self._sync)

    def _sync(self) -> None:
        self._timer = None
        began = time.monotonic()
        lines: list[LogLine] = []
        configuration = self.compiler.compile(self.store.ingresses, self.store, self._take_changes(), lines)
        self.journal.log_all(lines)
        error = self._apply(configuration)
        if error:
            self._try_again(error)
        else:
            self._retry = _FIRST_RETRY
        self._tell_warnings()
        if self._election.leading:
            self._write_status()
        self._last_sync = time.monotonic()
        self._last_cost = self._last_sync - began

    def _take_changes(self) -> Changes:
        changes = self.store.take_changes()
        self._untried = self._untried.and_then(changes)
        return changes

    def trial(self, key: str, ingress: ParsedIngress, log: list[LogLine]) -> Configuration:
        """What the configuration would be with an Ingress that the API has not taken yet."""
        self._untried = self._untried.and_then(self.store.peek_changes())
        changes, self._untried = self._untried, Changes(everything=False)
        return self._trials.compile({**self.store.ingresses, key: ingress}, self.store, changes, log)

    def _apply(self, new: Configuration) -> str:
        """Take a configuration over, with a reload where it takes one; returns why it cannot be."""
        old = self._running
        reload = old is None or needs_reload(old, new)
        if old is not None and not reload:
            if same_backends(old.backends, new.backends) and same_certificates(old, new):
                message = "No configuration change detected, skipping backend reload"
                self.journal.log(LogLine("I", "controller.go:186", message, 3))
                return ""
            self.plane.configure(new)
            self._running = new
            self.journal.log(LogLine("I", "controller.go:246", "Dynamic reconfiguration succeeded.", 2))
            return ""
        message = '"Configuration changes detected, backend reload required"'
        self.journal.log(LogLine("I", "controller.go:193", message))
        error = self.test(new)
        if error:
            return error
        self.plane.reload(new)
        if self.flags.enable_ssl_passthrough:
            self.plane.passthrough = PassthroughTable(self._dial, self._passthrough_targets(new))
        self._loaded = new
        self.reloads += 1
        self.metrics.reloaded(new)
        self._access_log = AccessLog(new.settings, self._output)
        self.journal.log(LogLine("I", "controller.go:213", '"Backend successfully reloaded"'))
        if old is None:
            self.journal.log(LogLine("I", "controller.go:224", '"Initial sync, sleeping for 1 second"'))
        self._running = new
        self.journal.event(self._pod, "RELOAD", "NGINX reload triggered due to a change in configuration")
        return ""

    def _passthrough_targets(self, configuration: Configuration) -> dict[str, tuple[str, int]]:
        targets: dict[str, tuple[str, int]] = {}
        for entry in configuration.passthrough:
            service = self.store.service(entry.service)
            if service is None:
                message = f"Missing Service for SSL Passthrough backend {quote(entry.backend)}"
                self.journal.log(LogLine("W", "nginx.go:463", message))
                continue
            spec = service["spec"]
            named = {port.get("name", ""): port["port"] for port in spec.get("ports") or ()}
            port = int(entry.port) if entry.port.isdigit() else named.get(entry.port, 0)
            targets[entry.hostname] = (spec.get("clusterIP", ""), port)
        return targets

    def _try_again(self, error: str) -> None:
        self.metrics.reload_failed()
        self.journal.log(LogLine("E", "controller.go:208", f"Unexpected failure reloading the backend:\n{error}"))
        self.journal.event(self._pod, "RELOAD", f"Error reloading NGINX: {error}", "Warning")
        self.journal.log(LogLine("E", "queue.go:131", structured("requeuing", err=error, key="sync")))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._retry, self._sync)
            self._retry = min(2 * self._retry, _LONGEST_RETRY)

    def _tell_warnings(self) -> None:
        """Say once, in the log and as an event, what of an Ingress or of the ConfigMap has no effect here."""
        for message in self.store.settings.warnings:
            if message not in self._told.get("", ()):
                self.journal.log(LogLine("W", "labctl", message))
                if self.store.own_config_map is not None:
                    self.journal.event(self.store.own_config_map, "NotImplemented", message, "Warning")
        self._told[""] = self.store.settings.warnings
        for ingress in self.store.accepted():
            key = f"{ingress['metadata'].get('namespace', '')}/{ingress['metadata']['name']}"
            warnings = self.store.warnings.get(key, ())
            if warnings and warnings != self._told.get(key):
                for message in warnings:
                    self.journal.log(LogLine("W", "labctl", f"Ingress {quote(key)}: {message}"))
                    self.journal.event(ingress, "NotImplemented", message, "Warning")
                self._told[key] = warnings

    # Status

    def _write_status(self) -> None:
        if self._status_timer is not None:
            self._status_timer.cancel()
            self._status_timer = None
        if not self.flags.update_status:
            return
        loop = asyncio.get_running_loop()
        self._status_timer = loop.call_later(self.flags.status_update_interval, self._write_status)
        self._status.write(self.store.accepted())

    # Requests

    def _observe(self, exchange: Exchange, writer: ResponseWriter) -> None:
        self._access_log.record(exchange, writer)
        self.metrics.observe(exchange, writer)


def _pod_reference(identity: Identity) -> Obj:
    metadata: Mapping[str, str] = {"namespace": identity.namespace, "name": identity.pod, "uid": identity.uid}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": dict(metadata)}
