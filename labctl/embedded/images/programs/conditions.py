"""test(1)."""

from __future__ import annotations

from collections.abc import Callable

from labctl.embedded.images.filesystem import Directory, Executable, File, Link
from labctl.embedded.images.process import Process


class TestSyntaxError(Exception):
    """The expression makes no sense."""

    __test__ = False  # no test case for pytest


_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda left, right: left == right,
    "-ne": lambda left, right: left != right,
    "-lt": lambda left, right: left < right,
    "-le": lambda left, right: left <= right,
    "-gt": lambda left, right: left > right,
    "-ge": lambda left, right: left >= right,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda left, right: left == right,
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
}
_UNARY = ("-e", "-f", "-d", "-L", "-h", "-s", "-r", "-w", "-x", "-z", "-n", "-t")


def evaluate_test(arguments: list[str], process: Process) -> bool:
    """The truth of an expression.

    Raises:
        TestSyntaxError: It is none.
    """
    return _Test(arguments, process).value()


class _Test:
    def __init__(self, arguments: list[str], process: Process) -> None:
        self._rest = list(arguments)
        self._process = process

    def value(self) -> bool:
        if not self._rest:
            return False
        result = self._or()
        if self._rest:
            raise TestSyntaxError(f"{self._rest[0]}: unexpected operator")
        return result

    def _or(self) -> bool:
        result = self._and()
        while self._rest[:1] == ["-o"]:
            self._rest.pop(0)
            right = self._and()
            result = result or right
        return result

    def _and(self) -> bool:
        result = self._not()
        while self._rest[:1] == ["-a"]:
            self._rest.pop(0)
            right = self._not()
            result = result and right
        return result

    def _not(self) -> bool:
        if self._rest[:1] == ["!"] and len(self._rest) > 1:
            self._rest.pop(0)
            return not self._not()
        return self._primary()

    def _primary(self) -> bool:
        rest = self._rest
        if len(rest) >= 3 and (rest[1] in _NUMBERS or rest[1] in _TEXTS):
            left, operator, right = rest[:3]
            del rest[:3]
            if operator in _TEXTS:
                return _TEXTS[operator](left, right)
            return _NUMBERS[operator](_number(left), _number(right))
        if rest[:1] == ["("]:
            rest.pop(0)
            result = self._or()
            if rest[:1] != [")"]:
                raise TestSyntaxError("closing paren expected")
            rest.pop(0)
            return result
        if len(rest) >= 2 and rest[0] in _UNARY:
            operator, operand = rest[:2]
            del rest[:2]
            return self._unary(operator, operand)
        if not rest:
            raise TestSyntaxError("argument expected")
        return rest.pop(0) != ""

    def _unary(self, operator: str, operand: str) -> bool:
        if operator in ("-z", "-n"):
            return (operand == "") == (operator == "-z")
        if operator == "-t":
            return self._process.tty
        try:
            node = self._process.files.stat(self._process.path(operand), follow=operator not in ("-L", "-h"))
        except OSError:
            return False
        if operator in ("-f", "-d", "-L", "-h"):
            kind = {"-f": (File, Executable), "-d": (Directory,), "-L": (Link,), "-h": (Link,)}[operator]
            return isinstance(node, kind)
        if operator == "-s":
            return not isinstance(node, File) or len(node.content()) > 0
        return operator != "-x" or bool(node.mode & 0o111)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise TestSyntaxError(f"{text}: bad number") from error
