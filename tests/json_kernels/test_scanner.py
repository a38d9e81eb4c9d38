"""Fields of JSON rows as columns, and which rows are left to others."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest
from guarded import GuardedMemory, spans
from hypothesis import given, settings
from hypothesis import strategies as st
from scan_inputs import nearly_halfway, real_lines

import streamer.decoding.json
from streamer.decoding.json import JsonField, Scan, Scanner
from streamer.decoding.json.scanner import PADDING, readable

ALL = [
    JsonField(("n",), "number"),
    JsonField(("d",), "decimal"),
    JsonField(("i",), "integer"),
    JsonField(("t",), "text"),
    JsonField(("f",), "flag"),
    JsonField(("o", "p", "x"), "number"),
]
SCANNER = Scanner(ALL)


def scan(*rows: bytes | None, scanner: Scanner = SCANNER) -> Scan:
    joined = b"".join(row for row in rows if row is not None)
    return scanner.scan(np.frombuffer(joined + bytes(PADDING), np.uint8), *spans(rows))


def found_number(text: str, field: JsonField = ALL[0]) -> float | None:
    """The value of a number, None where its row is flagged."""
    found = scan(b'{"x":%b}' % text.encode(), scanner=Scanner([JsonField(("x",), field.type)]))
    return None if found.flagged[0] else float(found.number(0)[0])


def test_each_type_in_one_row() -> None:
    row = b' {"n": 1.5e3,\n"d":"61837.63000000","i":-7,"t":"\xc3\xa9t","f":true,"o":{"p":{"x":2}}'
    row += b',"z":[{"n":9}]}\t'
    found = scan(row)
    assert not found.flagged[0]
    assert (int(found.present[0]), int(found.other[0])) == (0b111111, 0)
    assert [found.number(i)[0] for i in (0, 1, 5)] == [1500.0, 61837.63, 2.0]
    assert (found.integer(2)[0], found.flag(4)[0]) == (-7, True)
    at, size = found.text(3)
    assert row[at[0] : at[0] + size[0]] == "ét".encode()


def test_what_is_not_there_has_its_default() -> None:
    found = scan(b"{}", None, b"no")
    assert found.flagged.tolist() == [False, True, True]
    assert found.present.tolist() == found.other.tolist() == [0, 0, 0]
    assert np.isnan(found.number(0)).all()
    assert found.integer(2).tolist() == [0, 0, 0]
    assert found.flag(4).tolist() == [False] * 3
    assert found.text(3)[1].tolist() == [-1] * 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("n", value) for value in ("null", '"1"', "true", "[]", "{}")),
        *(("d", value) for value in ('""', '"abc"', '"+5"', '"007"', '"5."', '" 1"', '"NaN"', "null", "{}")),
        *(
            ("i", value)
            for value in ("1.0", "1e3", "9223372036854775808", "-9223372036854775809", '"1"', "null")
        ),
        *(("t", value) for value in ("null", "1", "true", '["a"]')),
        *(("f", value) for value in ("null", "1", '"true"')),
    ],
)
def test_a_value_of_another_type_is_told_and_does_not_flag_its_row(field: str, value: str) -> None:
    number = "nditf".index(field)
    found = scan(b'{"%b":%b,"o":{"p":{"x":1}}}' % (field.encode(), value.encode()))
    assert not found.flagged[0]
    assert (int(found.present[0]), int(found.other[0])) == (0b100000, 1 << number)


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b" ",
        b"[]",
        b"1",
        b'{"n":1',
        b'{"n":1}x',
        b'{"n":1}{}',
        b'{"n":1,}',
        b'{,"n":1}',
        b'{"n" 1}',
        b'{"n":}',
        b'{"n":01}',
        b'{"n":1.}',
        b'{"n":NaN}',
        b'{"n":1}\x00',
        b'{"n":1,"n":2}',
        b'{"n":null,"n":2}',
        b'{"o":{"p":{}},"o":{}}',
        b'{"o":1}',
        b'{"o":null}',
        b'{"o":{"p":[]}}',
        b'{"\\u006e":1}',
        b'{"z\\n":1}',
        b'{"t":"a\\n"}',
        b'{"d":"1\\u002e5"}',
        b'{"t":"\xff"}',
        b'{"z":"\xed\xa0\x80"}',
        b'{"z":"\x1f"}',
        b'{"z":"\\ud800"}',
        b'{"z":"\\x"}',
        b'{"z":[1,]}',
        b'{"z":{"a"}}',
        b'{"z":[1}}',
        b'{"z":truE}',
        b'{"z":1e999}',
        b'{"n":-0}',
        b'{"d":"-0"}',
        b'{"n":12345678901234567890}',
        b'{"n":1e400}',
        b'{"z":' + b"[" * 100 + b"]" * 100 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_is_in_doubt_is_flagged(row: bytes) -> None:
    found = scan(b'{"n":5}', row, b'{"n":6}')
    assert found.flagged.tolist() == [False, True, False]
    assert found.present.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "row", [b'{"z":"\\u00e9\\n\\"\\\\\\/"}', b'{"z":{"n":1,"n":2}}', b'{"z":[[{"a":[]}],{}]}']
)
def test_what_nobody_asked_for_may_be_anything_valid(row: bytes) -> None:
    assert not scan(row).flagged[0]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_shortest_texts_of_doubles(value: float) -> None:
    got = found_number(repr(value))
    assert got is None or struct.pack("d", got) == struct.pack("d", value)
    if value and 1e-290 < abs(value) < 1e290:
        assert got is not None


@settings(max_examples=300)
@given(st.integers(0, 10**19 - 1), st.integers(-400, 400), st.sampled_from(["{}e{}", '"{}e{}"', '"-{}e{}"']))
def test_digits_with_an_exponent(digits: int, power: int, form: str) -> None:
    text = form.format(digits, power)
    got = found_number(text, ALL[1])
    assert got is None or struct.pack("d", got) == struct.pack("d", float(text.strip('"')))
    if digits and 1e-300 < float(f"{digits}e{power}") < 1e300:
        assert got is not None


def test_nearly_halfway_between_two_doubles_goes_to_the_nearer_one() -> None:
    random = Random(6)
    for _ in range(2000):
        text = nearly_halfway(random)
        assert found_number(text) == float(text), text


def test_halfway_between_two_doubles_goes_to_the_even_one() -> None:
    random = Random(5)
    for _ in range(2000):
        whole = random.getrandbits(53) | 1 << 53
        assert found_number(str(2 * whole + 1)) == float(2 * whole + 1)


@pytest.mark.parametrize(
    "value", [0, 1, -1, 10**15, 10**16, 10**18, 2**63 - 1, -(2**63), 1723161255342123456]
)
def test_integers(value: int) -> None:
    found = scan(b'{"i":%d}' % value)
    assert (int(found.integer(2)[0]), int(found.present[0])) == (value, 4)


def test_real_lines_are_not_flagged() -> None:
    lines = [line for line in real_lines(3000) if b'"data"' in line]
    fields = [JsonField(("data", key), "decimal") for key in "pqbBaA"] + [JsonField(("data", "s"), "text")]
    assert not scan(*lines, scanner=Scanner(fields)).flagged.any()


def test_a_row_means_the_same_in_any_company() -> None:
    lines = real_lines(500)[::3]
    fields = [JsonField(("data", key), "decimal") for key in "pq"] + [JsonField(("data", "T"), "integer")]
    scanner = Scanner(fields)
    together = scan(*lines, scanner=scanner)
    for row in range(0, len(lines), 7):
        alone = scan(lines[row], scanner=scanner)
        assert (alone.flagged[0], alone.present[0], alone.other[0]) == (
            together.flagged[row], together.present[row], together.other[row],
        )  # fmt: skip
        assert alone.integer(2)[0] == together.integer(2)[row]


def test_keys_that_are_nearly_wanted() -> None:
    keys = ["price", "price2", "pric", "prices_of_all", "prices_of_alm", "prices_of_al"]
    fields = [JsonField((key,), "integer") for key in keys[:5]]
    row = "{" + ",".join(f'"{key}":{number}' for number, key in enumerate(keys, 1)) + "}"
    found = scan(row.encode(), scanner=Scanner(fields))
    assert [int(found.integer(number)[0]) for number in range(5)] == [1, 2, 3, 4, 5]


def test_more_kinds_of_rows_than_are_remembered() -> None:
    names = [f"field_with_a_long_name_{number:03}_{'x' * (number % 9)}" for number in range(60)]
    scanner = Scanner([JsonField((name,), "integer") for name in names])
    random = Random(3)
    rows, right = [], []
    for _ in range(500):
        picked = random.sample(range(60), 20)
        blanks = [random.choice(("", " ", "  ")) for _ in picked]
        rows.append(
            (
                "{"
                + ",".join(f'"{names[i]}":{gap}{i + 1}' for i, gap in zip(picked, blanks, strict=True))
                + "}"
            ).encode()
        )
        right.append(picked)
    found = scan(*rows, scanner=scanner)
    assert not found.flagged.any()
    for row, picked in enumerate(right):
        assert [int(found.integer(number)[row]) for number in picked] == [number + 1 for number in picked]
        assert int(found.present[row]) == sum(1 << number for number in picked)


@pytest.mark.parametrize(
    ("at", "size"),
    [
        ([-1], [1]),
        ([0], [3]),
        ([3], [0]),
        ([0], [-2]),
        ([2**63 - 1], [2**63 - 1]),
        ([1], [2**63 - 1]),
        ([0, 0], [1]),
    ],
)
def test_rows_that_are_not_within_the_arena_are_refused(at: list[int], size: list[int]) -> None:
    with pytest.raises(ValueError):
        SCANNER.scan(np.zeros(2 + PADDING, np.uint8), np.array(at), np.array(size))


def test_an_arena_without_room_behind_it_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        SCANNER.scan(np.zeros(PADDING - 1, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.int64))


@pytest.mark.parametrize(
    "fields",
    [
        [JsonField((), "number")],
        [JsonField(("a",) * 9, "number")],
        [JsonField(("a",), "number"), JsonField(("a",), "text")],
        [JsonField(("a",), "number"), JsonField(("a", "b"), "text")],
        [JsonField(("\ud800",), "number")],
        [JsonField(("a",), "float")],  # type: ignore[arg-type]
        [JsonField((str(number),), "number") for number in range(63)],
        [JsonField((str(number), *"abcdefg"), "number") for number in range(20)],
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: Sequence[JsonField]) -> None:
    with pytest.raises(ValueError):
        Scanner(fields)


def test_as_many_fields_as_there_may_be() -> None:
    scanner = Scanner([JsonField((str(number),), "integer") for number in range(62)])
    row = ("{" + ",".join(f'"{number}":{number}' for number in range(62)) + "}").encode()
    found = scan(row, scanner=scanner)
    assert int(found.present[0]) == 2**62 - 1
    assert [int(found.integer(number)[0]) for number in range(62)] == list(range(62))


def test_a_column_of_another_type_is_refused() -> None:
    found = scan(b"{}")
    for ask in (found.integer, found.text, found.flag):
        with pytest.raises(TypeError, match="n is of type number"):
            ask(0)


def test_results_are_the_callers_own() -> None:
    first = scan(b'{"n":1}')
    scan(b'{"n":2}')
    assert first.number(0)[0] == 1.0


def test_nothing_is_written_beyond_the_columns() -> None:
    from streamer.decoding.json.scan_kernel import MEMORY_SIZE, scan_rows

    rows = [b'{"n":1,"d":"2","i":3,"t":"4","f":true,"o":{"p":{"x":6}}}', b"{", b"{}"] * 50
    plan = SCANNER._plan
    joined = np.frombuffer(b"".join(rows) + bytes(PADDING), np.uint8)
    written = GuardedMemory(1 << 16)
    size = len(plan.defaults) * len(rows) * 8
    for memory in (written.at_end(size), written.at_start(size)):
        columns = memory.view(np.uint64).reshape(len(plan.defaults), len(rows))
        flagged = GuardedMemory(len(rows)).at_end(len(rows)).view(np.bool_)
        table = GuardedMemory(MEMORY_SIZE * 8).at_end(MEMORY_SIZE * 8).view(np.int64)
        scan_rows(
            readable(joined, np.uint8),
            *(readable(span, np.int64) for span in spans(rows)),
            PADDING,
            *(plan.names, plan.keys, plan.objects, plan.fields, plan.defaults),
            *(table, columns, flagged),
        )
        assert flagged.tolist() == [False, True, False] * 50


def test_kernels_are_compiled_for_one_sort_of_array_only() -> None:
    from streamer.decoding.json.scan_kernel import scan_rows

    row = b'{"n":1}'
    writable = np.frombuffer(bytearray(row + bytes(PADDING)), np.uint8)
    for arena in (writable, np.frombuffer(row + bytes(PADDING), np.uint8)):
        for dtype in (np.int64, np.int32):
            found = SCANNER.scan(arena, np.zeros(1, dtype), np.array([len(row)], dtype))
            assert found.number(0)[0] == 1.0
    assert len(scan_rows.signatures) == 1


PAGE = (Path(__file__).parents[2] / "docs" / "scanning.md").read_text("utf-8")


def test_the_page_about_it_names_the_parts_there_are() -> None:
    parts = {path.name for path in Path(streamer.decoding.json.__file__).parent.glob("[a-z]*.py")}
    assert parts == set(re.findall(r"`([a-z_]+\.py)`", PAGE))


def test_the_example_on_the_page_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print.*?  # (.+)$", code, re.MULTILINE)
