"""The `expect:` of a probe: what must be seen."""

from __future__ import annotations

import re
from collections.abc import Mapping

from labctl.config.decode import Fields, did_you_mean
from labctl.config.positions import KeyPath
from labctl.model.lab import Distribution, Expectation, Split
from labctl.model.probe import CountBy, KeyKind

CURL_ERRORS = (
    "CURLE_COULDNT_RESOLVE_HOST",
    "CURLE_COULDNT_CONNECT",
    "CURLE_OPERATION_TIMEDOUT",
    "CURLE_SSL_CONNECT_ERROR",
    "CURLE_GOT_NOTHING",
    "CURLE_RECV_ERROR",
    "CURLE_SEND_ERROR",
    "CURLE_PEER_FAILED_VERIFICATION",
)
"""Errors that a lab can expect, by libcurl's names (libcurl-errors(3))."""


def read_expectation(fields: Fields, by: CountBy, versions: Mapping[str, str]) -> Expectation:
    """Read an expectation.

    Args:
        fields: The `expect:` mapping; an empty one expects status 200.
        by: What the probe counts by.
        versions: The lab's versions, which are the keys when it counts by version.
    """
    error = _error(fields)
    expectation = Expectation(
        status=_status(fields, () if error else (200,)),
        split=read_split(fields, by, versions),
        only=fields.texts("only"),
        headers=fields.text_map("headers"),
        absent_headers=fields.texts("absentHeaders"),
        body=fields.texts("body"),
        error=error,
        lost=fields.integer("lost", 0, minimum=0),
    )
    _check_keys(fields, "only", expectation.only, by, versions)
    _check_patterns(fields, expectation)
    if error and len(fields.data) > 1:
        fields.note("error", "a request that fails has no answer, so nothing else can be expected of it")
    fields.done()
    return expectation


def _status(fields: Fields, default: tuple[int, ...]) -> tuple[int, ...]:
    statuses = fields.integers("status", default)
    for status in statuses:
        if not 100 <= status <= 599:
            fields.note("status", f"{status} is not an HTTP status")
    return statuses


def _error(fields: Fields) -> str:
    error = fields.text("error", "")
    if error and error not in CURL_ERRORS:
        near = did_you_mean(error, CURL_ERRORS)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(CURL_ERRORS)}"
        fields.note("error", f"{error!r} is not an error that can be expected", hint)
    return error


def read_split(fields: Fields, by: CountBy, versions: Mapping[str, str]) -> Split | None:
    """Read the `split:` of an expectation; None without one."""
    if not fields.has("split"):
        return None
    section = fields.section("split")
    split = Split(
        distribution=section.choice("distribution", Distribution),
        weights=section.number_map("weights"),
        pods_of=section.text("podsOf", ""),
        workers=section.integer("workers", 0, minimum=0, maximum=1024),
    )
    _check_split(section, split, by, versions)
    section.done()
    return split


def _check_split(fields: Fields, split: Split, by: CountBy, versions: Mapping[str, str]) -> None:
    is_weighted = split.distribution is Distribution.WEIGHTED
    if is_weighted and not split.weights:
        fields.note("", "`distribution: weighted` needs `weights:`", "for example `weights: {v1: 90, v2: 10}`")
    if split.weights and (min(split.weights.values()) < 0 or sum(split.weights.values()) <= 0):
        fields.note("weights", "weights are not negative, and at least one is more than 0")
    if not is_weighted and split.weights:
        fields.note("weights", f"`distribution: {split.distribution}` has no weights", "take `distribution: weighted`")
    if split.pods_of and by.kind is not KeyKind.POD:
        fields.note("podsOf", f"counts pods, and this probe counts by {by}", "take `by: pod`")
    if split.workers and split.distribution is not Distribution.ROUND_ROBIN:
        fields.note("workers", "only `distribution: round-robin` depends on nginx's workers")
    _check_keys(fields, "weights", tuple(split.weights), by, versions)


def _check_keys(fields: Fields, key: str, found: tuple[str, ...], by: CountBy, versions: Mapping[str, str]) -> None:
    if by.kind is not KeyKind.VERSION:
        return
    for name in found:
        if name not in versions:
            near = did_you_mean(name, versions)
            hint = f"did you mean {near!r}?" if near else f"versions: {', '.join(versions) or 'none'}"
            fields.note(key, f"{name!r} is not one of the lab's versions", hint)


def _check_patterns(fields: Fields, expectation: Expectation) -> None:
    patterns: list[tuple[KeyPath, str]] = [(("headers", name), text) for name, text in expectation.headers.items()]
    patterns += [(("body",), pattern) for pattern in expectation.body]
    for path, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            message = f"{pattern!r} is not a regular expression: {error}"
            fields.problems.add((*fields.path, *path), message)
