"""What the fuzzer feeds: lines of real captures, JSON made up, mutations of both, and plain noise."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from random import Random

from streamer.decoding.json import JsonField

_SMALL = Path(__file__).parents[1] / "data"

TRADE = [
    *((("data", key), "decimal") for key in "pqbBaA"),
    *((("data", key), "integer") for key in "tTEu"),
    *((("data", key), "text") for key in "es"),
    (("data", "m"), "flag"),
    (("stream",), "text"),
]
BARE = [(path[1:], kind) for path, kind in TRADE if len(path) == 2]
EVENT = [
    *(((key,), "number") for key in ("price", "size", "bid_price", "ask_price")),
    *(((key,), "text") for key in ("event_type", "venue", "symbol", "aggressor_side", "trade_id")),
    *(((key,), "integer") for key in ("ts_event", "sequence")),
]
DEEP = [
    (("a",) * depth + (leaf,), kind)
    for depth in (0, 1, 3, 7)
    for leaf, kind in (("b", "text"), ("c", "number"), ("d", "flag"))
]
KEYS = sorted({key for path, _ in [*TRADE, *EVENT, *DEEP] for key in path})
KINDS = ("number", "decimal", "integer", "text", "flag")


def field_sets(random: Random) -> list[list[JsonField]]:
    """Fields of the formats there are, of deep paths, and picked at random."""
    picked = [[(key,) if random.random() < 0.5 else ("data", key)] for key in random.sample(KEYS, 16)]
    mixed = [(path, random.choice(KINDS)) for (path,) in picked if path not in {("data",)}]
    return [[JsonField(path, kind) for path, kind in fields] for fields in (TRADE, BARE, EVENT, DEEP, mixed)]


def real_lines(most: int = 30_000) -> list[bytes]:
    """JSON of captures: the large ones where `TAPEWATCH_DATA` names them, and the small ones of the tests."""
    folders = [_SMALL]
    if os.environ.get("TAPEWATCH_DATA"):
        folders.append(Path(os.environ["TAPEWATCH_DATA"]) / "binance")
    found = []
    for path in sorted(path for folder in folders for path in folder.glob("*_*.gz")):
        with gzip.open(path) as lines:
            found += [
                line.split(b" ", 1)[1].rstrip(b"\n") for _, line in zip(range(most), lines, strict=False)
            ]
    with gzip.open(_SMALL / "tapewatch.jsonl.gz") as lines:
        found += [line.rstrip(b"\n") for line in lines]
    bare = [json.dumps(json.loads(line)["data"]).encode() for line in found[::9] if b'"data"' in line]
    return found + bare


_NUMBERS = """
0 -0 1 -1 0.0 -0.0 0.1 1e5 1E-5 1e22 1e23 1.5e300 1e308 1e309 1.8e308 1e-320 5e-324 2e-324 1e-400 0e999 -0e5
123456789012345678 1234567890123456789 12345678901234567890 9223372036854775807 9223372036854775808
-9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616 9007199254740993
9007199254740992.5 9007199254740993.5 0.1234567890123456789 2.2250738585072014e-308 2.2250738585072011e-308
1.7976931348623157e308 1.7976931348623159e308 8.41e21 00 01 -01 - + +1 1. .5 1.e5 1e 1e+ 1e- 1e+05 1e00005
1e99999999999 1e-99999999999 0x10 NaN Infinity -Infinity nan inf 1_0 1.2.3 1..2 1,5 --1 1-1 1e5.5 1e5e5
12345678 123456789 1234567.89012345 12345678.12345678 123456789012345.6 1234567890123456 1234567890123456.7
0.000000000000001 00.5 1723161255342 1723161255342123 1723161255342123456 61837.63000000 0.00060000
"""
NUMBERS = [
    *_NUMBERS.split(),
    "3" * 25,
    "0." + "0" * 30 + "1",
    "1" * 400,
    "1" + "0" * 330,
    "0." + "0" * 400 + "1",
    "7" * 16,
    "7" * 17,
    "0." + "0" * 400 + "1e401",
]

TEXTS = (
    "",
    "BTCUSDT",
    "a" * 7,
    "a" * 8,
    "a" * 15,
    "a" * 16,
    "a" * 17,
    "a" * 40,
    "\\n",
    '\\"',
    "\\\\",
    "\\/",
    "\\x",
    "\\u0041",
    "\\u00e9",
    "\\u12",
    "\\uD83D\\uDE00",
    "\\ud800",
    "\\udc00x",
    "\\u00G0",
    "\\",
    "\t",
    "\x00",
    "\x1f",
    "\x7f",
    "é",
    "日本語",
    "😀",
    "aaaaaaaaaaaaaaé",
    "aaaaaaaaaaaaaaa日",
    " 1",
    "1 ",
    "+5",
    "007",
    "5.",
    ".5",
    "null",
    "true",
    "{}",
    "[",
)  # fmt: skip
_SEQUENCES = """
c080 c1bf e08080 e09fbf e0a080 eda080 edbfbf ed9fbf f0808080 f08fbfbf f0908080 f48fbfbf f4908080 f5808080
e282 e282ac c3a9 ff 80 bf f09f9880 f09f98 c280 dfbf efbfbf efbbbf c3 f8888080 fe
"""
SEQUENCES = [bytes.fromhex(code) for code in _SEQUENCES.split()]
_BROKEN = """
true false null nul True tru nullx falsy [] {} [1 [1,] [,1] [1,2] [1,,2] {1:2} {"a"} {"a":} {"a":1,} {,}
[1}2] {"a":1] [[]] [{}] [[[[[[]]]]]] {"a":{"a":1}} {"a":[{"b":"c"},1.5e3,true]} ] } "a","b" 1:2 "a":1
"""
_FRAGMENTS = _BROKEN.split()
_BYTES = b'"\\{}[]:,.-+eE0123456789 \n\t\r\x00\x0b\x1f\x7f\x80\xc3\xa9\xed\xa0\xf0\x9f\xf4\xffntfaulrsb/'
_VALUE = re.compile(rb'(?<=:)(?:"[^"]*"|[-0-9.eE]+|true|false|null)')
_KEY = re.compile(rb'"[^"]*"(?=:)')


def nearly_halfway(random: Random) -> str:
    """Of the numbers of 18 or 19 digits, one that is next to the middle between two doubles."""
    below = random.random() * 10.0 ** random.randrange(-290, 290)
    middle = (Fraction(below) + Fraction(math.nextafter(below, math.inf))) / 2
    power = math.floor(math.log10(below)) - 18
    digits = math.floor(middle / Fraction(10) ** power) + random.randrange(2)
    return f"{min(digits, 10**19 - 1)}e{power}"


class Maker:
    """Makes inputs from a seed."""

    def __init__(self, seed: int, real: list[bytes]) -> None:
        self.random = Random(seed)
        self._real = real
        self._kinds: list[tuple[float, Callable[[], bytes]]] = [
            (0.15, lambda: self.random.choice(self._real)),
            (0.45, lambda: self.mutated(self.random.choice(self._real))),
            (0.25, self.document),
            (0.12, lambda: self.mutated(self.document())),
            (0.03, self.noise),
        ]

    def one(self) -> bytes:
        """Any input."""
        weights = [weight for weight, _ in self._kinds]
        return self.random.choices(self._kinds, weights)[0][1]()

    def number(self) -> str:
        """A number, or nearly one."""
        random = self.random
        kind = random.random()
        if kind < 0.3:
            return random.choice(NUMBERS)
        if kind < 0.4:
            return f"{random.randrange(1, 10 ** random.randrange(1, 20))}e{random.randrange(-345, 312)}"
        if kind < 0.55:
            return repr(struct.unpack("d", random.randbytes(8))[0])
        if kind < 0.85:
            digits = random.randrange(1, 14)
            return (
                f"{random.randrange(10 ** random.randrange(1, 12))}.{random.randrange(10**digits):0{digits}}"
            )
        if kind < 0.92:
            return nearly_halfway(random)
        return str(random.randrange(-(10 ** random.randrange(1, 22)), 10 ** random.randrange(1, 22)))

    def text(self) -> bytes:
        """The content of a string, or nearly one."""
        random = self.random
        kind = random.random()
        if kind < 0.5:
            return random.choice(TEXTS).encode()
        if kind < 0.8:
            return self.number().encode()
        if kind < 0.85:
            return random.choice(TEXTS).encode() + random.choice(SEQUENCES)
        letters = (
            random.choice(("a", "Z", "é", "日", "😀", chr(random.randrange(32, 0xD800)))) for _ in range(20)
        )
        return "".join(letters)[: random.randrange(20)].replace('"', "").replace("\\", "").encode()

    def value(self, depth: int) -> bytes:
        """A value, or nearly one."""
        random = self.random
        kind = random.random()
        if kind < 0.35:
            return self.number().encode()
        if kind < 0.65:
            return b'"' + self.text() + b'"'
        if kind < 0.8 or depth > 8:
            return random.choice(_FRAGMENTS).encode()
        if kind < 0.93:
            return self.document(depth + 1)
        if kind < 0.94:
            deep = random.randrange(50, 70)
            return b"[" * deep + b"]" * deep
        return b"[" + self._gap(b",").join(self.value(depth + 1) for _ in range(random.randrange(4))) + b"]"

    def document(self, depth: int = 0) -> bytes:
        """An object with keys that are wanted, and others."""
        random = self.random
        keys = [key.encode() for key in random.sample(KEYS, random.randrange(7))]
        if random.random() < 0.1:
            keys += random.choices(
                [*keys, b"", b"x" * 45, b"pric\\u0065", b"\xc3\xa9", b"\xff", b"stream "], k=2
            )
        if depth < 8 and random.random() < 0.6:
            keys.append(random.choice((b"a", b"data")))
        members = []
        for key in keys:
            nested = key in (b"a", b"data") and random.random() < 0.9
            value = self.document(depth + 1) if nested and depth < 9 else self.value(depth)
            members.append(b'"' + key + b'"' + self._gap(b":") + value)
        return b"{" + self._gap(b"") + self._gap(b",").join(members) + self._gap(b"") + b"}"

    def _gap(self, mark: bytes) -> bytes:
        random = self.random
        if random.random() < 0.9:
            return mark
        blanks = (b"", b" ", b"  ", b"\n\t", b"\r\n", b"\x0b", b"\x00", b" " * 30)
        return random.choice(blanks) + (mark if random.random() < 0.97 else b"") + random.choice(blanks)

    def mutated(self, value: bytes) -> bytes:
        """A value with some of it changed."""
        random = self.random
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            place = random.randrange(len(value) + 1)
            rest = value[place:]
            kind = random.randrange(12)
            if kind == 0:
                value = value[:place] + random.choice(_BYTES).to_bytes() + rest[1:]
            elif kind == 1 and rest:
                value = value[:place] + (rest[0] ^ 1 << random.randrange(8)).to_bytes() + rest[1:]
            elif kind == 2:
                value = value[:place] + rest[random.choice((1, 1, 2, 8)) :]
            elif kind == 3:
                value = value[:place] + random.choice(_BYTES).to_bytes() + rest
            elif kind == 4:
                value = value[:place]
            elif kind == 5:
                value = value[:place] + rest[: random.randrange(40)] + rest
            elif kind == 6:
                value += random.choice((b" ", b"\n", b"}", b",", b"1", b"\x00", b"{}", value[:5]))
            elif kind == 7:
                value = value[:place] + random.choice(SEQUENCES) + rest
            elif kind == 8:
                value = self._replaced(value, _KEY, b'"' + random.choice(KEYS).encode() + b'"')
            else:
                value = self._replaced(value, _VALUE, self._given())
        return value

    def _given(self) -> bytes:
        kind = self.random.random()
        if kind < 0.3:
            return self.number().encode()
        return b'"' + self.number().encode() + b'"' if kind < 0.7 else self.value(7)

    def _replaced(self, value: bytes, what: re.Pattern[bytes], by: bytes) -> bytes:
        found = list(what.finditer(value))
        if not found:
            return value
        one = self.random.choice(found)
        return value[: one.start()] + by + value[one.end() :]

    def noise(self) -> bytes:
        """Bytes without sense, of those that have one in JSON or of all."""
        random = self.random
        size = random.randrange(60)
        return random.randbytes(size) if random.random() < 0.3 else bytes(random.choices(_BYTES, k=size))
