"""A secret is a type: it shows as `***` wherever it is printed, and is revealed in one visible place."""

from __future__ import annotations

import hmac


class Secret:
    """A value that must not appear in output, argv, logs or world-readable files.

    Not a `str` on purpose: quoting, formatting or joining it cannot reveal it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; call it only where it is handed to its consumer."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(("Secret", self._value))
