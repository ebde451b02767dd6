"""Exact claims: statuses, keys, headers, bodies and expected errors. Each broken one becomes a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from labctl.model.lab import Expectation
from labctl.model.probe import Answer, ProbePlan
from labctl.verdict.tally import Tally
from labctl.verdict.words import counted

STATUS_WORDS = {
    301: "a redirect: look at its Location header",
    302: "a redirect: look at its Location header",
    308: "a redirect, as ingress-nginx sends http to https where the Ingress has TLS",
    400: "the server did not understand the request: http sent to an https port?",
    401: "authentication is asked for",
    403: "access is denied",
    404: "no rule matches this host and path, or the Ingress has not reached the controller",
    413: "the body is larger than allowed",
    429: "a rate limit holds",
    500: "the pod failed",
    502: "the pod refused the connection or broke it off",
    503: "there is no ready endpoint behind the Service that the rule names",
    504: "the pod did not answer in time",
}
"""What a status usually means behind an ingress controller."""


def error_matches(wanted: str, name: str) -> bool:
    """Whether an expected error (`CURLE_COULDNT_CONNECT`, or without `CURLE_`, any case) is this one."""
    return name.upper() == "CURLE_" + wanted.upper().removeprefix("CURLE_")


def broken_claims(expectation: Expectation, plan: ProbePlan, found: Tally, answers: tuple[Answer, ...]) -> list[str]:
    """Every exact claim that does not hold, as a sentence; empty when all do."""
    if expectation.error:
        return list(_expected_error(expectation.error, found))
    return [
        *_errors(found),
        *_status(expectation, found),
        *_only(expectation, found),
        *_headers(expectation, plan, answers),
        *_bodies(expectation, answers),
    ]


def _expected_error(wanted: str, found: Tally) -> Iterator[str]:
    others = {name: count for name, count in found.errors.items() if not error_matches(wanted, name)}
    if found.answered:
        yield (
            f"{found.answered} of {found.requests} were answered ({_statuses(found)}), where every request had to fail "
            f"with {wanted}"
        )
    if others:
        yield f"{sum(others.values())} of {found.requests} failed otherwise than with {wanted}: {_named(found, others)}"


def _errors(found: Tally) -> Iterator[str]:
    if found.errors:
        count = sum(found.errors.values())
        many = (
            f"none of {found.requests} was answered"
            if not found.answered
            else f"{count} of {found.requests} had no answer"
        )
        yield f"{many}: {_named(found, found.errors)}"


def _named(found: Tally, errors: Mapping[str, int]) -> str:
    return ", ".join(f"{count} × {name} ({found.error_words[name]})" for name, count in errors.items())


def _status(expectation: Expectation, found: Tally) -> Iterator[str]:
    wrong = {status: count for status, count in found.status.items() if status not in expectation.status}
    if expectation.status and wrong:
        wanted = " or ".join(str(status) for status in expectation.status)
        seen = ", ".join(
            f"{count} × {status}" + (f" ({STATUS_WORDS[status]})" if status in STATUS_WORDS else "")
            for status, count in sorted(wrong.items())
        )
        yield f"{sum(wrong.values())} of {found.answered} answers had not status {wanted}: {seen}"


def _statuses(found: Tally) -> str:
    return ", ".join(f"{count} × {status}" for status, count in sorted(found.status.items()))


def _only(expectation: Expectation, found: Tally) -> Iterator[str]:
    wrong = {key: hits for key, hits in found.hits.items() if key not in expectation.only}
    if expectation.only and wrong:
        yield (
            f"{sum(wrong.values())} of {found.answered} came from {counted(wrong)}, where all had to come from "
            f"{' or '.join(expectation.only)}"
        )


def _headers(expectation: Expectation, plan: ProbePlan, answers: tuple[Answer, ...]) -> Iterator[str]:
    for name, expression in expectation.headers.items():
        # A jar sends the cookie from then on, and the server has no reason to set it again.
        once = name.lower() == "set-cookie" and plan.request.cookie_jar
        yield from _header_claim(name, expression, answers[:1] if once else answers)
    for name in expectation.absent_headers:
        there = next((value for answer in answers for value in _values(answer, name)), None)
        if there is not None:
            yield f"header {name} must not be there, but is: {there!r}"


def _header_claim(name: str, expression: str, answers: tuple[Answer, ...]) -> Iterator[str]:
    for answer in answers:
        values = _values(answer, name)
        if not any(re.fullmatch(expression, value) for value in values):
            seen = f"is {values[0]!r}" if values else "is absent"
            yield f"header {name} {seen}, where {expression!r} was expected (status {answer.status})"
            return


def _values(answer: Answer, name: str) -> list[str]:
    return [value for key, value in answer.headers if key.lower() == name.lower()]


def _bodies(expectation: Expectation, answers: tuple[Answer, ...]) -> Iterator[str]:
    for expression in expectation.body:
        for answer in answers:
            text = answer.body.decode("utf-8", "replace")
            if not re.search(expression, text):
                yield f"no {expression!r} in a body (status {answer.status}): {_first_line(text)}"
                break


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"it begins {line[:80]!r}" if line else "it is empty"


def held_claims(expectation: Expectation, found: Tally) -> str:
    """What holds, in words, where nothing statistical was asked."""
    if expectation.error:
        return f"all {found.requests} failed with {', '.join(found.errors)}, as expected"
    said = f"all {found.answered} answered: {_statuses(found)}"
    if expectation.only:
        said += f", all from {counted(found.hits)}"
    looked_at = [
        *(f"header {name}" for name in expectation.headers),
        *(f"no header {name}" for name in expectation.absent_headers),
        *(f"body with {expression!r}" for expression in expectation.body),
    ]
    return said + (f"; {', '.join(looked_at)}" if looked_at else "")
