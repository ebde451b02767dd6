"""The Go types of the API: which fields an object has, in which order and form they are written.

`data/types.txt` lists them as the API's Go structs declare them (v1.34): a block per package, then a block per
type, a line per field: name, mark, type, options.

Marks: none: left out when empty; `!`: required by the schema and always written; `=`: always written; `+`: required
but left out when empty. `*` before a type is a pointer: an empty value that was given is kept. Options: `merge`,
`retainKeys`, `replace` (patch strategy, `merge:KEY`), `map:KEYS`, `set`, `atomic` (list or map type of server-side
apply), `default:V`. Lines before a package's types: `string:` names its string types, `enum:` the values of one,
`alias:` what a named list or map is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources as package_data

from labctl.embedded.kinds.resources import Resource

SCALARS = frozenset({"string", "bool", "int32", "int64", "uint8", "float64"})
OPAQUE = frozenset({"RawExtension", "FieldsV1", "JSON", "any", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool"}) | {
    "JSONSchemaPropsOrStringArray"
}
SPECIAL = frozenset({"Time", "MicroTime", "Quantity", "IntOrString", "bytes", "Duration"})

_DEFAULTS: dict[str, Callable[[str], str | int | bool]] = {"int32": int, "bool": lambda text: text == "true"}
_GROUP_PACKAGES = {
    "": "core",
    "apiextensions.k8s.io": "apiextensions",
    "apiregistration.k8s.io": "apiregistration",
    "flowcontrol.apiserver.k8s.io": "flowcontrol",
    "rbac.authorization.k8s.io": "rbac",
}
# What a Go error message calls the special types.
_GO_NAMES = {
    "Time": "v1.Time",
    "MicroTime": "v1.MicroTime",
    "Quantity": "resource.Quantity",
    "IntOrString": "intstr.IntOrString",
    "bytes": "[]uint8",
    "RawExtension": "runtime.RawExtension",
    "FieldsV1": "v1.FieldsV1",
    "JSON": "v1.JSON",
    "any": "interface {}",
}


@dataclass(slots=True, eq=False, repr=False)
class Type:
    """The type of a field or element.

    Attributes:
        kind: `struct`, `list`, `map`, one of SCALARS, SPECIAL or OPAQUE.
        go: Its name as Go's error messages write it: `int32`, `v1.RestartPolicy`, `[]v1.Container`.
        element: Of a list or map.
        struct: Of a struct; filled in once all types are known.
        enum: Values of a string type that has a fixed set of them.
    """

    kind: str
    go: str
    element: Type | None = None
    struct: Struct | None = None
    enum: tuple[str, ...] = ()


@dataclass(slots=True, eq=False, repr=False)
class Field:
    """One field of a struct; see the module's marks and options."""

    name: str
    type: Type
    pointer: bool = False
    required: bool = False
    written: bool = False
    patch_strategy: str = ""
    merge_key: str = ""
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    default: str | int | bool | None = None


@dataclass(slots=True, eq=False, repr=False)
class Struct:
    """A Go struct.

    Attributes:
        package: `core/v1`, `meta`, …
        name: Go name.
        fields: In declaration order.
        by_name: The same, by JSON name.
        atomic: Whether server-side apply owns it as a whole.
        union: Discriminator and the fields it chooses between, or None.
    """

    package: str
    name: str
    fields: list[Field] = field(default_factory=list)
    by_name: dict[str, Field] = field(default_factory=dict)
    atomic: bool = False
    union: tuple[str, tuple[str, ...]] | None = None


def struct_of(resource: Resource) -> Struct | None:
    """The Go struct of a built-in resource's objects; None for custom resources."""
    return kind_struct(resource.api_version, resource.kind)


def kind_struct(api_version: str, kind: str) -> Struct | None:
    """The Go struct of a kind of the API (`Eviction` and `Scale` too); None when it is not built in."""
    group, _, version = api_version.rpartition("/")
    package = _GROUP_PACKAGES.get(group) or group.removesuffix(".k8s.io")
    return all_structs().get(f"{package}/{version}.{kind}")


@cache
def all_structs() -> dict[str, Struct]:
    """Every struct, by `package.Name`."""
    text = package_data.files("labctl.embedded.kinds").joinpath("data/types.txt").read_text(encoding="utf-8")
    return _Parser().parse(text)


class _Parser:
    """Reads types.txt; types that are named before they are declared are resolved at the end."""

    def __init__(self) -> None:
        self.structs: dict[str, Struct] = {}
        self.strings: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.enums: dict[str, tuple[str, ...]] = {}
        self.known: dict[tuple[str, str], Type] = {}
        self.pending: list[tuple[Struct, list[str]]] = []
        self.struct = Struct("", "")

    def parse(self, text: str) -> dict[str, Struct]:
        for package, line in _lines_of_packages(text):
            self._line(package, line)
        for struct, words in self.pending:
            member = self._field(struct.package, words)
            struct.fields.append(member)
            struct.by_name[member.name] = member
        return self.structs

    def _line(self, package: str, line: str) -> None:
        words = line.split()
        if line.startswith(" "):
            self.pending.append((self.struct, words))
        elif words[0] == "string:":
            self.strings.update(f"{package}.{name}" for name in words[1:])
        elif words[0] == "enum:":
            self.enums[f"{package}.{words[1]}"] = tuple(line.split(" ", 2)[2].split("|"))
        elif words[0] == "alias:":
            self.aliases[f"{package}.{words[1]}"] = words[2]
        else:
            self.struct = Struct(package, words[0], atomic="atomic" in words)
            for word in words[1:]:
                if word.startswith("union:"):
                    _, discriminator, members = word.split(":")
                    self.struct.union = (discriminator, tuple(members.split(",")))
            self.structs[f"{package}.{words[0]}"] = self.struct

    def _field(self, package: str, words: list[str]) -> Field:
        name = words[0].rstrip("!=+")
        mark = words[0][len(name) :]
        pointer = words[1].startswith("*")
        made = Field(name, self._type(package, words[1].lstrip("*")), pointer, mark in ("!", "+"), mark in ("!", "="))
        for word in words[2:]:
            option, _, value = word.partition(":")
            if option == "default":
                made.default = _DEFAULTS.get(made.type.kind, str)(value)
            elif option in ("map", "set", "atomic", "granular"):
                made.list_type, made.list_keys = option, tuple(value.split(",")) if value else ()
            else:
                made.patch_strategy, made.merge_key = option, value
        return made

    def _type(self, package: str, text: str) -> Type:
        found = self.known.get((package, text))
        if found is None:
            found = self.known[package, text] = self._make(package, text)
        return found

    def _make(self, package: str, text: str) -> Type:
        if text.startswith("*"):
            return self._type(package, text[1:])
        if text.startswith("[]"):
            element = self._type(package, text[2:])
            return Type("list", f"[]{element.go}", element)
        if text.startswith("map["):
            key, _, rest = text[4:].partition("]")
            element = self._type(package, rest)
            return Type("map", f"map[{self._type(package, key).go}]{element.go}", element)
        if text in SCALARS:
            return Type(text, text)
        if text in SPECIAL or text in OPAQUE:
            return Type(text, _GO_NAMES.get(text, f"v1.{text}"))
        return self._named(text if "." in text else f"{package}.{text}")

    def _named(self, name: str) -> Type:
        package, _, short = name.rpartition(".")
        go = f"{'v1' if package == 'meta' else package.rpartition('/')[2]}.{short}"
        if name in self.strings:
            return Type("string", go, enum=self.enums.get(name, ()))
        if name in self.aliases:
            meant = self._type(package, self.aliases[name])
            return Type(meant.kind, go, meant.element, meant.struct)
        return Type("struct", go, struct=self.structs[name])


def _lines_of_packages(text: str) -> Iterator[tuple[str, str]]:
    package = ""
    for line in text.splitlines():
        if line.startswith("["):
            package = line.strip("[]")
        elif line and not line.startswith("#"):
            yield package, line
