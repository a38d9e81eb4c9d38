"""What was learned from rows before changes nothing about a row."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from guarded import spans
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_inputs import real_lines

from streamer.decoding.json import JsonField, Scan, Scanner
from streamer.decoding.json.scanner import PADDING

SCANNER = Scanner(
    [
        JsonField(("d", "n"), "number"),
        JsonField(("d", "p"), "decimal"),
        JsonField(("d", "i"), "integer"),
        JsonField(("d", "t"), "text"),
        JsonField(("d", "f"), "flag"),
        JsonField(("s",), "text"),
    ]
)
NUMBERS = (
    *[
        "0",
        "7",
        "-7",
        "-0",
        "01",
        "1.5",
        "61837.63000000",
        "0.00060000",
        "12345678.12345678",
        "123456789.5",
        "9007199254740993.1",
    ],
    *[
        "12345678901234567",
        "123456789012345678901",
        "1.",
        ".5",
        "1..5",
        "1.2.3",
        "1e5",
        "1E-7",
        "1e999",
        "00.5",
        "1723161255342",
    ],
    *("1723161255342", "-1723161255342.5", "9223372036854775807", "9223372036854775808"),
    *(
        "1722510000136000000",
        "12345678901234567890",
        "123456789012345678",
        "0123456789012345678",
        "9007199254740993",
    ),
    *("", "5 ", " 5"),
)
TEXTS = (
    "",
    "a",
    "trade",
    "x" * 40,
    "a:b",
    "ж",
    "a\\n",
    "\\u0041",
    "\\",
    "\x01",
    "{",
    ":",
    '":',
    '"',
    "]}",
    "1",
)
VALUES = (
    *NUMBERS,
    *(f'"{text}"' for text in (*NUMBERS, *TEXTS)),
    *("true", "false", "null", "nul", "truefalse", "[]", "{}", '["a"]', '{"a":1}', "[[", " true", "\ttrue"),
)
KEYS = ("n", "p", "i", "t", "f", "x", "y")


def found_in(scan: Scan, row: int, at: int, value: bytes) -> tuple[Any, ...]:
    """All that a scan says of a row that begins at `at`."""
    begin, size = scan.text(3)
    text = None if size[row] < 0 else value[begin[row] - at : begin[row] - at + size[row]]
    return (
        bool(scan.flagged[row]), int(scan.present[row]), int(scan.other[row]), text,
        scan.number(0)[row].tobytes(), scan.number(1)[row].tobytes(), int(scan.integer(2)[row]),
        bool(scan.flag(4)[row]), int(scan.text(5)[1][row]),
    )  # fmt: skip


def scanned(values: list[bytes]) -> list[tuple[Any, ...]]:
    arena = np.frombuffer(b"".join(values) + bytes(PADDING), np.uint8)
    at, size = spans(values)
    scan = SCANNER.scan(arena, at, size)
    return [found_in(scan, row, int(at[row]), value) for row, value in enumerate(values)]


LEVELS = (
    *(
        '[["1.5","2"]]',
        '[["1.5","2"],["61837.63000000","0.1"]]',
        f'[["{"9" * 70}"]]',
        '[["a","b","c"],["d"]]',
    ),
    *(
        "[]",
        "[[]]",
        "[[1,2]]",
        '[["a"],[]]',
        '[["a"]',
        '[["a",]]',
        '[["a"]]]',
        '[["a\\n"]]',
        '[["a"], ["b"]]',
        "7",
    ),
)


def row_of(random: Random, keys: list[str], usual: dict[str, str]) -> str:
    odd = random.choice(keys) if random.random() < 0.5 else None
    event = ",".join(f'"{key}":{random.choice(VALUES) if key == odd else usual[key]}' for key in keys)
    behind = ("", '"1.5"', '"ж"', '"a\\n"', "7", "null", "1e999", "tru", '"', "")
    for key in random.choice(("", "", "u", "uv", "f")):
        event += f',"{key}":{random.choice(LEVELS if random.random() < 0.4 else LEVELS[:4])}'
    if random.random() < 0.3:
        event += f',"{random.choice("pitq")}":{random.choice(behind)}'
    end = random.choice(("", "", "", " ", "x", "}", ',"q":1'))
    return f'{{"s":"{random.choice(("a@b", "longer@name", "q@r", "[["))}","d":{{{event}}}{end}}}'


USUAL: dict[str, tuple[str, ...]] = {
    "n": ("1.5", "22.75", "7", "null"),
    "p": ('"1.5"', '"61837.63000000"', '"0.1"'),
    "i": ("5", "1723161255342"),
    "t": ('"abc"', '""', '"trade"'),
    "f": ("true", "false"),
    "x": ('"M"', '"MARKET"'),
    "y": ("1", "12345678901"),
}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_rows_are_the_same_together_and_alone(seed: int) -> None:
    random = Random(seed)
    orders = [random.sample(KEYS, random.randint(1, len(KEYS))) for _ in range(3)]
    rows = []
    for _ in range(80):
        usual = {key: random.choice(values) for key, values in USUAL.items()}
        rows.append(row_of(random, random.choice(orders), usual).encode())
    assert scanned(rows) == [scanned([row])[0] for row in rows]


def changed(random: Random, row: bytes) -> bytes:
    """A byte taken out, put in, or turned into another."""
    at, byte = random.randrange(len(row)), random.choice(b'":,{}[]\\ 015.-aet\x00\xc3\xff\n').to_bytes()
    return random.choice(
        (row[:at] + row[at + 1 :], row[:at] + byte + row[at:], row[:at] + byte + row[at + 1 :])
    )


@pytest.mark.parametrize("seed", range(5))
def test_real_rows_that_were_changed_are_the_same_together_and_alone(seed: int) -> None:
    random = Random(seed)
    lines = [line for line in random.sample(real_lines(400), 40) if len(line) < 600]
    rows = [line if random.random() < 0.3 else changed(random, line) for line in lines * 40]
    assert scanned(rows) == [scanned([row])[0] for row in rows]


def test_a_row_like_those_before_is_flagged_where_it_is_not_valid() -> None:
    sound = b'{"s":"a","d":{"n":1.5,"p":"2.5","i":7,"t":"x","f":true}}'
    assert [found[:3] for found in scanned([sound, sound])] == [(False, 0b111111, 0)] * 2
    for at in range(len(sound)):
        for byte in b'"\\:,{}[] \x00\xff':
            row = sound[:at] + bytes([byte]) + sound[at + 1 :]
            try:
                valid = isinstance(json.loads(row), dict)
            except ValueError:
                valid = False
            flagged = scanned([sound, row, sound])[1][0]
            assert flagged or valid, row
            assert flagged == scanned([row])[0][0], row


@pytest.mark.parametrize("fields", ["xyz", "abx"])
def test_levels_behind_values_are_looked_through_whoever_wants_them(fields: str) -> None:
    row = b'{"x":1,"a":[["1","2"],["3","4"]],"b":[["5","%b"]]}'
    scanner = Scanner([JsonField((key,), "decimal") for key in fields])
    rows = [row % (b"6" * size) for size in range(1, 100)]
    rows += [each[:-2] for each in rows]
    found = scanner.scan(np.frombuffer(b"".join(rows) + bytes(PADDING), np.uint8), *spans(rows))
    assert found.flagged.tolist() == [False] * 99 + [True] * 99
    present, other = (1, 0) if fields == "xyz" else (4, 3)
    assert (set(found.present[:99].tolist()), set(found.other[:99].tolist())) == ({present}, {other})


def test_values_behind_levels_are_read() -> None:
    row = b'{"s":"a","z":[["1","2"]],"d":{"t":"%b","i":%d,"p":"%d.5"}}'
    rows = [row % (b"x" * at, at, at) for at in range(100)]
    assert [found[1:4] for found in scanned(rows)] == [(0b101110, 0, b"x" * at) for at in range(100)]
    assert [found[6] for found in scanned(rows)] == list(range(100))
    at = scanned([rows[7].replace(b'"xxxxxxx"', text) for text in (b'"\\n"', b"5", b'"\xff"', b'"x', b"[]")])
    assert [found[0] for found in at] == [True, False, True, True, False]


def test_a_text_where_another_row_has_a_number_behind_levels_is_a_text() -> None:
    rows = [
        b'{"z":[["1"]],"d":{"t":%b}}' % value for value in (b"7", b'"x"', b'"a\\n"', b"null", b'"7"', b"8")
    ]
    assert [found[:4] for found in scanned(rows)] == [
        (False, 0, 8, None),
        (False, 8, 0, b"x"),
        (True, 0, 0, None),
        (False, 0, 8, None),
        (False, 8, 0, b"7"),
        (False, 0, 8, None),
    ]


def test_a_text_that_looks_like_levels_ends_no_row() -> None:
    sound = b'{"s":"a"}'
    rows = [sound, b'{"s":"a"b[[c"}', b'{"s":"[["}', b'{"s":"a"[["c"}', sound]
    assert [found[0] for found in scanned(rows)] == [False, True, False, True, False]


@pytest.mark.parametrize("behind", [b"7{}", b"]]{}", b"{{}", b"{},{}", b"{} "])
def test_nothing_is_learned_of_a_row_without_values(behind: bytes) -> None:
    arena = np.zeros(200 + PADDING, np.uint8)
    at = np.array([0, 32, 64])

    def flagged(*rows: bytes) -> list[bool]:
        for place, row in zip(at, rows, strict=True):
            arena[place : place + len(row)] = np.frombuffer(row, np.uint8)
        return SCANNER.scan(arena, at, np.array([len(row) for row in rows])).flagged.tolist()

    assert flagged(b'{"s":"a"}', b'{"s":"b"}', b'{"s":"c"}') == [False] * 3
    assert flagged(b"{}", behind, b"{}") == [False, behind != b"{} ", False]


def test_rows_without_shape_do_not_stop_those_that_have_one() -> None:
    nested = [b'{"d":{"i":%d},"z":[{"a":1}]}' % at for at in range(700)]
    plain = [b'{"d":{"i":%d}}' % at for at in range(700)]
    rows = [*nested, *plain, *nested[::-1], *plain]
    assert [found[6] for found in scanned(rows)] == [*range(700), *range(700), *range(700)[::-1], *range(700)]


def test_more_shapes_than_are_kept() -> None:
    rows = [b'{"s":"a","d":{"i":%d,"k%d":1}}' % (at, at % 100) for at in range(1000)]
    assert [found[6] for found in scanned(rows)] == list(range(1000))


PARTS = (
    "[",
    "]",
    ",",
    '"',
    '"1.5"',
    '"61837.63000000"',
    "1",
    " ",
    '["1","2"]',
    "[]",
    "{}",
    '"a\\n"',
    '"ж"',
    "null",
)


def levels(random: Random, count: int) -> str:
    def text() -> str:
        return json.dumps(
            random.choice(("", "1", "61837.63000000", "[", "],[", ",", "x" * random.randrange(90)))
        )

    lists = [[text() for _ in range(random.choice((1, 2, 2, 3)))] for _ in range(count)]
    return "[" + ",".join("[" + ",".join(texts) + "]" for texts in lists) + "]"


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_lists_of_lists_of_texts_are_valid_or_flagged(seed: int) -> None:
    random = Random(seed)
    whole = levels(random, random.choice((1, 2, 5, 30)))
    lists = [whole]
    for _ in range(40):
        at = random.randrange(len(whole))
        to = at + random.choice((0, 0, 1, 1, 2))
        lists.append(whole[:at] + random.choice((*PARTS, "")) + whole[to:])
    rows = [f'{{"z":{each},"d":{{"i":7}}}}'.encode() for each in lists]
    for row, found in zip(rows, scanned(rows), strict=True):
        try:
            valid = isinstance(json.loads(row), dict)
        except ValueError:
            valid = False
        assert found[0] == (not valid), row
        assert found[6] == (7 if valid else 0)


@pytest.mark.parametrize("size", range(1, 140))
def test_lists_end_anywhere(size: int) -> None:
    whole = b'{"z":[["%b"],["1","2"]]}' % (b"x" * size)
    cut = [whole[:-count] for count in range(1, 16)]
    found = scanned([whole, *cut, whole])
    assert [flagged for flagged, *_ in found] == [False, *[True] * 15, False]
