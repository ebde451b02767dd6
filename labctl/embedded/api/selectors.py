"""Label and field selectors: parsing, with the API server's messages, and matching.

Source: k8s.io/apimachinery v0.34.4 `pkg/labels/selector.go` and `pkg/fields/selector.go`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from labctl.embedded.clientset import Obj

_TOKEN = re.compile(r"\s*(?:(?P<op>==|!=|=|!|<|>|\(|\)|,)|(?P<word>[^\s=!(),<>]+))")
_BINARY = ("in", "notin", "=", "==", "!=", "gt", "lt")
_END = ""

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


class SelectorError(ValueError):
    """A selector that cannot be parsed; the text is the API server's."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector.

    Attributes:
        key: The label's key.
        operator: `in`, `notin`, `exists`, `!`, `gt` or `lt`; equalities are `in` and `notin` of one value.
        values: What the label is compared with.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil it."""
        present = self.key in labels
        match self.operator:
            case "in":
                return present and labels[self.key] in self.values
            case "notin":
                return not present or labels[self.key] not in self.values
            case "exists":
                return present
            case "!":
                return not present
        return present and self._compare(labels[self.key])

    def _compare(self, actual: str) -> bool:
        (bound,) = self.values
        if not re.fullmatch(r"[+-]?\d+", actual):
            return False
        return int(actual) > int(bound) if self.operator == "gt" else int(actual) < int(bound)


LabelSelector = tuple[Requirement, ...]


def matches_labels(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil every requirement."""
    return all(requirement.matches(labels) for requirement in selector)


class _Parser:
    """The recursive descent of `labels.Parser`; tokens are words, operators, and the empty string at the end."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at]

    def _next(self) -> str:
        word = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return word

    def parse(self) -> Iterator[Requirement]:
        while True:
            word = self._peek()
            if word == _END:
                return
            if not _is_word(word) and word != "!":
                raise SelectorError(f"found '{word}', expected: !, identifier, or 'end of string'")
            try:
                yield self._requirement()
            except SelectorError as error:
                raise SelectorError(f"unable to parse requirement: {error}") from None
            word = self._next()
            if word == _END:
                return
            if word != ",":
                raise SelectorError(f"found '{word}', expected: ',' or 'end of string'")
            if not _is_word(self._peek()) and self._peek() != "!":
                raise SelectorError(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        word = self._next()
        negated = word == "!"
        if negated:
            word = self._next()
        if not _is_word(word):
            raise SelectorError(f"found '{word}', expected: identifier")
        _check_key(word)
        if negated:
            return Requirement(word, "!")
        if self._peek() in (_END, ","):
            return Requirement(word, "exists")
        return self._binary(word)

    def _binary(self, key: str) -> Requirement:
        operator = self._next()
        if operator in ("in", "notin"):
            values = self._values()
            for value in sorted(values):
                _check_value(key, value)
            return Requirement(key, operator, values)
        named = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}.get(operator)
        if named is None:
            raise SelectorError(f"found '{operator}', expected: {', '.join(_BINARY)}")
        value = self._exact_value()
        if named in ("gt", "lt") and not re.fullmatch(r"[+-]?\d+", value):
            message = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise SelectorError(f'values[0]: Invalid value: "{value}": {message}')
        _check_value(key, value)
        return Requirement(key, named, frozenset([value]))

    def _exact_value(self) -> str:
        if self._peek() in (_END, ","):
            return ""
        word = self._next()
        if not _is_word(word):
            raise SelectorError(f"found '{word}', expected: identifier")
        return word

    def _values(self) -> frozenset[str]:
        word = self._next()
        if word != "(":
            raise SelectorError(f"found '{word}' expected: '('")
        word = self._peek()
        if word == ")":
            self._next()
            return frozenset([""])
        if not _is_word(word) and word != ",":
            raise SelectorError(f"found '{word}', expected: ',', ')' or identifier")
        values = self._identifiers()
        if self._next() != ")":
            raise SelectorError(f"found '{word}', expected: ')'")
        return values

    def _identifiers(self) -> frozenset[str]:
        values: set[str] = set()
        while True:
            word = self._next()
            if word == ",":
                values |= {""} if not values else set()
                if self._peek() == ")":
                    return frozenset(values | {""})
                if self._peek() == ",":
                    self._next()
                    values.add("")
                continue
            if not _is_word(word):
                raise SelectorError(f"found '{word}', expected: ',', or identifier")
            values.add(word)
            if self._peek() == ")":
                return frozenset(values)
            if self._peek() != ",":
                raise SelectorError(f"found '{self._peek()}', expected: ',' or ')'")


def _is_word(token: str) -> bool:
    return bool(token) and token[0] not in "=!(),<>"


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        yield match.group("op") or match.group("word")
    yield _END


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    problems: list[str] = []
    if slash and (not prefix or "/" in prefix):
        problems.append(
            "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
            if prefix
            else "prefix part must be non-empty"
        )
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        problems.append(
            "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
            "'.', and must start and end with an alphanumeric character "
            "(e.g. 'example.com', regex used for validation is "
            f"'{_SUBDOMAIN.pattern}')"
        )
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not _NAME.fullmatch(name):
        problems.append(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
            f"'{_NAME.pattern}')"
        )
    if problems:
        raise SelectorError(f'<nil>: Invalid value: "{key}": {"; ".join(problems)}')


def _check_value(key: str, value: str) -> None:
    problems: list[str] = []
    if len(value) > 63:
        problems.append("must be no more than 63 bytes")
    if not _VALUE.fullmatch(value):
        problems.append(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
            f"validation is '{_VALUE.pattern}')"
        )
    if problems:
        raise SelectorError(f'values[0][{key}]: Invalid value: "{value}": {"; ".join(problems)}')


def parse_labels(text: str) -> LabelSelector:
    """Parse a label selector, for example `a in (x,y),!b,c!=z`.

    Raises:
        SelectorError: With the API server's words.
    """
    return tuple(_Parser(text).parse())


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One term of a field selector: the field's text must (not) equal the value."""

    field: str
    value: str
    negated: bool = False


FieldSelector = tuple[FieldTerm, ...]


def parse_fields(text: str) -> FieldSelector:
    """Parse a field selector, for example `status.phase!=Running,spec.nodeName=k3s-w1`.

    Raises:
        SelectorError: With the API server's words.
    """
    terms: list[FieldTerm] = []
    for part in sorted(_split_terms(text)):
        if not part:
            continue
        match = re.match(r"(.*?)(!=|==|=)(.*)", part, re.DOTALL)
        if match is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = match.groups()
        terms.append(FieldTerm(field, _unescaped(value), operator == "!="))
    return tuple(terms)


def _split_terms(text: str) -> Sequence[str]:
    return re.split(r"(?<!\\),", text)


def _unescaped(value: str) -> str:
    def replace(match: re.Match[str]) -> str:
        sequence = match.group()
        if len(sequence) == 1:
            raise SelectorError(f"invalid field selector: unescaped character in value: {sequence}")
        if sequence[1] not in "\\,=":
            raise SelectorError(f"invalid field selector: invalid escape sequence: {sequence}")
        return sequence[1]

    if value.endswith("\\") and not value.endswith("\\\\"):
        raise SelectorError("invalid field selector: invalid escape sequence: \\")
    return re.sub(r"\\.|[,=]", replace, value)


_METADATA = frozenset({"metadata.name", "metadata.namespace"})
_SUPPORTED: Mapping[str, frozenset[str]] = {
    "pods": _METADATA
    | {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    },
    "nodes": frozenset({"metadata.name", "spec.unschedulable"}),
    "namespaces": frozenset({"metadata.name", "status.phase"}),
    "secrets": _METADATA | {"type"},
    "services": _METADATA | {"spec.clusterIP", "spec.type"},
    "replicationcontrollers": _METADATA | {"status.replicas"},
    "replicasets.apps": _METADATA | {"status.replicas"},
    "jobs.batch": _METADATA | {"status.successful"},
    "certificatesigningrequests.certificates.k8s.io": frozenset({"metadata.name", "spec.signerName"}),
    "events": _METADATA
    | {
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    },
}


def supported(resource: str, selector: FieldSelector, selectable: frozenset[str] = frozenset()) -> FieldSelector:
    """The selector, checked for the fields that the resource can be selected by.

    Args:
        resource: The resource's key.
        selector: What the client asks for.
        selectable: Further fields (a CRD's `selectableFields`).

    Raises:
        SelectorError: A field cannot be selected by.
    """
    fields = _SUPPORTED.get(resource, _METADATA) | selectable
    result: list[FieldTerm] = []
    for term in selector:
        name = "spec.nodeName" if resource == "pods" and term.field == "spec.host" else term.field
        if name not in fields:
            wording = (
                "field label not supported: {}"
                if resource in _SUPPORTED
                else '"{}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
            raise SelectorError(wording.format(name))
        result.append(FieldTerm(name, term.value, term.negated))
    return tuple(result)


def _pod_ips(obj: Obj) -> str:
    return ",".join(item.get("ip", "") for item in (obj.get("status") or {}).get("podIPs") or ())


def _event_source(obj: Obj) -> str:
    return (obj.get("source") or {}).get("component") or obj.get("reportingComponent") or ""


_COMPUTED: Mapping[str, Callable[[Obj], str]] = {
    "status.podIPs": _pod_ips,
    "source": _event_source,
    "status.successful": lambda obj: str((obj.get("status") or {}).get("succeeded") or 0),
}
_NUMBERS_AND_FLAGS = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.replicas": "0"}


def field_value(obj: Obj, field: str) -> str:
    """A selectable field's text; empty when it is not set."""
    computed = _COMPUTED.get(field)
    if computed:
        return computed(obj)
    value: object = obj
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return _NUMBERS_AND_FLAGS.get(field, "")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def matches_fields(selector: FieldSelector, obj: Obj) -> bool:
    """Whether an object fulfils every term."""
    return all((field_value(obj, term.field) == term.value) is not term.negated for term in selector)
