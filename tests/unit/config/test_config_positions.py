from __future__ import annotations

from pathlib import Path

import pytest

from labctl.config.positions import parse, read_text
from labctl.errors import ConfigError, UsageError


def problems_of(text: str) -> list[tuple[int, int, str, str]]:
    try:
        document = parse(text, "f.yaml")
    except ConfigError as error:
        found = error.problems
    else:
        found = document.problems
    return [(problem.position.line, problem.position.column, problem.message, problem.hint) for problem in found]


def test_data_is_plain_and_every_value_has_a_place() -> None:
    document = parse("a:\n  - x: 1\n    y: [2, three]\n", "f.yaml")
    assert document.data == {"a": [{"x": 1, "y": [2, "three"]}]}
    assert str(document.position(("a", 0, "y", 1))) == "f.yaml:3:12"
    assert str(document.position(("a", 0, "y"), key=True)) == "f.yaml:3:5"


def test_a_path_that_does_not_exist_has_the_place_of_its_nearest_parent() -> None:
    document = parse("a:\n  b: 1\n", "f.yaml")
    assert str(document.position(("a", "nope", "deeper"))) == "f.yaml:2:3"


def test_scalars_are_read_as_helm_reads_them() -> None:
    document = parse("{a: yes, b: off, c: 30080:80, d: 2024-01-01, e: 0o17, f: 1e3, g: ~, h: 007, i: -5, j: 1.5}", "f")
    assert document.data == {
        "a": True,
        "b": False,
        "c": "30080:80",
        "d": "2024-01-01",
        "e": 15,
        "f": 1000.0,
        "g": None,
        "h": 7,
        "i": -5,
        "j": 1.5,
    }


def test_keys_are_always_text() -> None:
    assert parse("{80: a, true: b}", "f").data == {"80": "a", "true": "b"}


def test_an_alias_is_the_value_of_its_anchor() -> None:
    assert parse("a: &x {k: 1}\nb: *x\n", "f").data == {"a": {"k": 1}, "b": {"k": 1}}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: b: c\n", 1, 5, "mapping values are not allowed"),
        ("a:\n\tb: 1\n", 2, 1, "indented with a tab"),
        ("a: [1, 2\nb: 3\n", 2, 2, "did not find expected ',' or ']'"),
        ("a: 1\na: 2\n", 2, 1, "second time (first in line 1)"),
        ("a: 1\n---\nb: 2\n", 3, 1, "a second document"),
        ("a: &x [*x]\n", 1, 4, "contains itself"),
        ("? [1, 2]\n: 3\n", 1, 3, "a key must be text"),
        ("<<: {a: 1}\n", 1, 1, "merge keys"),
        ("a: !!int abc\n", 1, 4, "cannot be read as int"),
        ("a: !!python/object:os.system x\n", 1, 4, "cannot be read as"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, line: int, column: int, words: str) -> None:
    (found,) = problems_of(text)
    assert found[:2] == (line, column)
    assert words in found[2]


def test_an_open_quote_is_guessed() -> None:
    ((line, column, _, hint),) = problems_of("a: 'x\nb: 1\n")
    assert (line, column) == (1, 4)
    assert "quote" in hint


def test_deep_nesting_is_a_problem_and_no_crash() -> None:
    ((_, _, message, _),) = problems_of("[" * 100_000)
    assert "nested" in message


def test_an_empty_document_has_no_data() -> None:
    assert parse("# nothing\n", "f").data is None


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError) as caught:
        read_text(path)
    assert (caught.value.problems[0].position.line, caught.value.problems[0].position.column) == (2, 4)


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_text(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="directory"):
        read_text(tmp_path)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert parse(read_text(path), "x").data == {"a": 1}
