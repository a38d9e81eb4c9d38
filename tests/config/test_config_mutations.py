"""However a configuration is damaged, the answer is settings or a `ConfigError` with places in the text."""

import json
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamer.config.errors import ConfigError, Problem
from streamer.config.load import load_text
from streamer.config.nodes import plain
from streamer.config.yaml_tree import parse
from streamer.pipeline.compile import compile_plan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in EXAMPLES]
PIECES = [
    *(
        "\t",
        "\n",
        "  ",
        ":",
        ": ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "#",
        " #",
        "&a ",
        "*a",
        "!!x ",
        ">-\n",
    ),
    *("null", "true", "on", ".nan", "-1", "1e400", "0", "5", "[]", "{}", "[[1], {a: b}]", "{x: {y: [1]}}"),
    *("---\n", "\\", "\u2028", "\x85", "é", "😀", "\r\n", "<<: ", "? ", "%", "@", "`", ".", "(", ")"),
    *(" and ", " > ", "_1h", "{size}", "a" * 300, "1" * 30),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**70, "", "x", "5", "10s", "size > 5", "a" * 3000),
    *([], ["x"], [None], [[]], ["x", "x"], [{"match": {}}], [{"model": "x"}]),
    *({}, {"x": 1}, {"path": []}, {"env": 5}, {"timestamp": {}}, {"model": {}}, {"x": {"y": {}}}),
]


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        compile_plan(load_text(text, "t.yaml"))
    except ConfigError as error:
        return error.problems
    return ()


def refused_or_loaded(text: str) -> None:
    lines = text.count("\n") + text.count("\r") + 1
    for problem in problems_of(text):
        assert 1 <= problem.line <= lines + 1, problem
        assert problem.column >= 1
        assert problem.message
        assert "pydantic" not in str(problem)
        assert "Input should" not in str(problem)


@settings(deadline=None, max_examples=50)
@given(st.data(), st.sampled_from(TEXTS))
def test_damaged_text(data: st.DataObject, text: str) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        text = text[:start] + data.draw(st.sampled_from(["", *PIECES])) + text[end:]
    refused_or_loaded(text)


@settings(deadline=None, max_examples=30)
@given(st.data(), st.sampled_from(TEXTS))
def test_shuffled_lines(data: st.DataObject, text: str) -> None:
    lines = text.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        here, there = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        indent = " " * data.draw(st.integers(0, 6))
        lines[here] = indent + lines[there].lstrip()
    refused_or_loaded("\n".join(lines))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(deeper for step, item in below for deeper in paths(item, (*path, step)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


@settings(deadline=None, max_examples=65)
@given(st.data(), st.sampled_from(TEXTS))
def test_values_of_other_types(data: st.DataObject, text: str) -> None:
    root = parse(text)
    assert root is not None
    document = plain(root)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths(document)[1:]))
        document = replaced(document, path, data.draw(st.sampled_from(VALUES)))
        if not document:
            return
    refused_or_loaded(json.dumps(document))


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=200))
@example("\ufeff")
@example("a: \x00")
def test_any_text(text: str) -> None:
    refused_or_loaded(text)
