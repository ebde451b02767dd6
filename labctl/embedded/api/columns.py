"""How the objects of a resource are shown as a Table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labctl.embedded.clientset import Obj


@dataclass(frozen=True, slots=True)
class Columns:
    """Column definitions and the cells of an object.

    Attributes:
        definitions: `columnDefinitions`.
        cells: The cells of one object's row, at a moment.
        conditions: The row's conditions.
    """

    definitions: list[Obj]
    cells: Callable[[Obj, datetime], list[Any]]
    conditions: Callable[[Obj], list[Obj]]
