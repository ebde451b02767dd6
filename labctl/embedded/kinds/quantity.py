"""`resource.Quantity`: parsing, the canonical form the API server writes, and comparison.

Source: k8s.io/apimachinery/pkg/api/resource: a number with a decimal (`m`, `k`, `M`), binary (`Ki`, `Mi`) or exponent
suffix; the suffix kind survives, precision below a nano unit is rounded away from zero.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

PATTERN_MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

_FORM = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([a-zA-Z]*)([+-]?[0-9]*)", re.ASCII)
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY_NAMES = {power: name for name, power in _BINARY.items()}
_DECIMAL_NAMES = {power: name for name, power in _DECIMAL.items()}
_NANO = Fraction(1, 10**9)
_LARGEST = 2**63 - 1


class QuantityError(ValueError):
    """The text is no quantity; the message is the API server's."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Fraction:
    """The value of a quantity, exactly.

    Raises:
        QuantityError: The text is no quantity.
    """
    return _parse(text)[0]


@lru_cache(maxsize=1024)
def canonical(text: str) -> str:
    """The quantity as the API server writes it: `1000m` is `1`, `0.5` is `500m`, `1024Mi` is `1Gi`.

    Raises:
        QuantityError: The text is no quantity.
    """
    value, style = _parse(text)
    return format_value(value, style)


def format_value(value: Fraction, style: str = "decimal") -> str:
    """A value in canonical form; `style` is `decimal`, `binary` or `exponent`."""
    if value == 0:
        return "0"
    if style == "binary" and abs(value) >= 1024 and value.denominator == 1:
        return _binary(value.numerator)
    return _decimal(value, exponent=style == "exponent")


def _parse(text: str) -> tuple[Fraction, str]:
    match = _FORM.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise QuantityError(PATTERN_MESSAGE)
    sign, whole, fraction, letters, digits = match.groups()
    scale, style = _suffix(letters, digits)
    number = Fraction(int((whole or "0") + (fraction or "")), 10 ** len(fraction or "")) * scale
    # Away from zero to whole nano units, and capped, as ParseQuantity does.
    nanos = -(-number // _NANO)
    number = min(nanos * _NANO, Fraction(_LARGEST))
    return (-number if sign == "-" else number), style


def _suffix(letters: str, digits: str) -> tuple[Fraction, str]:
    if not digits:
        if letters in _BINARY:
            return Fraction(1024 ** _BINARY[letters]), "binary"
        if letters in _DECIMAL:
            return Fraction(10) ** _DECIMAL[letters], "decimal"
    elif letters in ("e", "E") and digits not in ("+", "-") and len(digits) < 5:
        return Fraction(10) ** int(digits), "exponent"
    raise QuantityError(PATTERN_MESSAGE)


def _binary(number: int) -> str:
    power = 0
    while number % 1024 == 0 and power < 6:
        number //= 1024
        power += 1
    return f"{number}{_BINARY_NAMES[power]}" if power else str(number)


def _decimal(value: Fraction, *, exponent: bool) -> str:
    mantissa, power = int(value * 10**9), -9
    while mantissa % 10 == 0:
        mantissa //= 10
        power += 1
    while power % 3 or (power > 18 and not exponent):
        mantissa *= 10
        power -= 1
    if exponent:
        return f"{mantissa}e{power}" if power else str(mantissa)
    return f"{mantissa}{_DECIMAL_NAMES[power]}"


def round_up(value: Fraction, parts: int) -> Fraction:
    """Up (away from zero) to a whole number of `1/parts`."""
    whole = -(-abs(value) * parts // 1)
    return Fraction(whole if value >= 0 else -whole, parts)
