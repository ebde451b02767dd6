from __future__ import annotations

import pytest

from labctl.embedded.ingress.nginx.check import Checker
from labctl.embedded.ingress.nginx.render import render
from labctl.embedded.ingress.nginx.tester import ConfigurationTester
from tests.unit.embedded_ingress.cluster import Cluster, Json, ingress, path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server { listen 80; }", ""),
        ("server { listn 80; }", 'unknown directive "listn"'),
        ("listen 80;", '"listen" directive is not allowed here'),
        ("server { location / }", 'unexpected "}"'),
        ("server { location /; }", 'directive "location" has no opening "{"'),
        ("server { location / { proxy_read_timeout 1s 2s; } }", 'invalid number of arguments in "proxy_read_timeout" directive'),
        ("server { location / { proxy_read_timeout x; } }", '"proxy_read_timeout" directive invalid value'),
        ("server { location / { proxy_read_timeout 1s; proxy_read_timeout 2s; } }", '"proxy_read_timeout" directive is duplicate'),
        ('server { location ~ "^/a(" { } }', 'pcre2_compile() failed: missing closing parenthesis in "^/a("'),
        ("server { location /a { } location /a { } }", 'duplicate location "/a"'),
        ("server { return 200 $nosuch; }", 'unknown "nosuch" variable'),
        ("server { server_name a.*.b; }", 'invalid server name or wildcard "a.*.b" on 0.0.0.0:80'),
        ("server {", 'unexpected end of file, expecting "}"'),
        ("gzip maybe;", 'invalid value "maybe" in "gzip" directive, it must be "on" or "off"'),
    ],
)  # fmt: skip
def test_what_nginx_says(text: str, message: str) -> None:
    assert Checker("h").check(text)[0] == message


def test_what_is_rendered_is_good() -> None:
    configuration = Cluster(
        ingress("one", path("/x"), path("/y", "svc-b")),
        ingress("two", host="*.wild.test", enable_cors="true", limit_rps="5", whitelist_source_range="10.0.0.0/8"),
        ingress("three", path("/r(/|$)(.*)"), host="r.test", rewrite_target="/$2", use_regex="true"),
    ).compile()
    assert Checker("m").check(render(configuration)) == ("", 0)


@pytest.mark.parametrize(
    ("spec", "annotations", "words"),
    [
        (path("/a b", kind="ImplementationSpecific"), {}, 'invalid location modifier "/a"'),
        (path("/a{b}", kind="ImplementationSpecific"), {}, 'unknown directive "b}/"'),
        (path("/"), {"server_alias": "a b;c"}, 'unknown directive "c"'),
        (path("/"), {"rewrite_target": "/x;}"}, '"proxy_pass" directive is not allowed here'),
    ],
)
def test_an_ingress_that_breaks_nginx_is_found_out(spec: Json, annotations: Json, words: str) -> None:
    failure = ConfigurationTester().test(Cluster(ingress("bad", spec, **annotations)).compile())
    assert f"nginx: [emerg] {words} in /tmp/nginx/nginx-cfg" in failure
