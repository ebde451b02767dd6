"""How values are merged: which maps are structs, which lists have keys, what is atomic."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from functools import cache
from typing import Any, Protocol

from labctl.embedded.kinds import wire
from labctl.embedded.kinds.wire import Field, Struct, Type
from labctl.embedded.store import encode


class Form(Enum):
    """What a value is to the merge."""

    SCALAR = auto()
    ATOMIC = auto()
    MAP = auto()
    KEYED_LIST = auto()
    SET = auto()
    ANY = auto()


class Shape(Protocol):
    """The type of a value, as far as merging it goes."""

    @property
    def form(self) -> Form:
        """What it is."""

    def child(self, name: str) -> Shape:
        """Of a map: the shape of the value under a key."""

    def is_field(self, name: str) -> bool:
        """Of a map: whether the key is a declared field rather than one of a free map."""

    def element(self) -> Shape:
        """Of a list: the shape of its elements."""

    def keys(self) -> tuple[str, ...]:
        """Of a keyed list: the keys of its elements."""

    def key_default(self, name: str) -> Any:
        """Of a keyed list: the value of a key that an element leaves out; None when it has none."""


class Untyped:
    """A value of which nothing is declared: maps are merged, lists are atomic."""

    form = Form.ANY

    def child(self, name: str) -> Shape:
        """As this one."""
        return self

    def is_field(self, name: str) -> bool:
        """No."""
        return False

    def element(self) -> Shape:
        """As this one."""
        return self

    def keys(self) -> tuple[str, ...]:
        """None."""
        return ()

    def key_default(self, name: str) -> Any:
        """None."""
        return None


UNTYPED = Untyped()


class WireShape:
    """The shape of a built-in type."""

    __slots__ = ("_children", "_element", "_keys", "_struct", "_type", "form")

    def __init__(self, kind: Type, list_type: str = "", keys: tuple[str, ...] = ()) -> None:
        self._type = kind
        self._keys = keys
        self._struct = kind.struct
        self._children: dict[str, Shape] = {}
        self._element: Shape | None = None
        self.form = _form(kind, list_type, keys)

    def child(self, name: str) -> Shape:
        """See `Shape.child`."""
        found = self._children.get(name)
        if found is None:
            field = self._struct.by_name.get(name) if self._struct else None
            if field is not None:
                found = _field_shape(field)
            elif self._type.element is not None:
                found = self.element()
            else:
                found = UNTYPED
            self._children[name] = found
        return found

    def is_field(self, name: str) -> bool:
        """See `Shape.is_field`."""
        return self._struct is not None and name in self._struct.by_name

    def element(self) -> Shape:
        """See `Shape.element`."""
        if self._element is None:
            self._element = WireShape(self._type.element) if self._type.element is not None else UNTYPED
        return self._element

    def keys(self) -> tuple[str, ...]:
        """See `Shape.keys`."""
        return self._keys

    def key_default(self, name: str) -> Any:
        """See `Shape.key_default`."""
        struct = self._type.element.struct if self._type.element else None
        field = struct.by_name.get(name) if struct else None
        return field.default if field else None


def _form(kind: Type, list_type: str, keys: tuple[str, ...]) -> Form:
    if kind.kind == "struct":
        return Form.ATOMIC if list_type == "atomic" or (kind.struct is not None and kind.struct.atomic) else Form.MAP
    if kind.kind == "map":
        return Form.ATOMIC if list_type == "atomic" else Form.MAP
    if kind.kind == "list":
        if keys:
            return Form.KEYED_LIST
        return Form.SET if list_type == "set" else Form.ATOMIC
    return Form.ANY if kind.kind in wire.OPAQUE else Form.SCALAR


def _field_shape(field: Field) -> Shape:
    return WireShape(field.type, field.list_type, field.list_keys)


@cache
def struct_shape(package: str, name: str) -> WireShape:
    """The shape of a built-in struct."""
    return WireShape(Type("struct", name, struct=wire.all_structs()[f"{package}.{name}"]))


def shape_of_struct(struct: Struct) -> WireShape:
    """The shape of a built-in kind's objects."""
    return struct_shape(struct.package, struct.name)


class SchemaShape:
    """The shape that a CustomResourceDefinition's schema declares."""

    __slots__ = ("_children", "_root", "_schema", "form")

    def __init__(self, schema: Mapping[str, Any], *, root: bool = False) -> None:
        self._schema = schema
        self._root = root
        self._children: dict[str, Shape] = {}
        self.form = _schema_form(schema)

    def child(self, name: str) -> Shape:
        """See `Shape.child`."""
        found = self._children.get(name)
        if found is None:
            found = self._children[name] = self._child(name)
        return found

    def _child(self, name: str) -> Shape:
        if self._root and name == "metadata":
            return struct_shape("meta", "ObjectMeta")
        properties = self._schema.get("properties") or {}
        if name in properties:
            return SchemaShape(properties[name])
        values = self._schema.get("additionalProperties")
        return SchemaShape(values) if isinstance(values, dict) else UNTYPED

    def is_field(self, name: str) -> bool:
        """See `Shape.is_field`."""
        return name in (self._schema.get("properties") or {}) or (self._root and name in _OBJECT_FIELDS)

    def element(self) -> Shape:
        """See `Shape.element`."""
        items = self._schema.get("items")
        return SchemaShape(items) if isinstance(items, dict) else UNTYPED

    def keys(self) -> tuple[str, ...]:
        """See `Shape.keys`."""
        return tuple(self._schema.get("x-kubernetes-list-map-keys") or ())

    def key_default(self, name: str) -> Any:
        """See `Shape.key_default`."""
        properties = (self._schema.get("items") or {}).get("properties") or {}
        return (properties.get(name) or {}).get("default")


_OBJECT_FIELDS = frozenset({"apiVersion", "kind", "metadata"})


def _schema_form(schema: Mapping[str, Any]) -> Form:
    match schema.get("type"):
        case "object":
            if schema.get("x-kubernetes-map-type") == "atomic":
                return Form.ATOMIC
            return Form.MAP if schema.get("properties") or schema.get("additionalProperties") else Form.ANY
        case "array":
            kind = schema.get("x-kubernetes-list-type")
            return {"map": Form.KEYED_LIST, "set": Form.SET}.get(kind or "", Form.ATOMIC)
        case None:
            return Form.SCALAR if schema.get("x-kubernetes-int-or-string") else Form.ANY
    return Form.SCALAR


def form_of(shape: Shape, *values: Any) -> Form:
    """The form of values of a shape; what is not declared shows it by itself."""
    if shape.form is not Form.ANY:
        return shape.form
    if any(isinstance(value, dict) for value in values):
        return Form.MAP
    return Form.ATOMIC if any(isinstance(value, list) for value in values) else Form.SCALAR


def element_key(shape: Shape, item: Any) -> str | None:
    """The path element of a list's item; None when it has no keys and no defaults for them."""
    if shape.form is Form.SET:
        return f"v:{encode(item).decode()}"
    if not isinstance(item, dict):
        return None
    pairs: dict[str, Any] = {}
    for name in sorted(shape.keys()):
        value = item.get(name)
        if value is None:
            value = shape.key_default(name)
        if value is not None:
            pairs[name] = value
    return f"k:{encode(pairs).decode()}" if pairs else None
