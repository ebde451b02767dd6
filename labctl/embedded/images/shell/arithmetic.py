"""`$((…))`: C's integer arithmetic over shell variables."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, MutableMapping

_TOKEN = re.compile(
    r"\s*(?:(0[xX][0-9a-fA-F]+|\d+)|([A-Za-z_]\w*)|(<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%]=|[-+*/%<>=!~&|^?:(),]))"
)

_LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("|",),
    ("^",),
    ("&",),
    ("==", "!="),
    ("<=", ">=", "<", ">"),
    ("<<", ">>"),
    ("+", "-"),
    ("*", "/", "%"),
)


class ArithmeticError_(Exception):  # noqa: N801, N818 - the builtin's name is taken
    """The expression cannot be evaluated."""


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise ArithmeticError_("divide by zero")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _shift(left: int, right: int) -> int:
    if not 0 <= right < 64:
        return 0
    return left << right


_BINARY: dict[str, Callable[[int, int], int]] = {
    "||": lambda left, right: int(bool(left or right)),
    "&&": lambda left, right: int(bool(left and right)),
    "|": operator.or_,
    "^": operator.xor,
    "&": operator.and_,
    "==": lambda left, right: int(left == right),
    "!=": lambda left, right: int(left != right),
    "<=": lambda left, right: int(left <= right),
    ">=": lambda left, right: int(left >= right),
    "<": lambda left, right: int(left < right),
    ">": lambda left, right: int(left > right),
    "<<": _shift,
    ">>": lambda left, right: left >> min(max(right, 0), 63),
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": lambda left, right: left - right * _divide(left, right),
}


def evaluate(text: str, variables: MutableMapping[str, str]) -> int:
    """The value of an expression, as a signed 64-bit number.

    Raises:
        ArithmeticError_: It is no expression, or divides by zero.
    """
    return _Evaluator(text, variables).value()


class _Evaluator:
    def __init__(self, text: str, variables: MutableMapping[str, str]) -> None:
        self._tokens: list[str] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ArithmeticError_("arithmetic syntax error")
            self._tokens.append(match.group().strip())
            at = match.end()
        self._at = 0
        self._variables = variables

    def value(self) -> int:
        if not self._tokens:
            return 0
        result = self._assignment()
        if self._at < len(self._tokens):
            raise ArithmeticError_("arithmetic syntax error")
        return result

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        symbol = self._peek()
        self._at += 1
        return symbol

    def _assignment(self) -> int:
        name, following = self._peek(), self._tokens[self._at + 1 : self._at + 2]
        if re.fullmatch(r"[A-Za-z_]\w*", name) and following and following[0] in ("=", "+=", "-=", "*=", "/=", "%="):
            self._at += 2
            value = self._assignment()
            if following[0] != "=":
                value = _BINARY[following[0][0]](self._variable(name), value)
            self._variables[name] = str(value)
            return value
        return self._ternary()

    def _ternary(self) -> int:
        condition = self._level(0)
        if self._peek() != "?":
            return condition
        self._take()
        yes = self._assignment()
        if self._take() != ":":
            raise ArithmeticError_("malformed ?: operator")
        no = self._assignment()
        return yes if condition else no

    def _level(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._level(level + 1)
        while self._peek() in _LEVELS[level]:
            sign = self._take()
            value = _wrap(_BINARY[sign](value, self._level(level + 1)))
        return value

    def _unary(self) -> int:
        symbol = self._take()
        if symbol == "(":
            value = self._assignment()
            if self._take() != ")":
                raise ArithmeticError_("arithmetic syntax error")
            return value
        if symbol in ("-", "+", "!", "~"):
            value = self._unary()
            return {"-": -value, "+": value, "!": int(not value), "~": ~value}[symbol]
        if symbol in ("++", "--"):
            return self._step(self._take(), symbol)
        if re.fullmatch(r"[A-Za-z_]\w*", symbol):
            value = self._variable(symbol)
            if self._peek() in ("++", "--"):
                self._step(symbol, self._take())
            return value
        return _number(symbol)

    def _step(self, name: str, symbol: str) -> int:
        value = self._variable(name) + (1 if symbol == "++" else -1)
        self._variables[name] = str(value)
        return value

    def _variable(self, name: str) -> int:
        text = self._variables.get(name, "").strip()
        return _number(text) if text else 0


def _number(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    try:
        if digits.lower().startswith("0x"):
            return sign * int(digits, 16)
        return sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
    except ValueError as error:
        raise ArithmeticError_("arithmetic syntax error") from error


def _wrap(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
