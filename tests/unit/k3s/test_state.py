from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from labctl.k3s import layout
from labctl.k3s.facts import FileFact
from labctl.k3s.state import host_state
from labctl.lab.certificate import make_certificate
from labctl.model.actions import CertificateStep
from tests.unit.k3s.world import SERVER, UP, WORKERS, done, empty, inventory


def test_a_host_tells_its_service_room_and_when_its_certificates_end() -> None:
    facts = done(inventory(), SERVER)
    values = {**facts.values, f"free-kb:{layout.DATA}": "10485760", "etcd": "yes"}
    state = host_state(SERVER, replace(facts, values=values, units={"k3s": replace(UP, restarts=2)}))
    assert (state.service, state.restarts, state.free_mb, state.etcd) == ("k3s active", 2, 10240, True)


def test_the_certificate_that_ends_first_counts() -> None:
    step = CertificateStep("n", "s", "gyull.com", days=10)
    pems = [make_certificate(replace(step, days=days), datetime(2026, 1, 1, tzinfo=UTC)) for days in (20, 10)]
    files = {
        path: FileFact(pem.certificate.decode(), 0o644) for path, pem in zip(layout.CERTIFICATES, pems, strict=True)
    }
    assert host_state(SERVER, empty(SERVER, files=files)).certificates_until.startswith("2026-01-11T")


def test_a_host_without_k3s() -> None:
    assert host_state(WORKERS[0], replace(empty(WORKERS[0]), units={})).service == "k3s-agent not installed"


def test_what_is_no_certificate_is_passed_over() -> None:
    broken = {layout.CERTIFICATES[0]: FileFact("-----BEGIN CERTIFICATE-----", 0o644)}
    assert host_state(SERVER, empty(SERVER, files=broken)).certificates_until == ""
