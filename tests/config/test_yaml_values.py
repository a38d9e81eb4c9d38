"""What YAML's scalars mean, and which texts are refused as YAML."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.config.nodes import Position, plain
from streamer.config.yaml_tree import YamlError, parse


def value(text: str) -> object:
    root = parse(f"key: {text}")
    assert root is not None
    return plain(root)["key"]


@pytest.mark.parametrize(
    "text",
    [
        *("on", "off", "yes", "no", "Yes", "y", "1_000", "1:30", "12:30:45", "010", "0o17", "0x1F"),
        *(
            "2024-08-08",
            "2024-08-08T00:00:00Z",
            "1e",
            ".",
            "1.2.3",
            "nan",
            "inf",
            "10s",
            "+",
            "=",
            "~x",
            "NuLL",
        ),
    ],
)
def test_words_that_other_yaml_would_change_stay_texts(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        *(("5", 5), ("-3", -3), ("+4", 4), ("0", 0), ("1.5", 1.5), ("1e3", 1000.0), ("-.5", -0.5)),
        *(("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("2.", 2.0)),
        *(('"5"', "5"), ("''", "")),
    ],
)
def test_numbers_truth_and_nothing(text: str, meant: object) -> None:
    found = value(text)
    assert found == meant
    assert type(found) is type(meant)


def test_on_is_a_key_like_any_other() -> None:
    root = parse("{on: trade, off: 1, 5: five, true: yes}")
    assert root is not None
    assert plain(root) == {"on": "trade", "off": 1, "5": "five", "true": "yes"}


@pytest.mark.parametrize("text", [".nan", ".inf", "-.INF", "1e999", "9" * 400, "99999999999999999999"])
def test_numbers_that_cannot_be_used(text: str) -> None:
    with pytest.raises(YamlError):
        parse(f"key: {text}")


def test_anchors_and_merges_are_written_out() -> None:
    root = parse("a: &base {x: 1, y: 2}\nb: {<<: *base, y: 3}\nc: *base\nd: {<<: [*base, {z: 4}]}")
    assert root is not None
    assert plain(root)["b"] == {"x": 1, "y": 3}
    assert plain(root)["c"] == {"x": 1, "y": 2}
    assert plain(root)["d"] == {"x": 1, "y": 2, "z": 4}


def test_repeated_keys_are_all_reported() -> None:
    with pytest.raises(YamlError) as caught:
        parse("a: 1\nb: {c: 1, c: 2}\na: 2\n")
    assert [tuple(at) for at, _ in caught.value.problems] == [(2, 11), (3, 1)]


def test_exponential_aliases_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    with pytest.raises(YamlError, match="more than 20,000 values"):
        parse("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 5_000 + "x", "? " * 5_000])
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(YamlError):
        parse(text)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-#'\"\\ \t\n[]{},&*!|>%@`?~<=0123.eExuU_/\r\x85\u2028é😀")))
def test_any_text_is_a_tree_or_a_yaml_error(text: str) -> None:
    assert all(at.line >= 1 and at.column >= 1 and words for at, words in problems_of(text))


def problems_of(text: str) -> list[tuple[Position, str]]:
    try:
        parse(text)
    except YamlError as error:
        return error.problems
    return []
