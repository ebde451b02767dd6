"""HTTPS requests to a server, as agents make them. Blocking; called in threads."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class RequestError(Exception):
    """The server did not answer as wanted; the text is what k3s says."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class Server:
    """One server.

    Args:
        url: `https://host:6443`.
        ca: The CA that its certificate must come from; None trusts any.
        certificate: Client certificate and key.
    """

    def __init__(self, url: str, ca: str | None = None, certificate: tuple[Path, Path] | None = None) -> None:
        parts = urlsplit(url)
        self.url = url
        self.host, self.port = parts.hostname or "", parts.port or 443
        self._context = ssl.create_default_context(cadata=ca) if ca else ssl._create_unverified_context()
        self._context.check_hostname = False
        if certificate:
            self._context.load_cert_chain(*certificate)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, str]:
        """The answer's body, and the address that the request was made from.

        Raises:
            RequestError: No connection, a certificate that is not good, or a status of 400 and above.
        """
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=10, context=self._context)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        except ssl.SSLCertVerificationError as error:
            raise RequestError(f'Get "{self.url}{path}": {_x509(error)}') from error
        except (OSError, http.client.HTTPException) as error:
            words = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RequestError(
                f'Get "{self.url}{path}": dial tcp {self.host}:{self.port}: connect: {words.lower()}'
            ) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise RequestError(_refusal(f"{self.url}{path}", answer.status, answer.reason, content), answer.status)
        return content, ""

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the Kubernetes API."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        data = json.dumps(body).encode() if body is not None else b""
        return json.loads(self.request(method, path, data, {"Content-Type": kind})[0])


def basic(user: str, password: str) -> dict[str, str]:
    """The header of basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def _refusal(url: str, status: int, reason: str, content: bytes) -> str:
    if status == 401:
        return f"{url}: 401 Unauthorized: not authorized"
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{url}: {status} {reason}"


def _x509(error: ssl.SSLCertVerificationError) -> str:
    """In Go's words."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if error.verify_code in (9, 10):
        relation = "before it" if error.verify_code == 9 else "after it"
        return f"tls: x509: certificate has expired or is not yet valid: current time {now} is {relation}"
    return f"tls: x509: certificate signed by unknown authority ({error.verify_message})"
