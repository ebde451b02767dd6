"""`nginx -t`: tests a configuration before it is loaded, looking only at what may be wrong."""

from __future__ import annotations

import functools
import random
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from labctl.embedded.ingress.model import Configuration, Server
from labctl.embedded.ingress.nginx.check import Checker
from labctl.embedded.ingress.nginx.render import head_line_count, server_lines
from labctl.embedded.ingress.settings import Settings

_RULE = "-" * 79
_HARMLESS = re.compile(r"[\w./:@,%+*=~()|^?&!<>\[\]-]*")
_SKIPPED = frozenset({"certificate", "lost", "info", "denied", "users", "error", "auth_tls_error", "ca", "crl"})


class ConfigurationTester:
    """Tests servers, each version of one only once.

    A server whose values have no character of nginx's own syntax cannot be wrong, and is not even written down.
    """

    def __init__(self) -> None:
        self._verdicts: dict[str, tuple[Server, str, tuple[str, int]]] = {}

    def test(self, configuration: Configuration) -> str:
        """The controller's message about the first thing that nginx refuses; empty when it takes the configuration."""
        refused = _global_error(configuration.settings)
        if refused:
            return refused
        line_number = 0
        for name, server in configuration.servers.items():
            message, line = self._verdict(server, configuration)
            if message:
                if line:
                    line_number = head_line_count(configuration)
                    for earlier in configuration.servers:
                        if earlier == name:
                            break
                        line_number += len(server_lines(configuration.servers[earlier], configuration)) + 1
                return failure(message, line_number + line if line else 0)
        for name in self._verdicts.keys() - configuration.servers.keys():
            del self._verdicts[name]
        return ""

    def _verdict(self, server: Server, configuration: Configuration) -> tuple[str, int]:
        key = configuration.settings.checksum
        known = self._verdicts.get(server.hostname)
        if known is not None and known[0] is server and known[1] == key:
            return known[2]
        settings = configuration.settings
        verdict = ciphers_error(server.ssl_ciphers), 0
        snippets = settings.server_snippet or settings.location_snippet
        if not verdict[0] and (snippets or any(map(_is_suspicious, _texts(server)))):
            verdict = Checker("h").check("\n".join(server_lines(server, configuration)))
        self._verdicts[server.hostname] = (server, key, verdict)
        return verdict


def _global_error(settings: Settings) -> str:
    """What nginx refuses outside of servers."""
    for context, snippet in (("m", settings.main_snippet), ("h", settings.http_snippet)):
        if snippet:
            message, line = Checker(context).check(snippet)
            if message:
                return failure(message, 14 + line if line else 0)
    refused = ciphers_error(settings.ssl_ciphers)
    return failure(refused, 0) if refused else ""


@functools.lru_cache(maxsize=64)
def ciphers_error(ciphers: str) -> str:
    """What nginx says of a cipher list that OpenSSL takes none of (ngx_ssl_ciphers); empty when it is good."""
    if not ciphers:
        return ""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(ciphers)
    except ssl.SSLError:
        return f'SSL_CTX_set_cipher_list("{ciphers}") failed (SSL: error:0A0000B9:SSL routines::no cipher match)'
    return ""


def failure(message: str, line: int) -> str:
    """What the controller makes of nginx's output.

    Args:
        message: nginx's error.
        line: Where; 0 when nginx does not say.
    """
    path = f"/tmp/nginx/nginx-cfg{random.randrange(10**8, 10**10)}"  # noqa: S108, S311 - a name that is only shown
    where = f" in {path}:{line}" if line else ""
    output = f"nginx: [emerg] {message}{where}\nnginx: configuration file {path} test failed\n"
    return f"\n{_RULE}\nError: exit status 1\n{output}\n{_RULE}\n"


def _is_suspicious(text: str) -> bool:
    """Whether a text may mean more to nginx than a word."""
    return _HARMLESS.fullmatch(text) is None or "(" in text or "[" in text or "*" in text


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, deep."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for entry in fields(value):
            inner = getattr(value, entry.name)
            if entry.name not in _SKIPPED and inner != entry.default:
                yield from _texts(inner)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, tuple):
        for inner in value:
            yield from _texts(inner)
