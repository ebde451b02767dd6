"""Single rules of nginx and of the controller, end to end: request in, answer out."""

from __future__ import annotations

import asyncio
from typing import Any

from labctl.conformance.local import LocalWorld
from tests.unit.embedded_ingress.cluster import Json, ingress, path


def answers(*objects: Json, requests: tuple[Json, ...], config: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """What comes back, in the corpus' form; requests are for a.test unless they say otherwise."""

    async def run() -> list[dict[str, Any]]:
        world = LocalWorld((), config or {})
        await world.start()
        try:
            for obj in objects:
                world.apply(obj)
            await world.settle()
            return [await world.client.send({"host": "a.test", "path": "/", **request}) for request in requests]
        finally:
            await world.stop()

    return asyncio.run(run())


def header(answer: dict[str, Any], name: str) -> str | None:
    return next((value for key, value in answer["headers"] if key.lower() == name), None)


def test_a_rewrite_target_that_is_a_url_redirects() -> None:
    # ngx_http_rewrite_module.c, ngx_http_rewrite: a replacement that begins with a scheme means status 302
    moved = ingress("i", path("/x(/|$)(.*)", kind="ImplementationSpecific"), rewrite_target="https://other.test/$2")
    (answer,) = answers(moved, requests=({"path": "/x/abc?q=1"},))
    assert (answer["status"], header(answer, "location")) == (302, "https://other.test/abc?q=1")


def test_a_preflight_has_no_content_type() -> None:
    # ngx_http_header_filter_module.c: a 204 of nginx's own loses its Content-Type and Content-Length
    (answer,) = answers(
        ingress("i", enable_cors="true"), requests=({"method": "OPTIONS", "headers": {"Origin": "http://o.test"}},)
    )
    assert answer["status"] == 204
    assert (header(answer, "content-type"), header(answer, "content-length")) == (None, None)
    assert header(answer, "access-control-allow-origin") == "*"


def raw(text: str) -> Json:
    return {"raw": text + "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"}


def test_the_proxy_protocol_names_the_client() -> None:
    # nginx.tmpl: listen … proxy_protocol, real_ip_header proxy_protocol, $pass_server_port $proxy_protocol_server_port
    binary = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x6f\x1f\x90"
    named, known, local, none, wrong = answers(
        ingress("i"),
        requests=(
            raw("PROXY TCP4 1.2.3.4 5.6.7.8 111 8080\r\n"),
            raw(binary),
            raw("PROXY UNKNOWN\r\n"),
            raw(""),
            raw("PROXY TCP4 1.2.3 5.6.7.8 111 8080\r\n"),
        ),
        config={"use-proxy-protocol": "true"},
    )
    for answer in (named, known):
        seen = dict(answer["backend_saw"]["headers"])
        assert (seen["X-Real-IP"], seen["X-Forwarded-For"], seen["X-Forwarded-Port"]) == ("1.2.3.4", "1.2.3.4", "8080")
    assert local["status"] == 200
    for answer in (none, wrong):
        assert "error" in answer, "the connection ends without an answer"


def test_a_cipher_list_without_a_cipher_blocks_the_configuration() -> None:
    # ngx_event_openssl.c, ngx_ssl_ciphers: SSL_CTX_set_cipher_list fails, so `nginx -t` fails
    other = {**ingress("j", host="b.test"), "metadata": {**ingress("j")["metadata"], "name": "j"}}
    refused, blocked = answers(ingress("i", ssl_ciphers="NONSENSE"), other, requests=({}, {"host": "b.test"}))
    assert (refused["status"], blocked["status"]) == (404, 404)
    (good,) = answers(ingress("i", ssl_ciphers="ECDHE-RSA-AES256-GCM-SHA384"), requests=({},))
    assert good["status"] == 200
