"""nginx variables: texts that contain them, and which ones exist."""

from __future__ import annotations

import re
from typing import Protocol

_PIECE = re.compile(r"\\\$[0-9a-zA-Z_]+|\$\{([0-9a-zA-Z_]+)\}|\$([0-9a-zA-Z_]+)|\$|[^$\\]+|\\")


class Scope(Protocol):
    """Where variables are looked up."""

    def variable(self, name: str) -> str | None:
        """Its value; None when it has none."""


class Template:
    """A text with variables, taken apart once.

    Args:
        text: For example `$host$request_uri` or `${arg_id}-x`.
    """

    __slots__ = ("constant", "names", "parts")

    def __init__(self, text: str) -> None:
        parts: list[tuple[bool, str]] = []
        for match in _PIECE.finditer(text):
            name = match[1] or match[2]
            parts.append((True, name.lower() if not name.isdigit() else name) if name else (False, match[0]))
        self.parts = tuple(parts)
        self.names = tuple(name for is_variable, name in parts if is_variable)
        self.constant = None if self.names else text

    def value(self, scope: Scope) -> str:
        """The text with all variables filled in; those without a value are empty."""
        if self.constant is not None:
            return self.constant
        return "".join((scope.variable(part) or "") if is_variable else part for is_variable, part in self.parts)


_NAMES = """
args balancer_ewma_score best_http_host binary_remote_addr body_bytes_sent bytes_sent connection connection_requests
connection_upgrade content_length content_type document_root document_uri escaped_request_uri full_x_forwarded_for
global_rate_limit_exceeding host hostname https ingress_name is_args limit_rate literal_dollar location_path loggable
msec namespace nginx_version pass_access_scheme pass_port pass_server_port pid pipe proxy_add_x_forwarded_for
proxy_alternative_upstream_name proxy_host proxy_port proxy_protocol_addr proxy_protocol_port
proxy_protocol_server_addr proxy_protocol_server_port proxy_upstream_name query_string realip_remote_addr
realip_remote_port realpath_root remote_addr remote_port remote_user req_id request request_body request_body_file
request_completion request_filename request_id request_length request_method request_time request_uri scheme
sent_http_connection server_addr server_name server_port server_protocol service_name service_port ssl_cipher
ssl_ciphers ssl_client_cert ssl_client_escaped_cert ssl_client_fingerprint ssl_client_i_dn ssl_client_raw_cert
ssl_client_s_dn ssl_client_serial ssl_client_v_end ssl_client_v_remain ssl_client_v_start ssl_client_verify ssl_curve
ssl_curves ssl_early_data ssl_protocol ssl_server_name ssl_session_id ssl_session_reused status tcpinfo_rtt
time_iso8601 time_local upstream_addr upstream_bytes_received upstream_bytes_sent upstream_cache_status
upstream_connect_time upstream_header_time upstream_response_length upstream_response_time upstream_status uri
auth_cookie block_ref block_ua target cache_key tmp_cache_key redirect_to cors
"""
KNOWN = frozenset(_NAMES.split())
"""Variables of nginx and of the controller's template."""

_PREFIXES = ("http_", "cookie_", "arg_", "sent_http_", "upstream_http_", "upstream_cookie_", "sent_trailer_")


def exists(name: str) -> bool:
    """Whether nginx would know a variable of that name when it reads its configuration."""
    return name in KNOWN or name.isdigit() or name.startswith(_PREFIXES)
