"""Probes and lifecycle handlers of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, forbidden, invalid_value, not_supported, required
from labctl.embedded.kinds.validation.formats import (
    all_of,
    http_header_name,
    not_negative_fields,
    port_name,
    port_number,
)

_PROBE_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_LIFECYCLE_HANDLERS = ("exec", "httpGet", "tcpSocket", "sleep")
_SECONDS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def probes(container: Obj, path: str, grace: int | None) -> Iterator[Cause]:
    """The three probes of a container."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        at = f"{path}.{name}"
        yield from _handler(probe, _PROBE_HANDLERS, grace, at)
        yield from not_negative_fields(at, probe, *_SECONDS)
        patience = probe.get("terminationGracePeriodSeconds")
        if patience is not None and patience <= 0:
            yield invalid_value(f"{at}.terminationGracePeriodSeconds", patience, "must be greater than 0")
        if name == "readinessProbe":
            if patience is not None:
                text = "must not be set for readinessProbes"
                yield invalid_value(f"{at}.terminationGracePeriodSeconds", patience, text)
        elif probe.get("successThreshold") != 1:
            yield invalid_value(f"{at}.successThreshold", probe.get("successThreshold", 0), "must be 1")


def lifecycle(hooks: Any, path: str, grace: int | None) -> Iterator[Cause]:
    """The hooks after start and before stop."""
    for name in ("postStart", "preStop"):
        if (hooks or {}).get(name) is not None:
            yield from _handler(hooks[name], _LIFECYCLE_HANDLERS, grace, f"{path}.{name}")


def _handler(holder: Obj, names: tuple[str, ...], grace: int | None, path: str) -> Iterator[Cause]:
    given = [name for name in names if holder.get(name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
        return
    yield from _action(given[0], holder[given[0]], grace, f"{path}.{given[0]}")
    for name in given[1:]:
        yield forbidden(f"{path}.{name}", "may not specify more than 1 handler type")


def _action(kind: str, action: Obj, grace: int | None, path: str) -> Iterator[Cause]:
    if kind == "exec":
        if not action.get("command"):
            yield required(f"{path}.command")
    elif kind == "sleep":
        seconds = action.get("seconds", 0)
        if grace is not None and not 0 <= seconds <= grace:
            text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
            yield invalid_value(path, seconds, text)
    elif kind == "httpGet":
        yield from _http_get(action, path)
    else:
        yield from port(f"{path}.port", action["port"])


def _http_get(action: Obj, path: str) -> Iterator[Cause]:
    if not action.get("path"):
        yield required(f"{path}.path")
    yield from port(f"{path}.port", action["port"])
    scheme = action.get("scheme", "")
    if scheme not in ("HTTP", "HTTPS"):
        yield not_supported(f"{path}.scheme", scheme, ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders", ()):
        yield from all_of(f"{path}.httpHeaders", header["name"], http_header_name)


def port(path: str, value: Any) -> list[Cause]:
    """A port by number or name."""
    return all_of(path, value, port_name if isinstance(value, str) else port_number)
