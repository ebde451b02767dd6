"""Client certificates as nginx judges them (ngx_http_process_request of 1.25.5): the handshake goes on, a page says no."""

from __future__ import annotations

import asyncio
import base64
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest

from labctl.conformance import material
from labctl.conformance.client import Client
from labctl.conformance.local import LocalWorld
from labctl.lab.certificate import make_certificate
from labctl.model.actions import CertificateStep
from tests.unit.embedded_ingress.cluster import ingress


def foreign() -> Path:
    from datetime import UTC, datetime

    pair = make_certificate(CertificateStep("c", "s", common_name="stranger"), datetime.now(UTC))
    file = Path(tempfile.mkdtemp()) / "foreign.pem"
    file.write_bytes(pair.certificate + pair.key.reveal().encode())
    return file


def ask(who: str, **annotations: str) -> dict[str, Any]:
    """One request over TLS: `none`, `known` or `foreign` certificate."""

    async def run() -> dict[str, Any]:
        world = LocalWorld((), {})
        await world.start()
        try:
            ca = base64.b64encode(material.authority().certificate).decode()
            world.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": "ca", "namespace": "default"},
                    "data": {"ca.crt": ca},
                }
            )
            guarded = ingress("i", auth_tls_secret="default/ca", **annotations)
            guarded["spec"]["tls"] = [{"hosts": ["a.test"]}]
            world.apply(guarded)
            await world.settle()
            request: dict[str, Any] = {"host": "a.test", "path": "/", "scheme": "https"}
            if who == "known":
                request["client_cert"] = "client"
            return await _send(world.client, request, foreign() if who == "foreign" else None)
        finally:
            await world.stop()

    return asyncio.run(run())


async def _send(client: Client, request: dict[str, Any], file: Path | None) -> dict[str, Any]:
    if file is None:
        return await client.send(request)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(file)
    host, port = client.dial(443)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="a.test")
    writer.write(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
    data = (await asyncio.wait_for(reader.read(), 5)).decode("latin-1")
    writer.close()
    return {"status": int(data.split()[1]), "body": data.partition("\r\n\r\n")[2], "seen": data}


@pytest.mark.parametrize(
    ("who", "mode", "status"),
    [
        ("none", "on", 400),
        ("none", "optional", 200),
        ("none", "optional_no_ca", 200),
        ("known", "on", 200),
        ("known", "optional", 200),
        ("foreign", "on", 400),
        ("foreign", "optional", 400),
        ("foreign", "optional_no_ca", 200),
        ("foreign", "off", 200),
    ],
)
def test_who_may_come_in(who: str, mode: str, status: int) -> None:
    assert ask(who, auth_tls_verify_client=mode)["status"] == status


def test_the_page_says_why() -> None:
    assert "<center>The SSL certificate error</center>" in ask("foreign")["body"]
    assert "<center>No required SSL certificate was sent</center>" in ask("none")["body"]


def test_pods_are_told_what_became_of_the_certificate() -> None:
    seen = ask("foreign", auth_tls_verify_client="optional_no_ca")["seen"]
    assert '"ssl-client-verify", "FAILED:self-signed certificate"' in seen
    headers = dict(ask("known")["backend_saw"]["headers"])
    assert (headers["ssl-client-verify"], headers["ssl-client-subject-dn"]) == ("SUCCESS", "CN=client-user")


def test_an_error_page_redirects() -> None:
    assert ask("none", auth_tls_error_page="https://help.test/cert")["status"] == 302
