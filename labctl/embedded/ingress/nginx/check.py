"""What `nginx -t` says about a configuration: the first thing that nginx would refuse.

Source of rules and words: nginx 1.25.5, ngx_conf_file.c, ngx_http_core_module.c, ngx_http_rewrite_module.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.embedded.ingress.nginx.directives import Spec, directives
from labctl.embedded.ingress.nginx.lexer import ConfigError, Event, events
from labctl.embedded.ingress.nginx.regexes import pattern_error
from labctl.embedded.ingress.proxy.variables import exists

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_SIZE = re.compile(r"\d+[kKmM]?")
_OFFSET = re.compile(r"\d+[kKmMgG]?")
_TIME = re.compile(r"(\d+(ms|[yMwdhms])? ?)+")
_SET_LIKE = frozenset({"set", "auth_request_set", "set_by_lua_block"})
_WITH_VARIABLES = frozenset(
    """
    add_header auth_request_set error_page if more_set_headers more_set_input_headers proxy_cookie_domain
    proxy_cookie_path proxy_method proxy_pass proxy_redirect proxy_set_header return rewrite set set_escape_uri
    """.split()  # noqa: SIM905 - one word per directive reads best
)
_CODES = range(1000)
_TESTS: dict[str, Callable[[str], object]] = {
    "num": str.isdigit,
    "size": _SIZE.fullmatch,
    "off": _OFFSET.fullmatch,
    "msec": _TIME.fullmatch,
    "sec": _TIME.fullmatch,
}
_CONTEXT_OF = {
    "http": "h",
    "stream": "t",
    "server": "s",
    "location": "l",
    "limit_except": "x",
    "upstream": "u",
    "events": "e",
}


@dataclass(slots=True)
class _Block:
    """An open block.

    Attributes:
        context: Letter of its context.
        once: Directives seen that may stand only once.
        locations: Locations directly inside: modifier and path.
        values: Whether its lines are values, not directives, as in `map` and `geo`.
    """

    context: str
    once: set[str] = field(default_factory=set)
    locations: list[tuple[str, str, int]] = field(default_factory=list)
    values: bool = False
    location: tuple[str, str] = ("", "")


class Checker:
    """Reads one piece of configuration.

    Args:
        context: Letter of the context it stands in.
    """

    def __init__(self, context: str = "h") -> None:
        self._stack = [_Block(context)]
        self._defined: set[str] = set()
        self._used: list[str] = []
        self._late: list[tuple[str, int]] = []
        self._names: list[str] = []

    def check(self, text: str, line: int = 1) -> tuple[str, int]:
        """The first error and its line; an empty message when there is none, line 0 when nginx names none."""
        try:
            for event in events(text, line=line):
                self._read(event)
        except ConfigError as error:
            return error.message, error.line
        if self._late:
            return self._late[0]
        for name in self._used:
            if name not in self._defined and not exists(name):
                return f'unknown "{name}" variable', 0
        for name in self._names:
            if _bad_server_name(name):
                return f'invalid server name or wildcard "{name}" on 0.0.0.0:80', 0
        return "", 0

    def _read(self, event: Event) -> None:
        if event.kind == "close":
            self._close(self._stack.pop())
            return
        block = self._stack[-1]
        if block.values:
            if event.kind == "open":
                raise ConfigError('unexpected "{"', event.line)
            return
        spec = self._spec(event, block)
        if spec.once:
            if event.words[0] in block.once:
                raise ConfigError(f'"{event.words[0]}" directive is duplicate', event.line)
            block.once.add(event.words[0])
            _check_value(spec, event)
        self._note_variables(event)
        self._check_own_rules(event, block)
        if event.kind == "open":
            self._open(event, block)

    def _spec(self, event: Event, block: _Block) -> Spec:
        """The directive's rules in this context."""
        name = event.words[0]
        known = directives().get(name)
        if known is None:
            raise ConfigError(f'unknown directive "{name}"', event.line)
        spec = next((spec for spec in known if spec.contexts == "*" or block.context in spec.contexts), None)
        if spec is None:
            raise ConfigError(f'"{name}" directive is not allowed here', event.line)
        if event.kind == "open" and not spec.block:
            raise ConfigError(f'directive "{name}" is not terminated by ";"', event.line)
        if event.kind != "open" and spec.block:
            raise ConfigError(f'directive "{name}" has no opening "{{"', event.line)
        if not spec.takes(len(event.words) - 1):
            raise ConfigError(f'invalid number of arguments in "{name}" directive', event.line)
        return spec

    def _open(self, event: Event, block: _Block) -> None:
        name = event.words[0]
        context = _CONTEXT_OF.get(name)
        if block.context == "t" and context is not None:
            context = context.upper().replace("S", "T")
        if name == "if":
            context = "S" if block.context == "s" else "L"
        opened = _Block(context or block.context, values=name in {"map", "geo", "types", "split_clients"})
        if name == "location":
            opened.location = _location(event)
            block.locations.append((*opened.location, event.line))
        self._stack.append(opened)

    def _close(self, block: _Block) -> None:
        seen: set[tuple[str, str]] = set()
        for modifier, path, line in block.locations:
            kind = "" if modifier in {"", "^~"} else modifier
            if kind in {"", "=", "@"}:
                if (kind, path) in seen:
                    self._late.append((f'duplicate location "{path}"', line))
                seen.add((kind, path))

    def _note_variables(self, event: Event) -> None:
        name, args = event.words[0], event.words[1:]
        if name in _SET_LIKE and args:
            if not args[0].startswith("$") or len(args[0]) < 2:
                raise ConfigError(f'invalid variable name "{args[0]}"', event.line)
            self._defined.add(args[0][1:].lower())
            args = args[1:]
        elif name in {"map", "geo", "set_escape_uri"} and args:
            self._defined.add(args[-1 if name != "set_escape_uri" else 0].lstrip("$").lower())
        if name in _WITH_VARIABLES:
            for arg in args:
                self._used += [(match[1] or match[2]).lower() for match in _VARIABLE.finditer(arg)]

    def _check_own_rules(self, event: Event, block: _Block) -> None:
        name, args = event.words[0], event.words[1:]
        if name == "location":
            _check_location(event, block)
        elif name == "rewrite":
            _check_pattern(args[0], event.line)
            if len(args) == 3 and args[2] not in {"last", "break", "redirect", "permanent"}:
                raise ConfigError(f'invalid parameter "{args[2]}"', event.line)
        elif name == "return":
            _check_return(args, event.line)
        elif name == "if":
            _check_condition(args, event.line)
        elif name == "server_name":
            for text in args:
                if text.startswith("~"):
                    _check_pattern(text[1:], event.line)
                else:
                    self._names.append(text.lower())


def _location(event: Event) -> tuple[str, str]:
    """Modifier and path."""
    args = event.words[1:]
    if len(args) == 2:
        return args[0], args[1]
    text = args[0]
    for modifier in ("=", "^~", "~*", "~"):
        if text.startswith(modifier):
            return modifier, text[len(modifier) :]
    return ("@", text) if text.startswith("@") else ("", text)


def _check_location(event: Event, block: _Block) -> None:
    modifier, path = _location(event)
    if modifier not in {"", "=", "^~", "~", "~*", "@"}:
        raise ConfigError(f'invalid location modifier "{modifier}"', event.line)
    if modifier in {"~", "~*"}:
        _check_pattern(path, event.line)
    outer_modifier, outer = block.location
    if block.context != "l":
        return
    if outer_modifier == "=":
        raise ConfigError(f'location "{path}" cannot be inside the exact location "{outer}"', event.line)
    if modifier == "@":
        raise ConfigError(f'named location "{path}" can be on the server level only', event.line)
    if modifier not in {"~", "~*"} and outer_modifier not in {"~", "~*"} and not path.startswith(outer):
        raise ConfigError(f'location "{path}" is outside location "{outer}"', event.line)


def _check_pattern(pattern: str, line: int) -> None:
    error = pattern_error(pattern)
    if error:
        raise ConfigError(error, line)


def _check_return(args: tuple[str, ...], line: int) -> None:
    if args[0].isdigit() and int(args[0]) in _CODES:
        return
    if len(args) == 1 and args[0].startswith(("http://", "https://", "$scheme")):
        return
    raise ConfigError(f'invalid return code "{args[0]}"', line)


def _check_condition(args: tuple[str, ...], line: int) -> None:
    if not args[0].startswith("("):
        raise ConfigError(f'invalid condition "{args[0]}"', line)
    if not args[-1].endswith(")"):
        raise ConfigError(f'invalid condition "{args[-1]}"', line)
    words = [word for word in (args[0][1:], *args[1:-1], args[-1][:-1] if len(args) > 1 else "") if word]
    if len(args) == 1:
        words = [args[0][1:-1]]
    if not words or (words[0].startswith("$") and len(words) == 2):
        raise ConfigError(f'invalid condition "{args[-1]}"', line)
    if words[0].startswith("$") and len(words) > 2:
        if words[1] not in {"=", "!=", "~", "~*", "!~", "!~*"}:
            raise ConfigError(f'unexpected "{words[1]}" in condition', line)
        if "~" in words[1]:
            _check_pattern(words[2], line)
    elif not words[0].startswith(("$", "-", "!-")):
        raise ConfigError(f'invalid condition "{words[0]}"', line)


def _check_value(spec: Spec, event: Event) -> None:
    """Values of directives whose type nginx checks itself."""
    name, values = event.words[0], event.words[1:]
    if spec.kind == "flag" and values[0].lower() not in {"on", "off"}:
        raise ConfigError(f'invalid value "{values[0]}" in "{name}" directive, it must be "on" or "off"', event.line)
    test = _TESTS.get(spec.kind)
    if test is not None and not test(values[0]):
        word = "invalid number" if spec.kind == "num" else "invalid value"
        raise ConfigError(f'"{name}" directive {word}', event.line)
    if spec.kind == "bufs" and not (values[0].isdigit() and int(values[0]) and _SIZE.fullmatch(values[1])):
        raise ConfigError(f'"{name}" directive invalid value', event.line)


def _bad_server_name(name: str) -> bool:
    """Wildcards stand at the start or the end only, and dots not side by side."""
    inner = name.removeprefix("*.").removesuffix(".*")
    return "*" in inner or ".." in name or not name
