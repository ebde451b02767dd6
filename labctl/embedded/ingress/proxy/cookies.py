"""Cookies: reading them as nginx and as the controller's Lua code do, and rewriting those of pods."""

from __future__ import annotations

import re
import time

from labctl.embedded.ingress.annotations.values import AffinityCookie

_SAMESITE = frozenset({"Strict", "Lax", "None"})
_DOMAIN = re.compile(r"(?i)(;\s*domain=)([^;]*)")
_PATH = re.compile(r"(?i)(;\s*path=)([^;]*)")


def cookie_value(header: str, name: str) -> str | None:
    """`$cookie_name`: the first cookie of that name, any case."""
    wanted = name.lower()
    for piece in header.split(";"):
        key, equals, value = piece.strip(" ").partition("=")
        if equals and key.lower() == wanted:
            return value
    return None


def named_cookie(header: str, name: str) -> str | None:
    """A cookie by its exact name; the last one counts."""
    found: str | None = None
    for piece in header.split(";"):
        key, equals, value = piece.strip(" \t").partition("=")
        if equals and key == name:
            found = value
    return found


def compatible_with_samesite_none(agent: str | None) -> bool:
    """Whether a browser understands SameSite=None (https://www.chromium.org/updates/same-site/incompatible-clients)."""
    if not agent:
        return True
    if any(mark in agent for mark in ("Chrome/4", "Chrome/5", "Chrome/6", "CPU iPhone OS 12", "iPad; CPU OS 12")):
        return False
    old_safari = all(mark in agent for mark in ("Macintosh", "Intel Mac OS X 10_14", "Safari"))
    return not (old_safari and "Chrome" not in agent)


def affinity_cookie(cookie: AffinityCookie, value: str, path: str, agent: str | None, *, https: bool) -> str:
    """The Set-Cookie value of session affinity.

    Args:
        cookie: What the Ingress wants.
        value: The cookie's value.
        path: The rule's path, used when the Ingress names none.
        agent: The client's User-Agent.
        https: Whether the client came over TLS: then the cookie is Secure.
    """
    samesite = cookie.samesite
    if cookie.conditional_samesite_none and samesite == "None" and not compatible_with_samesite_none(agent):
        samesite = ""
    parts = [f"{cookie.name or 'route'}={value}"]
    if cookie.expires:
        when = time.gmtime(int(time.time()) + int(float(cookie.expires)))
        parts.append(time.strftime("Expires=%a, %d-%b-%y %H:%M:%S GMT", when))
    if cookie.max_age:
        parts.append(f"Max-Age={cookie.max_age}")
    if cookie.domain:
        parts.append(f"Domain={cookie.domain}")
    parts.append(f"Path={cookie.path or path}")
    if cookie.secure or https:
        parts.append("Secure")
    parts.append("HttpOnly")
    if samesite in _SAMESITE:
        parts.append(f"SameSite={samesite}")
    return "; ".join(parts)


def rewrite_attribute(cookie: str, attribute: str, old: str, new: str) -> str:
    """Rewrite Domain or Path of a pod's Set-Cookie, as `proxy_cookie_domain` and `proxy_cookie_path` do.

    Args:
        cookie: The header's value.
        attribute: `domain` or `path`.
        old: What to replace: a whole domain, the beginning of a path, or a regular expression after `~`.
        new: What with.
    """
    pattern = _DOMAIN if attribute == "domain" else _PATH

    def replace(match: re.Match[str]) -> str:
        value = match[2]
        if old.startswith("~"):
            flags = re.IGNORECASE if old.startswith("~*") or attribute == "domain" else 0
            found = re.search(old.lstrip("~*"), value, flags)
            if found is None:
                return match[0]
            filled = re.sub(r"\$([0-9])", lambda group: found[int(group[1])] or "", new)
            return f"{match[1]}{value[: found.start()]}{filled}{value[found.end() :]}"
        if attribute == "domain":
            return match[1] + new if value.lstrip(".").lower() == old.lstrip(".").lower() else match[0]
        return match[1] + new + value[len(old) :] if value.startswith(old) else match[0]

    return pattern.sub(replace, cookie)
