"""nginx.conf: its syntax, and the part of it that the embedded nginx acts on.

What it does not know it refuses, in nginx's own form, instead of serving something else than the file says.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from labctl.embedded.images.filesystem import FileSystem

MAIN = "/etc/nginx/nginx.conf"

_TOKEN = re.compile(
    r"""
    \s+ | \#[^\n]*                                            # blanks and comments
    | ([{};])
    | "((?:[^"\\]|\\.)*)"
    | '((?:[^'\\]|\\.)*)'
    | ((?:\$\{|[^\s{};"'#])(?:\\.|\$\{|[^\s{};])*)            # a word; `${` does not open a block
    """,
    re.VERBOSE,
)

_IGNORED = """
user worker_processes worker_rlimit_nofile error_log pid events worker_connections sendfile tcp_nopush tcp_nodelay
keepalive_timeout keepalive_requests types types_hash_max_size server_names_hash_bucket_size log_format access_log
gzip gzip_types gzip_proxied gzip_comp_level gzip_min_length gzip_vary gzip_disable charset client_max_body_size
client_body_timeout client_header_timeout send_timeout error_page autoindex daemon log_not_found etag expires
"""
IGNORED = frozenset(_IGNORED.split())
"""Directives without an effect that could be seen here."""


class ConfError(Exception):
    """The configuration cannot be used; the text is nginx's `[emerg]` message."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive; `block` is None for a simple one."""

    name: str
    arguments: tuple[str, ...]
    file: str
    line: int
    block: tuple[Directive, ...] | None = None

    def refuse(self, why: str) -> ConfError:
        """An error about this directive."""
        return ConfError(f"nginx: [emerg] {why} in {self.file}:{self.line}\n")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is inherited from the outside in: http, server, location.

    Attributes:
        root: Document root.
        index: Index files.
        headers: `add_header` fields.
        default_type: Type of files with unknown endings.
        answer: `return`: status and text; None without one.
        try_files: `try_files` arguments; empty without.
        tokens: Whether the version is shown (`server_tokens`).
    """

    root: str = "/etc/nginx/html"
    index: tuple[str, ...] = ("index.html",)
    headers: tuple[tuple[str, str], ...] = ()
    default_type: str = "text/plain"
    answer: tuple[int, str] | None = None
    try_files: tuple[str, ...] = ()
    tokens: bool = True


@dataclass(frozen=True, slots=True)
class Location:
    """A `location`: modifier (empty, `=`, `^~`, `~`, `~*`), path or pattern, and its rules."""

    modifier: str
    path: str
    rules: Rules


@dataclass(frozen=True, slots=True)
class Server:
    """A `server`: ports, names, rules outside any location, and locations."""

    ports: tuple[int, ...]
    names: tuple[str, ...]
    default: bool
    rules: Rules
    locations: tuple[Location, ...] = field(default=())

    def location(self, path: str) -> Rules:
        """The rules for a path (ngx_http_core_find_location: exact, longest prefix unless a pattern matches)."""
        best: Location | None = None
        for location in self.locations:
            if location.modifier == "=" and location.path == path:
                return location.rules
            prefix = location.modifier in ("", "^~") and path.startswith(location.path)
            if prefix and (best is None or len(location.path) > len(best.path)):
                best = location
        if best is None or best.modifier != "^~":
            for location in self.locations:
                flags = re.IGNORECASE if location.modifier == "~*" else 0
                if location.modifier in ("~", "~*") and re.search(location.path, path, flags):
                    return location.rules
        return best.rules if best is not None else self.rules


def load(files: FileSystem) -> list[Server]:
    """The servers of a container's configuration.

    Raises:
        ConfError: It is not valid, or needs what is not there.
    """
    servers: list[Server] = []
    for directive in _read(files, MAIN):
        if directive.name == "http":
            _http(directive, servers)
        elif directive.name not in IGNORED:
            raise _unknown(directive)
    return servers


def choose(servers: Sequence[Server], port: int, host: str) -> Server:
    """The server for a port and a Host field: by name, else the port's default."""
    here = [server for server in servers if port in server.ports]
    for matching in (_exact, _wildcard):
        for server in here:
            if any(matching(name, host) for name in server.names):
                return server
    return next((server for server in here if server.default), here[0])


def _exact(name: str, host: str) -> bool:
    return name.lower() == host.lower()


def _wildcard(name: str, host: str) -> bool:
    if name.startswith("~"):
        return re.search(name[1:], host) is not None
    return "*" in name and fnmatchcase(host.lower(), name.lower())


def _read(files: FileSystem, path: str) -> tuple[Directive, ...]:
    try:
        text = files.read(path).decode("utf-8", "replace")
    except OSError as error:
        number = error.errno
        raise ConfError(f'nginx: [emerg] open() "{path}" failed ({number}: {error.strerror})\n') from error
    parser = _Parser(text, path)
    return tuple(_included(files, parser.block(top=True)))


def _included(files: FileSystem, directives: Sequence[Directive]) -> Iterator[Directive]:
    for directive in directives:
        if directive.name != "include":
            inner = None if directive.block is None else tuple(_included(files, directive.block))
            yield replace(directive, block=inner)
            continue
        pattern = posixpath.join("/etc/nginx", directive.arguments[0] if directive.arguments else "")
        folder, name = posixpath.split(pattern)
        if name == "mime.types":
            continue
        names = files.list(folder) if "*" in name and files.is_dir(folder) else [name]
        for entry in names:
            if "*" not in name or (fnmatchcase(entry, name) and not entry.startswith(".")):
                yield from _read(files, posixpath.join(folder, entry))


class _Parser:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = list(_tokens(text, file))
        self._at = 0

    def block(self, *, top: bool = False) -> tuple[Directive, ...]:
        directives: list[Directive] = []
        words: list[str] = []
        line = self._tokens[-1][2] if self._tokens else 1
        while self._at < len(self._tokens):
            text, mark, line = self._tokens[self._at]
            self._at += 1
            if not mark:
                words.append(text)
                continue
            if text == "}":
                if words or top:
                    raise ConfError(f'nginx: [emerg] unexpected "}}" in {self._file}:{line}\n')
                return tuple(directives)
            if not words:
                raise ConfError(f'nginx: [emerg] unexpected "{text}" in {self._file}:{line}\n')
            inner = self.block() if text == "{" else None
            directives.append(Directive(words[0], tuple(words[1:]), self._file, line, inner))
            words = []
        if words or not top:
            wanted = '";" or "}"' if words else '"}"'
            raise ConfError(f"nginx: [emerg] unexpected end of file, expecting {wanted} in {self._file}:{line}\n")
        return tuple(directives)


def _tokens(text: str, file: str) -> Iterator[tuple[str, bool, int]]:
    """Token, whether it is one of `{};`, and its line."""
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConfError(f"nginx: [emerg] unexpected end of file in {file}:{line}\n")
        mark, double, single, plain = match.groups()
        if mark:
            yield mark, True, line
        elif double is not None or single is not None or plain is not None:
            value = next(piece for piece in (double, single, plain) if piece is not None)
            yield re.sub(r"\\(.)", _unescape, value), False, line
        line += match.group().count("\n")
        at = match.end()


def _unescape(match: re.Match[str]) -> str:
    char = match.group(1)
    known = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\", " ": " "}
    return known.get(char, match.group())


def _http(directive: Directive, servers: list[Server]) -> None:
    rules = _rules(Rules(), directive.block or (), allowed=("server",))
    servers += [_server(inner, rules) for inner in directive.block or () if inner.name == "server"]


def _server(directive: Directive, outer: Rules) -> Server:
    block = directive.block or ()
    rules = _rules(outer, block, allowed=("listen", "server_name", "location"))
    ports: list[int] = []
    names: list[str] = []
    default = False
    for inner in block:
        if inner.name == "listen":
            ports.append(_port(inner))
            default = default or "default_server" in inner.arguments
        elif inner.name == "server_name":
            names += inner.arguments
    locations = tuple(_location(inner, rules) for inner in block if inner.name == "location")
    return Server(tuple(dict.fromkeys(ports)) or (80,), tuple(names), default, rules, locations)


def _port(directive: Directive) -> int:
    text = directive.arguments[0] if directive.arguments else ""
    if {"ssl", "quic", "udp"} & set(directive.arguments):
        raise directive.refuse("TLS, QUIC and UDP are not known in the embedded cluster")
    number = text.rpartition(":")[2]
    if number.isdigit() and 0 < int(number) < 65536:
        return int(number)
    if re.fullmatch(r"[0-9.]+|\[[0-9a-f:]*\]|\*|localhost", text):
        return 80
    raise directive.refuse(f'invalid port in "{text}" of the "listen" directive')


def _location(directive: Directive, outer: Rules) -> Location:
    arguments = directive.arguments
    if len(arguments) == 2 and arguments[0] in ("=", "^~", "~", "~*"):
        modifier, path = arguments
    elif len(arguments) == 1:
        modifier, path = "", arguments[0]
    else:
        raise directive.refuse('invalid number of arguments in "location" directive')
    return Location(modifier, path, _rules(replace(outer, answer=None, try_files=()), directive.block or ()))


def _rules(outer: Rules, block: Sequence[Directive], allowed: Sequence[str] = ()) -> Rules:
    rules = outer
    own_headers: list[tuple[str, str]] = []
    for directive in block:
        name, arguments = directive.name, directive.arguments
        if name in allowed or name in IGNORED:
            continue
        if name == "add_header" and len(arguments) in (2, 3):
            own_headers.append((arguments[0], arguments[1]))
        else:
            rules = _setting(rules, directive)
    return replace(rules, headers=tuple(own_headers)) if own_headers else rules


def _setting(rules: Rules, directive: Directive) -> Rules:
    name, arguments = directive.name, directive.arguments
    if name == "return" and arguments:
        return replace(rules, answer=_return(directive))
    if name == "index" and arguments:
        return replace(rules, index=arguments)
    if name == "try_files" and len(arguments) > 1:
        return replace(rules, try_files=arguments)
    single: Mapping[str, str] = {"root": "root", "default_type": "default_type"}
    if name in single and len(arguments) == 1:
        return replace(rules, **{single[name]: arguments[0]})  # type: ignore[arg-type]  # both are text
    if name == "server_tokens" and len(arguments) == 1:
        return replace(rules, tokens=arguments[0] != "off")
    raise _unknown(directive)


def _return(directive: Directive) -> tuple[int, str]:
    arguments = directive.arguments
    if arguments[0].startswith(("http://", "https://", "$scheme")):
        return 302, arguments[0]
    if not re.fullmatch(r"[1-9]\d\d", arguments[0]):
        raise directive.refuse(f'invalid return code "{arguments[0]}"')
    return int(arguments[0]), arguments[1] if len(arguments) > 1 else ""


def _unknown(directive: Directive) -> ConfError:
    return directive.refuse(f'the directive "{directive.name}" is not known in the embedded cluster,')
