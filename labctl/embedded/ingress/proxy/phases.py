"""nginx's phases up to the content: rewriting, limits, access. Each may answer the request.

The order is nginx's: server rewrites, location, body size, location rewrites (snippets and redirects before the
controller's own Lua code), limits, access.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from labctl.embedded.ingress.proxy.access import Networks
from labctl.embedded.ingress.proxy.answers import Answer, redirect
from labctl.embedded.ingress.proxy.exchange import wildcard_of
from labctl.embedded.ingress.proxy.snippets import Returned
from labctl.embedded.ingress.proxy.uri import split_target

if TYPE_CHECKING:
    from labctl.embedded.ingress.proxy.exchange import Exchange
    from labctl.embedded.ingress.proxy.plan import LocationPlan, ServerPlan
    from labctl.embedded.ingress.proxy.plane import Generation

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def run(exchange: Exchange, generation: Generation) -> Answer | None:
    """All phases that need no waiting; None when the request goes on to external authentication and its pod."""
    target = split_target(exchange.head.target)
    if target is None:
        return Answer(400)
    exchange.uri, exchange.args, exchange.quoted = target
    if generation.real_ip is not None:
        generation.real_ip.apply(exchange)
    host = generation.hosts.find(exchange.head.host)
    if host.redirect is not None:
        return _www(exchange, host.redirect.to, generation)
    assert host.server is not None
    exchange.server = generation.server_plan(host.server)
    answer = _certificate(exchange, exchange.server) or _server_rewrite(exchange, exchange.server, generation)
    return answer or locate(exchange, generation)


def locate(exchange: Exchange, generation: Generation) -> Answer | None:
    """Find the location and run its phases; again after an internal redirect."""
    server = exchange.server
    assert server is not None
    if server.is_default and not exchange.internal_redirects:
        answer = _own_locations(exchange, generation)
        if answer is not None:
            return answer
    found = server.table.find(exchange.uri)
    if found is None:
        return Answer(404)
    plan = exchange.plan = server.plan(found.location)
    exchange.captures = found.captures
    if plan.body_limit and exchange.head.length > plan.body_limit:
        return Answer(413)
    if found.add_slash:
        query = f"?{exchange.args}" if exchange.args else ""
        return redirect(exchange, 301, found.location.path + query)
    if plan.simple:
        return _lua_rewrite(exchange, plan, generation)
    return _location(exchange, plan, generation)


def _location(exchange: Exchange, plan: LocationPlan, generation: Generation) -> Answer | None:
    answer = _location_rewrite(exchange, plan) or _lua_rewrite(exchange, plan, generation)
    return answer or _limits(exchange, plan, generation) or access(exchange, plan)


# Server


def _www(exchange: Exchange, to: str, generation: Generation) -> Answer:
    scheme = exchange.scheme
    if generation.settings.use_forwarded_headers:
        scheme = exchange.head.fields.get("x-forwarded-proto", scheme)
    uri = exchange.head.target.removesuffix("/")
    blocked = generation.blocks(exchange)
    return blocked or redirect(exchange, generation.settings.http_redirect_code, f"{scheme}://{to}{uri}")


def _certificate(exchange: Exchange, server: ServerPlan) -> Answer | None:
    """Client certificates: decided before anything else."""
    tls = exchange.tls
    if tls is None or not server.server.certificate_auth.certificate.ca or server.server.auth_tls_error:
        return None
    problem = tls.client_problem(server.server.certificate_auth.verify_client)
    if not problem:
        return None
    page = server.server.certificate_auth.error_page
    if page.startswith(("http://", "https://")):
        return Answer(302, headers=[("Location", page)])
    return Answer(400, special=problem)


def _server_rewrite(exchange: Exchange, server: ServerPlan, generation: Generation) -> Answer | None:
    blocked = generation.blocks(exchange)
    if blocked is not None:
        return blocked
    if server.match_cn is not None and exchange.tls is not None:
        subject = exchange.tls.client_variable("ssl_client_s_dn") or ""
        if not server.match_cn.search(subject):
            return Answer(403, b"client certificate unauthorized", content_type=generation.settings.default_type)
    if server.server.auth_tls_error:
        return Answer(403)
    if server.snippet:
        answer = _returned(exchange, server.snippet.run(exchange)) or _snippet_location(exchange, server)
        if answer is not None:
            return answer
    if server.app_root and exchange.uri == "/":
        host = exchange.head.fields.get("host", "")
        return Answer(302, headers=[("Location", f"{exchange.scheme}://{host}{server.app_root}")])
    return None


def _snippet_location(exchange: Exchange, server: ServerPlan) -> Answer | None:
    """A location block of a server snippet, where it only returns something."""
    for location in server.snippet.locations:
        if location.matches(exchange.uri):
            exchange.header_operations += location.snippet.header_operations
            return _returned(exchange, location.snippet.run(exchange))
    return None


def _returned(exchange: Exchange, returned: Returned | None) -> Answer | None:
    """What `return` answers: a redirect, a text, or nginx's page."""
    if returned is None:
        return None
    text = returned.text
    if returned.status in _REDIRECTS and text is not None:
        return redirect(exchange, returned.status, text)
    if text is None:
        return Answer(returned.status, None if returned.status >= 300 else b"")
    return Answer(returned.status, text.encode("latin-1", "replace"), content_type="text/html")


def _own_locations(exchange: Exchange, generation: Generation) -> Answer | None:
    """`/healthz` and `/nginx_status` of the default server."""
    if exchange.uri.startswith("/nginx_status"):
        allowed = Networks(generation.settings.nginx_status_ipv4_whitelist)
        return generation.status_page() if exchange.remote in allowed else Answer(403)
    if exchange.uri.startswith(generation.health_path):
        return Answer(200, b"")
    return None


# Location


def _location_rewrite(exchange: Exchange, plan: LocationPlan) -> Answer | None:
    if plan.denied:
        return Answer(503)
    if plan.cors is not None and plan.cors.apply(exchange):
        return Answer(204, b"", content_type="")
    if plan.snippet.operations:
        answer = _returned(exchange, plan.snippet.run(exchange))
        if answer is not None:
            return answer
    if plan.redirect is not None:
        return redirect(exchange, plan.annotations.redirect.code, exchange.evaluate(plan.redirect))
    if plan.rewriting is not None:
        return _rewrite_target(exchange, plan)
    return None


def _rewrite_target(exchange: Exchange, plan: LocationPlan) -> Answer | None:
    rewriting = plan.rewriting
    assert rewriting is not None
    match = rewriting.pattern.search(exchange.uri)
    if match is None:
        return None
    exchange.captures = (match[0], *(group or "" for group in match.groups()))
    path = rewriting.path.value(exchange)
    if not path:
        return Answer(500)
    args = rewriting.args.value(exchange) if rewriting.args is not None else ""
    kept = exchange.args if rewriting.keep_args else ""
    if rewriting.redirects:
        query = "&".join(filter(None, (args, kept)))
        return Answer(302, headers=[("Location", f"{path}?{query}" if query else path)])
    exchange.uri, exchange.args = path, "&".join(filter(None, (args, kept))) or None
    exchange.rewritten = True
    return None


def _lua_rewrite(exchange: Exchange, plan: LocationPlan, generation: Generation) -> Answer | None:
    """The controller's own code: forwarded headers, redirects to https, and whether there are endpoints."""
    settings = generation.settings
    if settings.use_forwarded_headers:
        _forwarded(exchange)
    if exchange.server_port == generation.https_port:
        exchange.pass_port = "443" if exchange.pass_port == str(generation.https_port) else exchange.pass_port
    if exchange.pass_scheme == "http" and not plan.never_redirect:  # noqa: S105 - the scheme that is passed on
        wanted = plan.force_ssl_redirect or (plan.ssl_redirect and generation.has_certificate(exchange.host))
        if wanted:
            return _to_https(exchange, plan, generation)
    exchange.upstream_name = plan.backend
    if exchange.worker.choose(exchange) is None:
        return Answer(503)
    return None


def _forwarded(exchange: Exchange) -> None:
    fields = exchange.head.fields
    exchange.pass_scheme = fields.get("x-forwarded-proto", exchange.pass_scheme)
    exchange.pass_port = fields.get("x-forwarded-port", exchange.pass_port)
    if "x-forwarded-host" in fields:
        exchange.best_host = fields["x-forwarded-host"].partition(",")[0]


def _to_https(exchange: Exchange, plan: LocationPlan, generation: Generation) -> Answer:
    uri = exchange.head.target
    if not plan.annotations.rewrite.preserve_trailing_slash:
        uri = uri.removesuffix("/")
    host = exchange.best_host.partition(":")[0]
    port = f":{generation.https_port}" if plan.annotations.use_port_in_redirects else ""
    return Answer(generation.settings.http_redirect_code, headers=[("Location", f"https://{host}{port}{uri}")])


def _limits(exchange: Exchange, plan: LocationPlan, generation: Generation) -> Answer | None:
    limits = plan.limits
    if limits is None or exchange.remote in generation.networks(limits.allowlist):
        return None
    key = _limit_key(exchange, generation)
    if not key:
        return None
    zones, multiplier = generation.zones, limits.burst_multiplier
    checks = ((limits.rps, limits.rps * 1000), (limits.rpm, limits.rpm * 1000 // 60))
    for number, (limit, rate) in enumerate(checks):
        name = f"{limits.zone}_{'rpm' if number else 'rps'}"
        if limit > 0 and not zones.rate(name, rate, limit * multiplier).admit(key):
            return Answer(generation.settings.limit_req_status_code)
    if limits.connections > 0:
        zone = zones.connections(f"{limits.zone}_conn")
        if not zone.enter(key, limits.connections):
            return Answer(generation.settings.limit_conn_status_code)
        exchange.variables["_limit_conn"] = f"{limits.zone}_conn {key}"
    return None


def _limit_key(exchange: Exchange, generation: Generation) -> str:
    variable = generation.settings.limit_conn_zone_variable
    if variable == "$binary_remote_addr":
        return exchange.remote
    return generation.template(variable).value(exchange)


def access(exchange: Exchange, plan: LocationPlan) -> Answer | None:
    """Networks and passwords; with `satisfy any` one of them is enough."""
    refusals: list[Answer] = []
    checked = 0
    if plan.access or plan.snippet.access:
        checked += 1
        if not (plan.access.permits(exchange.remote) and _snippet_access(exchange, plan)):
            refusals.append(Answer(403))
    if plan.basic is not None:
        checked += 1
        user = plan.basic.user(exchange.head.fields.get("authorization"))
        if user is None:
            realm = plan.annotations.basic_auth.realm
            refusals.append(Answer(401, headers=[("WWW-Authenticate", f'Basic realm="{realm}"')]))
        else:
            exchange.variables["remote_user"] = user
    if not refusals or (plan.satisfy_any and (len(refusals) < checked or plan.external_auth is not None)):
        if plan.satisfy_any and len(refusals) < checked:
            exchange.variables["_satisfied"] = "1"
        return None
    return refusals[-1] if plan.satisfy_any else refusals[0]


def _snippet_access(exchange: Exchange, plan: LocationPlan) -> bool:
    client = ipaddress.ip_address(exchange.remote)
    for kind, text in plan.snippet.access:
        if text == "all" or client in ipaddress.ip_network(text, strict=False):
            return kind == "allow"
    return True


def certificate_for(host: str, names: dict[str, object]) -> bool:
    """Whether a host or its wildcard has a certificate of its own."""
    name = host.removesuffix(".").lower()
    return name in names or wildcard_of(name) in names
