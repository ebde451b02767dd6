"""What a pod of a public echo image says that it saw, in the corpus' form.

Understood are registry.k8s.io/echoserver (text, header names in lower case) and the recording's own echo pods (JSON).
"""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]

IMAGE = "registry.k8s.io/echoserver:1.10"
"""Small, of the Kubernetes project itself, in the study's own labs; says its pod, the path and all headers."""

_HOSTNAME = re.compile(r"^Hostname: (\S+)", re.MULTILINE)
_FACT = re.compile(r"^\t([a-z_ ]+)=(.*)$", re.MULTILINE)
_NO_BODY = "-no body in request-"


def seen_by_echoserver(body: str) -> tuple[str, Json] | None:
    """The pod's name and what it saw; None when this is no answer of echoserver's.

    Facts that echoserver does not tell are None: they cannot be compared.
    """
    name = _HOSTNAME.search(body)
    if name is None or "\nRequest Headers:\n" not in body:
        return None
    head, _, rest = body.partition("\nRequest Headers:\n")
    headers, _, payload = rest.partition("\nRequest Body:\n")
    facts = dict(_FACT.findall(head))
    pairs = [list(pair) for pair in re.findall(r"^\t([^=\n]+)=(.*)$", headers, re.MULTILINE)]
    host = next((value for key, value in pairs if key == "host"), None)
    length = None if _NO_BODY in payload else len(payload.rstrip("\n"))
    return name[1], {
        "method": facts.get("method"),
        "path": facts.get("real path"),
        "proto": f"HTTP/{facts['request_version']}" if "request_version" in facts else None,
        "host": host,
        "client": None,
        "tls": None,
        "headers": pairs,
        "body_len": length,
        "chunked_in": None,
    }
