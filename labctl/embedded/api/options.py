"""Query parameters and bodies that say how a request is to be done: ListOptions, DeleteOptions and the like."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.embedded.api.errors import bad_request, invalid_reference
from labctl.embedded.api.requestinfo import RequestInfo
from labctl.embedded.api.selectors import (
    FieldSelector,
    LabelSelector,
    SelectorError,
    parse_fields,
    parse_labels,
    supported,
)
from labctl.embedded.clientset import ApiError, DeleteOptions, Obj
from labctl.embedded.kinds.resources import Resource
from labctl.embedded.kinds.schema import struct_type_errors
from labctl.embedded.kinds.wire import all_structs

_INT64 = 2**63
_UINT64 = 2**64
_META = "meta.k8s.io"
_FIELD_VALIDATIONS = ("Ignore", "Warn", "Strict")
_POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """`metav1.ListOptions`.

    Attributes:
        labels: Label selector.
        fields: Field selector.
        resource_version: As sent; empty when not given.
        match: `resourceVersionMatch`.
        limit: Page size; 0 for everything.
        token: `continue`.
        timeout: `timeoutSeconds`; None when not given.
        bookmarks: `allowWatchBookmarks`.
        initial_events: `sendInitialEvents`; None when not given.
    """

    labels: LabelSelector = ()
    fields: FieldSelector = ()
    resource_version: str = ""
    match: str = ""
    limit: int = 0
    token: str = ""
    timeout: int | None = None
    bookmarks: bool = False
    initial_events: bool | None = None

    @property
    def revision(self) -> int:
        """The resourceVersion as a number; 0 when not given."""
        return int(self.resource_version or 0)


def list_options(info: RequestInfo, resource: Resource, selectable: frozenset[str] = frozenset()) -> ListOptions:
    """Read a list or watch request's options.

    Raises:
        ApiError: 400 or 422 with the API server's words.
    """
    limit = _integer(info.param("limit"))
    timeout = _integer(info.param("timeoutSeconds")) if info.param("timeoutSeconds") else None
    initial = info.flag("sendInitialEvents") if "sendInitialEvents" in info.query else None
    try:
        labels = parse_labels(info.param("labelSelector"))
        fields = supported(resource.key, parse_fields(info.param("fieldSelector")), selectable)
    except SelectorError as error:
        raise bad_request(str(error)) from None
    options = ListOptions(
        labels,
        fields,
        info.param("resourceVersion"),
        info.param("resourceVersionMatch"),
        max(limit, 0),
        info.param("continue"),
        timeout,
        info.flag("allowWatchBookmarks"),
        initial,
    )
    _check_list_options(options, watching=info.verb == "watch")
    return options


def _integer(text: str) -> int:
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    value = int(text)
    if not -_INT64 <= value < _INT64:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return value


def check_revision(text: str) -> None:
    """Raise the 400 for a resourceVersion that is no number."""
    if not text:
        return
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        problem = "invalid syntax"
    elif int(text) >= _UINT64:
        problem = "value out of range"
    else:
        return
    raise bad_request(
        f'invalid resource version: resourceVersion: Invalid value: "{text}": '
        f'strconv.ParseUint: parsing "{text}": {problem}'
    )


def _check_list_options(options: ListOptions, *, watching: bool) -> None:
    check_revision(options.resource_version)
    problems: list[tuple[str, str, str]] = []
    forbidden = "FieldValueForbidden"
    match = options.match
    if watching:
        if match and options.initial_events is None:
            text = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            problems.append((forbidden, "resourceVersionMatch", text))
        if options.initial_events is not None and match != "NotOlderThan":
            text = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            problems.append((forbidden, "resourceVersionMatch", text))
    else:
        if options.initial_events is not None:
            problems.append((forbidden, "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list"))
        problems += _match_problems(options)
    if problems:
        raise invalid_reference("ListOptions", _META, "", problems)


def _match_problems(options: ListOptions) -> list[tuple[str, str, str]]:
    match, version = options.match, options.resource_version
    forbidden = "FieldValueForbidden"
    if not match:
        return []
    if match not in ("Exact", "NotOlderThan"):
        text = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        return [("FieldValueNotSupported", "resourceVersionMatch", text)]
    if options.token:
        text = "Forbidden: resourceVersionMatch is forbidden when continue is provided"
        return [(forbidden, "resourceVersionMatch", text)]
    if not version:
        text = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        return [(forbidden, "resourceVersionMatch", text)]
    if match == "Exact" and version == "0":
        text = 'Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        return [(forbidden, "resourceVersionMatch", text)]
    return []


def delete_options(info: RequestInfo, body: Any) -> tuple[DeleteOptions, bool]:
    """Read a delete request's options, from its body or else its query; and whether it is a dry run.

    Raises:
        ApiError: 400 or 422 with the API server's words.
    """
    if isinstance(body, dict) and (wrong := struct_type_errors(all_structs()["meta.DeleteOptions"], body)):
        raise bad_request(f'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: {wrong[0]}')
    given: Mapping[str, Any] = body if isinstance(body, dict) else _query_options(info)
    grace = given.get("gracePeriodSeconds")
    policy = given.get("propagationPolicy") or ""
    orphan = given.get("orphanDependents")
    _check_delete_options(policy, orphan, given.get("dryRun") or ())
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    preconditions = {key: value for key, value in (given.get("preconditions") or {}).items() if value is not None}
    return DeleteOptions(grace, policy, preconditions), "All" in (given.get("dryRun") or ())


def _query_options(info: RequestInfo) -> Obj:
    given: Obj = {"propagationPolicy": info.param("propagationPolicy"), "dryRun": list(info.query.get("dryRun", ()))}
    if info.param("gracePeriodSeconds"):
        given["gracePeriodSeconds"] = _integer(info.param("gracePeriodSeconds"))
    if "orphanDependents" in info.query:
        given["orphanDependents"] = info.flag("orphanDependents")
    return given


def _check_delete_options(policy: str, orphan: bool | None, dry_run: Sequence[str]) -> None:
    problems: list[tuple[str, str, str]] = []
    if orphan is not None and policy:
        text = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
        problems.append(("FieldValueInvalid", "propagationPolicy", text))
    if policy and policy not in _POLICIES:
        quoted = ", ".join(f'"{item}"' for item in ("Foreground", "Background", "Orphan"))
        text = f'Unsupported value: "{policy}": supported values: {quoted}, "nil"'
        problems.append(("FieldValueNotSupported", "propagationPolicy", text))
    problems += _dry_run_problems(dry_run)
    if problems:
        raise invalid_reference("DeleteOptions", _META, "", problems)


def _dry_run_problems(values: Any) -> list[tuple[str, str, str]]:
    if all(value == "All" for value in values):
        return []
    shown = ", ".join(f'"{value}"' for value in values)
    return [("FieldValueNotSupported", "dryRun", f'Unsupported value: [{shown}]: supported values: "All"')]


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """`CreateOptions`, `UpdateOptions` and `PatchOptions`.

    Attributes:
        dry_run: Do everything but store it.
        manager: `fieldManager`; the first part of the User-Agent when not given.
        given_manager: `fieldManager` as sent.
        validation: `Ignore`, `Warn` or `Strict`.
        force: Take over fields in conflict (server-side apply); None when not given.
    """

    dry_run: bool
    manager: str
    given_manager: str
    validation: str
    force: bool | None


def change_options(info: RequestInfo, user_agent: str, kind: str) -> ChangeOptions:
    """Read a create, update or patch request's options.

    Args:
        info: The request.
        user_agent: Its User-Agent header.
        kind: `CreateOptions`, `UpdateOptions` or `PatchOptions`, for the error texts.

    Raises:
        ApiError: 422, an option has a value that it cannot have.
    """
    dry_run = info.query.get("dryRun", ())
    validation = info.param("fieldValidation")
    manager = info.param("fieldManager")
    problems = _dry_run_problems(dry_run)
    if len(manager) > 128:
        text = "Too long: may not be more than 128 bytes"
        problems.append(("FieldValueTooLong", "fieldManager", text))
    if not manager.isprintable():
        text = f'Invalid value: "{manager}": should only contain printable characters'
        problems.append(("FieldValueInvalid", "fieldManager", text))
    if validation and validation not in _FIELD_VALIDATIONS:
        supported_values = '"Ignore", "Strict", "Warn"'
        text = f'Unsupported value: "{validation}": supported values: {supported_values}'
        problems.append(("FieldValueNotSupported", "fieldValidation", text))
    if problems:
        raise invalid_reference(kind, _META, "", problems)
    return ChangeOptions(
        "All" in dry_run,
        manager or default_manager(user_agent),
        manager,
        validation or "Warn",
        info.flag("force") if "force" in info.query else None,
    )


def default_manager(user_agent: str) -> str:
    """The field manager of a client that names none: its User-Agent up to the first slash."""
    first = user_agent.partition("/")[0]
    return "".join(character for character in first if character.isprintable())[:128] or "unknown"


def invalid_token(cause: str) -> ApiError:
    """400: a continue token that was not issued here."""
    return bad_request(f"invalid continue token: {cause}")
