from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from labctl.model.probe import Connection, ProbePlan, ProbeResult, Request, Resolve, Tls
from labctl.probe.engine import run
from tests.unit.probe.servers import Handler, answer, keeping, serve


@dataclass(frozen=True)
class Identity:
    """A self-signed certificate for gyull.com, and a server that shows it."""

    ca_file: Path
    context: ssl.SSLContext
    names: list[str | None]

    def secured(self, handler: Handler) -> Handler:
        def handle(connection: socket.socket) -> None:
            with self.context.wrap_socket(connection, server_side=True) as wrapped:
                handler(wrapped)

        return handle


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gyull.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("gyull.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    ca_file, pair = folder / "ca.pem", folder / "pair.pem"
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.write_bytes(private + ca_file.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    names: list[str | None] = []

    def on_name(_: ssl.SSLObject, server_name: str | None, __: ssl.SSLContext) -> None:
        names.append(server_name)

    context.sni_callback = on_name
    return Identity(ca_file, context, names)


def probe(identity: Identity, tls: Tls, host: str = "gyull.com", **changes: object) -> ProbeResult:
    with serve(identity.secured(keeping(lambda _: answer(b"Hostname: a-1\n")))) as port:
        plan = ProbePlan(
            "x",
            Request(f"https://{host}:{port}/"),
            resolve=(Resolve(host, port, "127.0.0.1"),),
            tls=tls,
            timeout=5.0,
            **{"count": 1, **changes},  # type: ignore[arg-type]  # each test names the fields it is about
        )
        return run(plan)


def error_of(result: ProbeResult) -> str:
    error = result.samples[0].error
    return error.name if error else ""


def test_the_given_ca_is_trusted_and_the_name_is_sent(identity: Identity) -> None:
    result = probe(identity, Tls(ca_file=identity.ca_file), count=6, concurrency=3)
    assert [(sample.status, sample.pod) for sample in result.samples] == [(200, "a-1")] * 6
    assert identity.names[-1] == "gyull.com"


def test_the_system_s_cas_do_not_know_the_certificate(identity: Identity) -> None:
    assert error_of(probe(identity, Tls())) == "CURLE_PEER_FAILED_VERIFICATION"


def test_another_name_is_refused_although_the_ca_is_trusted(identity: Identity) -> None:
    result = probe(identity, Tls(ca_file=identity.ca_file), host="other.example")
    assert error_of(result) == "CURLE_PEER_FAILED_VERIFICATION"


def test_unverified_is_as_curl_k(identity: Identity) -> None:
    result = probe(identity, Tls(verify=False), host="other.example")
    assert [sample.status for sample in result.samples] == [200]


def test_kept_connections_need_one_handshake_each(identity: Identity) -> None:
    before = len(identity.names)
    probe(identity, Tls(verify=False), count=30, concurrency=2, connection=Connection.KEEP_ALIVE)
    assert 1 <= len(identity.names) - before <= 2


def test_a_ca_file_that_is_not_there_is_an_error_of_its_own(identity: Identity, tmp_path: Path) -> None:
    assert error_of(probe(identity, Tls(ca_file=tmp_path / "none.pem"))) == "CURLE_SSL_CACERT_BADFILE"


def test_tls_to_a_port_that_speaks_plain_http_is_a_handshake_error() -> None:
    with serve(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        result = run(ProbePlan("x", Request(f"https://127.0.0.1:{port}/"), 1, timeout=2.0))
    assert error_of(result) == "CURLE_SSL_CONNECT_ERROR"
