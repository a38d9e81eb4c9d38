"""A place inside a setting's text is found again in the file, however the text is written."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.config.nodes import Position, Scalar, find
from streamer.config.text_positions import locate
from streamer.config.yaml_tree import parse

WORDS = st.lists(st.text(alphabet="abz_><=*+()'\"\\é€", min_size=1, max_size=8), min_size=1, max_size=6)


def scalar_at(document: str, *path: str | int) -> Scalar:
    root = parse(document)
    assert root is not None
    node = find(root, path)
    assert isinstance(node, Scalar)
    return node


def assert_each_solid_character_found(document: str, scalar: Scalar, written: dict[str, str]) -> None:
    lines = document.split("\n")
    for number, line in enumerate(scalar.text.split("\n"), start=1):
        for column, char in enumerate(line, start=1):
            if not char.isspace():
                at = locate(document, scalar, number, column)
                found = lines[at.line - 1][at.column - 1 :]
                assert found.startswith(written.get(char, char)), (number, column, char)


@settings(deadline=None)
@given(WORDS, st.integers(0, 8))
def test_single_quoted(words: list[str], indent: int) -> None:
    text = " ".join(words)
    document = " " * indent + "when:   '" + text.replace("'", "''") + "'  # why"
    scalar = scalar_at(document, "when")
    assert scalar.text == text
    assert_each_solid_character_found(document, scalar, {"'": "''"})


@settings(deadline=None)
@given(WORDS, st.booleans())
@example(["a\\b", '"', "é"], True)
def test_double_quoted(words: list[str], ascii_only: bool) -> None:
    text = " ".join(words)
    document = "{when: " + json.dumps(text, ensure_ascii=ascii_only) + ", x: 1}"
    scalar = scalar_at(document, "when")
    assert scalar.text == text
    written = {'"': '\\"', "\\": "\\\\"} | ({"é": "\\u00e9", "€": "\\u20ac"} if ascii_only else {})
    assert_each_solid_character_found(document, scalar, written)


@settings(deadline=None)
@given(
    st.lists(WORDS.map(" ".join).map(lambda text: f"x{text}"), min_size=1, max_size=5), st.sampled_from("|>")
)
def test_block(lines: list[str], style: str) -> None:
    document = f"a:\n  when: {style}- # why\n" + "".join(f"     {line}\n" for line in lines) + "  b: 1\n"
    scalar = scalar_at(document, "a", "when")
    assert scalar.text == ("\n" if style == "|" else " ").join(lines)
    assert_each_solid_character_found(document, scalar, {})


@pytest.mark.parametrize(
    ("document", "place", "found"),
    [
        ("when: size > prize", (1, 8), (1, 14)),
        ("when: &name size > prize", (1, 8), (1, 20)),
        ("when: 'it''s > prize'", (1, 8), (1, 16)),
        ('when: "a\\tb > prize"', (1, 7), (1, 15)),
        ('when: "\\u0061 > prize"', (1, 5), (1, 17)),
        ("when: |\n  size >\n    prize\n", (2, 3), (3, 5)),
        ("when: >-\n  size >\n  prize\n", (1, 8), (3, 3)),
        ("when: size >\n  prize\n", (1, 8), (2, 3)),
        ("when: |2\n   size\n", (1, 2), (2, 4)),
        ("when: |\n\n  size\n", (2, 1), (3, 3)),
        ("when: |\r\n  size >\r\n  prize\r\n", (2, 1), (3, 3)),
        ("when: size >", (1, 7), (1, 13)),  # where something is missing: past the end
        ("when: 'size > '", (1, 8), (1, 15)),
        ("when: ''", (1, 1), (1, 7)),
        ("when: size", (9, 99), (1, 11)),
    ],
)
def test_examples(document: str, place: tuple[int, int], found: tuple[int, int]) -> None:
    assert locate(document, scalar_at(document, "when"), *place) == Position(*found)
