"""The Common Expression Language, as far as validation rules of custom resources commonly use it.

Literals, operators, field selection and indexing, `has`, the list macros, and the standard functions on strings, lists
and maps. Not here: optional values, durations and timestamps, and Kubernetes' own libraries (quantity, ip, url, …);
a rule that uses them is refused by `compile_rule`, and whoever declares it is warned.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from labctl.embedded.api.custom.celvalues import (
    FUNCTIONS,
    METHODS,
    OPERATORS,
    CelError,
    boolean,
    iterable,
    mapping,
    number,
)

Scope = Mapping[str, Any]
Expression = Callable[[Scope], Any]


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    | (?P<int>0x[0-9a-fA-F]+|\d+)u?
    | (?P<string>r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*')
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<op>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_END = ("end", "")
_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise CelError(f"not understood from {text[at:]!r} on")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return [*found, _END]


@lru_cache(maxsize=512)
def compile_rule(text: str) -> Expression:
    """Compile an expression.

    Raises:
        CelError: It is not valid, or uses what is not here.
    """
    parser = _Parser(_tokens(text))
    expression = parser.ternary()
    if parser.peek() != _END:
        raise CelError(f"unexpected {parser.peek()[1]!r}")
    return expression


class _Parser:
    """Recursive descent; every method returns what evaluates its part."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _next(self) -> tuple[str, str]:
        found = self._tokens[self._at]
        self._at += 1
        return found

    def _accept(self, *operators: str) -> str:
        kind, text = self.peek()
        if kind in ("op", "name") and text in operators:
            self._at += 1
            return text
        return ""

    def _expect(self, operator: str) -> None:
        if not self._accept(operator):
            raise CelError(f"expected {operator!r}, found {self.peek()[1]!r}")

    def ternary(self) -> Expression:
        condition = self._binary(0)
        if not self._accept("?"):
            return condition
        yes = self.ternary()
        self._expect(":")
        no = self.ternary()
        return lambda scope: yes(scope) if boolean(condition(scope)) else no(scope)

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self._accept(*_LEVELS[level]):
            left = _apply(operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        if self._accept("!"):
            inner = self._unary()
            return lambda scope: not boolean(inner(scope))
        if self._accept("-"):
            inner = self._unary()
            return lambda scope: -number(inner(scope))
        return self._member(self._primary())

    def _member(self, value: Expression) -> Expression:
        while True:
            if self._accept("."):
                value = self._selected(value)
            elif self._accept("["):
                index = self.ternary()
                self._expect("]")
                value = _indexed(value, index)
            else:
                return value

    def _selected(self, value: Expression) -> Expression:
        kind, name = self._next()
        if kind != "name":
            raise CelError(f"expected a field name, found {name!r}")
        if not self._accept("("):
            return _field(value, _unescaped(name))
        if name in _MACROS:
            return self._macro(name, value)
        arguments = self._arguments(")")
        function = METHODS.get(name)
        if function is None:
            raise CelError(f"the function {name} is not known here")
        return lambda scope: function(value(scope), *(argument(scope) for argument in arguments))

    def _arguments(self, end: str) -> list[Expression]:
        found: list[Expression] = []
        while not self._accept(end):
            found.append(self.ternary())
            if not self._accept(","):
                self._expect(end)
                break
        return found

    def _macro(self, name: str, items: Expression) -> Expression:
        kind, variable = self._next()
        if kind != "name":
            raise CelError(f"expected a variable, found {variable!r}")
        self._expect(",")
        body = self.ternary()
        extra = self.ternary() if self._accept(",") else None
        self._expect(")")
        return _comprehension(name, items, variable, body, extra)

    def _primary(self) -> Expression:
        kind, text = self._next()
        if kind == "op":
            return self._bracketed(text)
        if kind == "name":
            return self._named(text)
        if kind == "end":
            raise CelError("unexpected end")
        value = _literal(kind, text)
        return lambda scope: value

    def _bracketed(self, text: str) -> Expression:
        if text == "(":
            inner = self.ternary()
            self._expect(")")
            return inner
        if text == "[":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if text == "{":
            return self._map()
        raise CelError(f"unexpected {text!r}")

    def _map(self) -> Expression:
        pairs: list[tuple[Expression, Expression]] = []
        while not self._accept("}"):
            key = self.ternary()
            self._expect(":")
            pairs.append((key, self.ternary()))
            if not self._accept(","):
                self._expect("}")
                break
        return lambda scope: {key(scope): value(scope) for key, value in pairs}

    def _named(self, name: str) -> Expression:
        if name in _CONSTANTS:
            constant = _CONSTANTS[name]
            return lambda scope: constant
        if not self._accept("("):
            return lambda scope: _variable(scope, name)
        if name == "has":
            return self._has()
        arguments = self._arguments(")")
        function = FUNCTIONS.get(name)
        if function is None:
            raise CelError(f"the function {name} is not known here")
        return lambda scope: function(*(argument(scope) for argument in arguments))

    def _has(self) -> Expression:
        """`has(a.b.c)`: whether the last field is there."""
        value = self._primary()
        names: list[str] = []
        while self._accept("."):
            value = _field(value, names[-1]) if names else value
            names.append(_unescaped(self._next()[1]))
        self._expect(")")
        if not names:
            raise CelError("invalid argument to has() macro")
        return lambda scope: names[-1] in mapping(value(scope))


_LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPED = {"__dot__": ".", "__dash__": "-", "__slash__": "/", "__underscores__": "__"}


def _unescaped(name: str) -> str:
    """Field names that are no identifiers are written with escapes."""
    for escaped, plain in _ESCAPED.items():
        name = name.replace(escaped, plain)
    return name[2:-2] if re.fullmatch(r"__[a-z]+__", name) else name


def _literal(kind: str, text: str) -> Any:
    if kind == "int":
        return int(text, 0)
    if kind == "float":
        return float(text)
    if text.startswith("r"):
        return text[2:-1]
    body = text[1:-1].replace('\\"', '"').replace("\\'", "'").replace('"', '\\"')
    try:
        return json.loads(f'"{body}"')
    except ValueError:
        raise CelError(f"string {text} is not understood") from None


def _apply(operator: str, left: Expression, right: Expression) -> Expression:
    if operator in ("&&", "||"):
        return _logical(left, right, decisive=operator == "||")
    function = OPERATORS[operator]
    return lambda scope: function(left(scope), right(scope))


def _logical(left: Expression, right: Expression, *, decisive: bool) -> Expression:
    """`&&` and `||`: a decisive side decides whatever happens on the other."""

    def evaluate(scope: Scope) -> bool:
        try:
            first = boolean(left(scope))
        except CelError:
            if boolean(right(scope)) is decisive:
                return decisive
            raise
        return decisive if first is decisive else boolean(right(scope))

    return evaluate


def _comprehension(
    name: str, items: Expression, variable: str, body: Expression, extra: Expression | None
) -> Expression:
    def each(scope: Scope) -> list[tuple[Any, Any]]:
        return [(item, body({**scope, variable: item})) for item in iterable(items(scope))]

    def transform(scope: Scope) -> list[Any]:
        if extra is None:
            return [result for _, result in each(scope)]
        return [extra({**scope, variable: item}) for item, chosen in each(scope) if boolean(chosen)]

    evaluators: dict[str, Expression] = {
        "all": lambda scope: all(boolean(result) for _, result in each(scope)),
        "exists": lambda scope: any(boolean(result) for _, result in each(scope)),
        "exists_one": lambda scope: sum(boolean(result) for _, result in each(scope)) == 1,
        "filter": lambda scope: [item for item, result in each(scope) if boolean(result)],
        "map": transform,
    }
    return evaluators[name]


def _variable(scope: Scope, name: str) -> Any:
    if name not in scope:
        raise CelError(f"undeclared reference to '{name}'")
    return scope[name]


def _field(value: Expression, name: str) -> Expression:
    def evaluate(scope: Scope) -> Any:
        found = mapping(value(scope))
        if name not in found:
            raise CelError(f"no such key: {name}")
        return found[name]

    return evaluate


def _indexed(value: Expression, index: Expression) -> Expression:
    def evaluate(scope: Scope) -> Any:
        holder, key = value(scope), index(scope)
        try:
            if isinstance(holder, list) and not isinstance(key, bool) and isinstance(key, int) and key >= 0:
                return holder[key]
            return mapping(holder)[key]
        except (KeyError, IndexError, TypeError):
            raise CelError(f"no such key or index: {key}") from None

    return evaluate
