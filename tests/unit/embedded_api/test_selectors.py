import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.embedded.api.selectors import (
    SelectorError,
    matches_fields,
    matches_labels,
    parse_fields,
    parse_labels,
    supported,
)


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        ("", {}, True),
        ("a=b", {"a": "b"}, True),
        ("a==b", {"a": "c"}, False),
        ("a!=b", {}, True),
        ("a", {"a": ""}, True),
        ("!a", {"a": ""}, False),
        ("a in (x,y)", {"a": "y"}, True),
        ("a notin (x, y)", {"a": "y"}, False),
        ("a notin (x,y)", {}, True),
        ("a=,b", {"a": "", "b": "1"}, True),
        ("a in (,x)", {"a": ""}, True),
        ("n>1,n<10", {"n": "5"}, True),
        ("n>5", {"n": "x"}, False),
        ("k8s.io/app = web , !tier", {"k8s.io/app": "web"}, True),
        ("in in (in)", {"in": "in"}, True),
    ],
)
def test_label_selectors_choose_as_documented(text: str, labels: dict[str, str], matches: bool) -> None:
    assert matches_labels(parse_labels(text), labels) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a,", "found '', expected: identifier after ','"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
    ],
)
def test_wrong_label_selectors_are_refused_in_the_servers_words(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_labels(text)
    assert str(caught.value) == message


def test_label_keys_and_values_are_checked() -> None:
    with pytest.raises(SelectorError, match="name part must consist of alphanumeric"):
        parse_labels("-a=b")
    with pytest.raises(SelectorError, match="a valid label must be an empty string"):
        parse_labels("a=-b")
    with pytest.raises(SelectorError, match="must be no more than 63 bytes"):
        parse_labels("a=" + "b" * 64)


def test_field_selectors_read_nested_fields() -> None:
    obj = {"metadata": {"name": "p"}, "spec": {"nodeName": "w1"}, "status": {"phase": "Running"}}
    assert matches_fields(parse_fields("status.phase=Running,spec.nodeName!=w2"), obj)
    assert not matches_fields(parse_fields("status.phase==Pending"), obj)
    assert matches_fields(parse_fields("spec.hostNetwork=false"), obj)


def test_unknown_fields_of_a_selector_are_refused() -> None:
    with pytest.raises(SelectorError, match=r"field label not supported: spec\.nope"):
        supported("pods", parse_fields("spec.nope=1"))
    with pytest.raises(SelectorError, match=r"only .metadata.name., .metadata.namespace."):
        supported("ingresses.networking.k8s.io", parse_fields("spec.x=1"))
    with pytest.raises(SelectorError, match="can't understand 'x'"):
        parse_fields("x")


def test_escaped_characters_of_a_field_selector_are_data() -> None:
    (term,) = parse_fields(r"metadata.name=a\,b\=c\\d")
    assert term.value == "a,b=c\\d"
    with pytest.raises(SelectorError, match="escape"):
        parse_fields("metadata.name=a\\")


@given(st.text(alphabet="ab=!(), in<>\t-./_1", max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse_labels(text)
    except SelectorError as error:
        assert str(error)  # noqa: PT017 - both outcomes are right
