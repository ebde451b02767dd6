from __future__ import annotations

import json
import shlex

import pytest

from labctl.secrets import Secret


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("p@ss word")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret:>20}", " ".join([f"{secret!r}"]), f"{[secret]}"):
        assert "p@ss" not in shown


def test_a_secret_cannot_be_quoted_or_serialised_by_accident() -> None:
    secret = Secret("p@ss word")
    with pytest.raises(TypeError):
        shlex.quote(secret)  # type: ignore[arg-type]  # that it is refused is the point
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_secrets_compare_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a").reveal() == "a"
