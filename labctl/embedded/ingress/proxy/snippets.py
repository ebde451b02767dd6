"""Snippets: the common nginx directives that people put into them, prepared for execution.

Directives beyond these are kept as warnings; whether nginx would accept them at all is checked elsewhere.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from labctl.embedded.ingress.nginx.lexer import ConfigError, Directive, parse
from labctl.embedded.ingress.proxy.exchange import Exchange, HeaderOperation
from labctl.embedded.ingress.proxy.variables import Template

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_QUIET = frozenset(
    """
    access_log client_body_buffer_size client_body_timeout error_log gzip gzip_types keepalive_timeout
    proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_request_buffering send_timeout
    server_tokens types underscores_in_headers
    """.split()  # noqa: SIM905 - one word per directive reads best
)


@dataclass(frozen=True, slots=True)
class Returned:
    """A `return` was reached.

    Attributes:
        status: Its status.
        text: Body, or for redirects the URL; None without one.
    """

    status: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One directive of the rewrite phase: `set`, `return`, `rewrite`, `if` or `break`."""

    kind: str
    name: str = ""
    value: Template | None = None
    status: int = 0
    pattern: re.Pattern[str] | None = None
    condition: Condition | None = None
    inner: Snippet | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands in the parentheses of `if`."""

    variable: str
    operator: str
    operand: str
    pattern: re.Pattern[str] | None = None

    def holds(self, exchange: Exchange) -> bool:
        """Whether it is true for a request; a match sets the captures."""
        value = exchange.variable(self.variable) or ""
        if not self.operator:
            return value not in {"", "0"}
        if self.pattern is None:
            equal = value == Template(self.operand).value(exchange)
            return equal if self.operator == "=" else not equal
        match = self.pattern.search(value)
        if match is not None and not self.operator.startswith("!"):
            exchange.captures = (match[0], *(group or "" for group in match.groups()))
        return (match is not None) != self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class SnippetLocation:
    """A location block of a server snippet."""

    modifier: str
    path: str
    snippet: Snippet

    def matches(self, uri: str) -> bool:
        """Whether a path falls into it."""
        if self.modifier == "=":
            return uri == self.path
        if self.modifier in {"~", "~*"}:
            return re.search(self.path, uri, re.IGNORECASE if self.modifier == "~*" else 0) is not None
        return uri.startswith(self.path)


@dataclass(frozen=True, slots=True)
class Snippet:
    """What a snippet does.

    Attributes:
        operations: Directives of the rewrite phase, in order.
        header_operations: Changes of response headers.
        request_headers: Headers for the pod.
        hidden: Response headers of the pod that are left out.
        access: `allow` and `deny`, in order.
        locations: Location blocks.
        warnings: Directives without effect here.
    """

    operations: tuple[Operation, ...] = ()
    header_operations: tuple[HeaderOperation, ...] = ()
    request_headers: tuple[tuple[str, str], ...] = ()
    hidden: frozenset[str] = frozenset()
    access: tuple[tuple[str, str], ...] = ()
    locations: tuple[SnippetLocation, ...] = ()
    warnings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.operations or self.header_operations or self.hidden or self.access or self.locations)

    def run(self, exchange: Exchange) -> Returned | None:
        """Execute the rewrite phase of a request. Returns what a `return` answers, None when the request goes on."""
        return _run(self.operations, exchange)


def parse_snippet(*texts: str) -> Snippet:
    """Prepare snippets that stand one after the other; text that nginx would refuse has no effect."""
    joined = "\n".join(text for text in texts if text)
    return _parsed(joined) if joined else _EMPTY


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Snippet:
    try:
        return _build(parse(text))
    except (ConfigError, re.error, ValueError):
        return Snippet(warnings=(f"snippet cannot be read: {text[:60]!r}",))


class _Builder:
    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.headers: list[HeaderOperation] = []
        self.request: list[tuple[str, str]] = []
        self.hidden: set[str] = set()
        self.access: list[tuple[str, str]] = []
        self.locations: list[SnippetLocation] = []
        self.warnings: list[str] = []

    def add(self, directive: Directive) -> None:
        """Take in one directive."""
        handler = getattr(self, f"_{directive.name}", None)
        if handler is not None:
            handler(directive)
        elif directive.name not in _QUIET:
            self.warnings.append(f"directive {directive.name} of a snippet has no effect in the embedded controller")

    def _set(self, directive: Directive) -> None:
        name, value = directive.args
        self.operations.append(Operation("set", name.removeprefix("$").lower(), Template(value)))

    def _return(self, directive: Directive) -> None:
        first, *rest = directive.args
        if first.isdigit():
            self.operations.append(Operation("return", status=int(first), value=Template(rest[0]) if rest else None))
        else:
            self.operations.append(Operation("return", status=302, value=Template(first)))

    def _rewrite(self, directive: Directive) -> None:
        pattern, replacement, *flag = directive.args
        name = flag[0] if flag else ""
        operation = Operation("rewrite", name, Template(replacement), pattern=re.compile(pattern))
        self.operations.append(operation)

    def _break(self, directive: Directive) -> None:
        self.operations.append(Operation("break"))

    def _if(self, directive: Directive) -> None:
        condition = _condition(" ".join(directive.args))
        self.operations.append(Operation("if", condition=condition, inner=_build(directive.block or [])))

    def _location(self, directive: Directive) -> None:
        *modifier, path = directive.args
        inner = _build(directive.block or [])
        self.locations.append(SnippetLocation(modifier[0] if modifier else "", path, inner))

    def _add_header(self, directive: Directive) -> None:
        name, value, *rest = directive.args
        self.headers.append(HeaderOperation("add", name, value, always="always" in rest))

    def _more_set_headers(self, directive: Directive) -> None:
        statuses, texts = _statuses(directive.args)
        for text in texts:
            name, _, value = text.partition(":")
            kind = "set" if value.strip() else "clear"
            self.headers.append(HeaderOperation(kind, name.strip(), value.strip(), statuses=statuses))

    def _more_clear_headers(self, directive: Directive) -> None:
        statuses, texts = _statuses(directive.args)
        self.headers += [
            HeaderOperation("clear", text.partition(":")[0].strip(), "", statuses=statuses) for text in texts
        ]

    def _proxy_set_header(self, directive: Directive) -> None:
        name, value = directive.args
        self.request.append((name, value))

    def _proxy_hide_header(self, directive: Directive) -> None:
        self.hidden.add(directive.args[0].lower())

    def _allow(self, directive: Directive) -> None:
        self.access.append(("allow", directive.args[0]))

    def _deny(self, directive: Directive) -> None:
        self.access.append(("deny", directive.args[0]))


def _build(directives: list[Directive]) -> Snippet:
    builder = _Builder()
    for directive in directives:
        builder.add(directive)
    return Snippet(
        tuple(builder.operations),
        tuple(builder.headers),
        tuple(builder.request),
        frozenset(builder.hidden),
        tuple(builder.access),
        tuple(builder.locations),
        tuple(builder.warnings),
    )


_EMPTY = Snippet()
_CONDITION = re.compile(r"\(\s*\$(?:\{(\w+)\}|(\w+))\s*(?:(!~\*|!~|~\*|~|!=|=)\s*(.*?))?\s*\)", re.DOTALL)


def _condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(f"condition {text} is not understood")
    operator, operand = match[3] or "", match[4] or ""
    pattern = None
    if "~" in operator:
        pattern = re.compile(operand, re.IGNORECASE if operator.endswith("*") else 0)
    return Condition((match[1] or match[2]).lower(), operator, operand, pattern)


def _statuses(args: list[str]) -> tuple[frozenset[int], list[str]]:
    """Options of the headers-more module: `-s` limits to statuses, `-t` to types (which is not followed here)."""
    statuses: set[int] = set()
    texts: list[str] = []
    pending = ""
    for word in args:
        if pending:
            statuses |= {int(code) for code in word.split() if code.isdigit()} if pending == "-s" else set()
            pending = ""
        elif word in {"-s", "-t"}:
            pending = word
        elif word not in {"-a", "-r"}:
            texts.append(word)
    return frozenset(statuses), texts


def _run(operations: tuple[Operation, ...], exchange: Exchange) -> Returned | None:
    for operation in operations:
        if operation.kind == "break":
            return None
        if operation.kind == "set":
            assert operation.value is not None
            exchange.variables[operation.name] = operation.value.value(exchange)
        elif operation.kind == "return":
            text = operation.value.value(exchange) if operation.value is not None else None
            return Returned(operation.status, text)
        elif operation.kind == "rewrite":
            outcome = _rewrite(operation, exchange)
            if outcome is not None or operation.name in {"break", "last"}:
                return outcome
        elif operation.condition is not None and operation.condition.holds(exchange):
            outcome = _enter(operation.inner or _EMPTY, exchange)
            if outcome is not None:
                return outcome
    return None


def _enter(inner: Snippet, exchange: Exchange) -> Returned | None:
    exchange.header_operations += inner.header_operations
    return _run(inner.operations, exchange)


def _rewrite(operation: Operation, exchange: Exchange) -> Returned | None:
    """Change the path when it matches; a replacement that is a URL redirects."""
    assert operation.pattern is not None
    assert operation.value is not None
    match = operation.pattern.search(exchange.uri)
    if match is None:
        return None
    exchange.captures = (match[0], *(group or "" for group in match.groups()))
    new = operation.value.value(exchange)
    permanent = operation.name == "permanent"
    if permanent or operation.name == "redirect" or new.startswith(("http://", "https://", "$scheme")):
        query = f"?{exchange.args}" if exchange.args and "?" not in new else ""
        return Returned(301 if permanent else 302, new.removesuffix("?") + query)
    path, mark, args = new.partition("?")
    exchange.uri, exchange.rewritten = path, True
    if mark:
        exchange.args = "&".join(filter(None, (args, exchange.args if args else None))) or None
    return None
