"""Formats of names, labels, keys and numbers: each function returns what is wrong with a text, as the API words it.

Source: k8s.io/apimachinery/pkg/util/validation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from labctl.embedded.clientset import Obj
from labctl.embedded.kinds.field import Cause, invalid_value, required

Check = Callable[[str], list[str]]

_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_1123 = rf"{_LABEL_1123}(\.{_LABEL_1123})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = rf"\*\.{_SUBDOMAIN_1123}"
_PERCENT = "[0-9]+%"
_HEADER = "[-A-Za-z0-9]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_C_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


def max_length(limit: int) -> str:
    """The message for a text that is too long."""
    return f"must be no more than {limit} characters"


def in_range(value: int, low: int, high: int) -> list[str]:
    """Whether a number is within bounds, both included."""
    return [] if low <= value <= high else [f"must be between {low} and {high}, inclusive"]


def port_number(value: int) -> list[str]:
    """A port that can be connected to."""
    return in_range(value, 1, 65535)


def user_id(value: int) -> list[str]:
    """A Unix user or group id."""
    return in_range(value, 0, 2**31 - 1)


def _regex(text: str, pattern: str, *examples: str) -> str:
    if not examples:
        return f"{text} (regex used for validation is '{pattern}')"
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{text} (e.g. {listed}regex used for validation is '{pattern}')"


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern, value, re.ASCII) is not None


def qualified_name(value: str) -> list[str]:
    """The key of a label or annotation: a name of up to 63 characters, with an optional DNS prefix."""
    parts = value.split("/")
    form = _regex(_QUALIFIED_TEXT, _QUALIFIED, "MyName", "my.name", "123-abc")
    if len(parts) > 2:
        return [f"a qualified name {form} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    problems: list[str] = []
    if len(parts) == 2:
        problems = [
            f"prefix part {text}" for text in (dns1123_subdomain(parts[0]) if parts[0] else ["must be non-empty"])
        ]
    name = parts[-1]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append(f"name part {max_length(63)}")
    if not _matches(_QUALIFIED, name):
        problems.append(f"name part {form}")
    return problems


def label_value(value: str) -> list[str]:
    """The value of a label."""
    problems = [max_length(63)] if len(value) > 63 else []
    if value and not _matches(_QUALIFIED, value):
        text = f"a valid label must be an empty string or {_QUALIFIED_TEXT.removeprefix('must ')}"
        problems.append(_regex(text, f"({_QUALIFIED})?", "MyValue", "my_value", "12345"))
    return problems


def dns1123_label(value: str) -> list[str]:
    """A DNS label: lower case letters, digits, hyphens, 63 at most."""
    problems = [max_length(63)] if len(value) > 63 else []
    if not _matches(_LABEL_1123, value):
        text = (
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-',"
            " and must start and end with an alphanumeric character"
        )
        dotted = _matches(_SUBDOMAIN_1123, value)
        problems.append("must not contain dots" if dotted else _regex(text, _LABEL_1123, "my-name", "123-abc"))
    return problems


def dns1123_subdomain(value: str) -> list[str]:
    """DNS labels with dots between them, 253 characters at most."""
    problems = [max_length(253)] if len(value) > 253 else []
    if not _matches(_SUBDOMAIN_1123, value):
        text = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
            " and must start and end with an alphanumeric character"
        )
        problems.append(_regex(text, _SUBDOMAIN_1123, "example.com"))
    return problems


def dns1035_label(value: str) -> list[str]:
    """A DNS label that starts with a letter: the name of a Service."""
    problems = [max_length(63)] if len(value) > 63 else []
    if not _matches(_LABEL_1035, value):
        text = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic"
            " character, and end with an alphanumeric character"
        )
        problems.append(_regex(text, _LABEL_1035, "my-name", "abc-123"))
    return problems


def wildcard_subdomain(value: str) -> list[str]:
    """`*.` and a DNS name."""
    problems = [max_length(253)] if len(value) > 253 else []
    if not _matches(_WILDCARD, value):
        text = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist"
            " of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        problems.append(_regex(text, _WILDCARD, "*.example.com"))
    return problems


def port_name(value: str) -> list[str]:
    """An IANA service name."""
    problems = [max_length(15)] if len(value) > 15 else []
    if not _matches("[-a-z0-9]+", value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if re.search("[a-z]", value) is None:
        problems.append("must contain at least one letter (a-z)")
    if "--" in value:
        problems.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def percent(value: str) -> list[str]:
    """Digits and a percent sign."""
    text = "a valid percent string must be a numeric string followed by an ending '%'"
    return [] if _matches(_PERCENT, value) else [_regex(text, _PERCENT, "1%", "93%")]


def http_header_name(value: str) -> list[str]:
    """The name of an HTTP header field."""
    text = "a valid HTTP header must consist of alphanumeric characters or '-'"
    return [] if _matches(_HEADER, value) else [_regex(text, _HEADER, "X-Header-Name")]


def environment_name(value: str) -> list[str]:
    """The name of an environment variable."""
    problems = [] if value else ["environment variable name must be non-empty"]
    if any(not " " <= char <= "~" or char == "=" for char in value):
        problems.append(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
        )
    return problems


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret, which may become a file name."""
    problems = [max_length(253)] if len(value) > 253 else []
    if not _matches(_CONFIG_KEY, value):
        text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        problems.append(_regex(text, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if value in (".", ".."):
        problems.append(f"must not be '{value}'")
    elif value.startswith(".."):
        problems.append("must not start with '..'")
    return problems


def c_identifier(value: str) -> list[str]:
    """An identifier of the language C."""
    text = (
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric"
        " characters or '_'"
    )
    return [] if _matches(_C_IDENTIFIER, value) else [_regex(text, _C_IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def path_segment(value: str) -> list[str]:
    """A name that can be one segment of a URL's path: the rule for kinds without a stricter one."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in value]


def domain_prefixed_path(path: str, value: str) -> list[Cause]:
    """A DNS name, a slash and a path: the controller of an IngressClass."""
    if not value:
        return [required(path)]
    host, _, rest = value.partition("/")
    if not host or not rest:
        return [invalid_value(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    causes = all_of(path, host, dns1123_subdomain)
    if not _matches(_HTTP_PATH, rest):
        causes.append(invalid_value(path, rest, _regex("Invalid path", _HTTP_PATH)))
    return causes


def all_of(path: str, value: Any, *checks: Callable[[Any], list[str]]) -> list[Cause]:
    """What the checks say about a value, as causes."""
    return [invalid_value(path, value, text) for check in checks for text in check(value)]


def not_negative(path: str, value: Any) -> list[Cause]:
    """A number that may be missing, but not below zero."""
    return [invalid_value(path, value, NOT_NEGATIVE)] if value is not None and value < 0 else []


def not_negative_fields(path: str, holder: Obj, *names: str) -> list[Cause]:
    """The same for several fields of an object."""
    return [cause for name in names for cause in not_negative(f"{path}.{name}", holder.get(name))]


def immutable(path: str, new: Any, old: Any) -> list[Cause]:
    """A value that may not change; missing and empty are the same."""
    return [invalid_value(path, new, IMMUTABLE)] if (new or None) != (old or None) else []


def int_or_percent(path: str, value: Any) -> list[Cause]:
    """A number that is not negative, or a percentage."""
    if isinstance(value, str):
        return all_of(path, value, percent)
    return not_negative(path, value)


def percent_value(value: Any) -> int | None:
    """The number of a percentage; None for other values."""
    return int(value[:-1]) if isinstance(value, str) and _matches(_PERCENT, value) else None


def not_over_100_percent(path: str, value: Any) -> list[Cause]:
    """A percentage of at most 100."""
    number = percent_value(value)
    return [invalid_value(path, value, "must not be greater than 100%")] if number is not None and number > 100 else []
