"""Bytes of records, changed as a broken or malicious producer might change them; seeded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

NUMBERS: Sequence[bytes] = (
    b"1e-99999999999999999999", b"1e99999999999999999999", b"0e99999999999999999999", b"-1e-400", b"1e-400",
    b"1e400", b"-1e400", b"1E+0000000000000000000000003", b"9" * 400, b"-" + b"9" * 401, b"9" * 4300,
    b"9" * 4301, b"1." + b"9" * 5000, b"0." + b"0" * 400 + b"1", b"NaN", b"nan", b"Infinity", b"-Infinity",
    b"inf", b"+inf", b"-0", b"-0.0", b"+1", b"007", b".5", b"5.", b"1_000", b"1,5", b"0x1F", b"1e", b"--1",
    b"\xd9\xa1\xd9\xa2", b"\xc2\xb2", b"9007199254740993", b"9007199254740993.0", b"9223372036854775807",
    b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"1.7976931348623159e308",
    b"5e-324", b"2.2250738585072011e-308", b"1" + b"0" * 308, b"1" + b"0" * 309, b" 7 ", b"1\xc2\xa0", b"",
    b"7258118400000", b"7258118400001", b"-1", b"1618677817.99999999999999999999999", b"4.35e0", b"1e5",
)  # fmt: skip
"""How numbers come, and how they must not; as they are, or in quotes."""

TIMES: Sequence[bytes] = (
    b"2026-02-30T00:00:00Z", b"0000-01-01T00:00:00Z", b"0001-01-01T00:00:00+23:59", b"1969-12-31T23:59:59Z",
    b"9999-12-31T23:59:59-23:59", b"2024-01-01T00:00:00+99:99", b"2024-06-30T23:59:60Z",
    b"2200-01-01T00:00:00Z",
    b"2024-01-01T24:00:00Z", b"2024-01-01 00:00:00,5 UTC", b"2024-01-01T00:00:00." + b"9" * 300 + b"Z",
    b"2024-01-01T00:00:00", b"24-01-01T00:00:00Z", b"\xef\xbc\x92024-01-01T00:00:00Z",
    b"2024-01-01T00:00:00Z ",
)  # fmt: skip
TEXTS: Sequence[bytes] = (
    rb"\ud800", rb"\udc00\ud800", rb"\ud83d\ude80", rb"\u0000", b"\x00", rb"\u", rb"\x41", b"\\", b'\\"',
    rb"\\",
    b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xf4\x90\x80\x80", b"x" * 257, rb"\u0041" * 257, b"\xe2\x80\xae",
    b"\x1b[2J", rb"\n", b"\n", b"k" * 70_000, b" ", b"",
)  # fmt: skip
VALUES: Sequence[bytes] = (
    b"null", b"true", b"false", b"[]", b"{}", b"[[]]", b'{"a":[{}]}', b"nul", b"[1,]", b'[["1","2"],["3"]]',
    b"[" * 59 + b"]" * 59, b"[" * 61 + b"]" * 61, b"[" * 299 + b"]" * 299, b"[" * 301 + b"]" * 301,
    b'{"a":' * 250 + b"1" + b"}" * 250, b"[" * 2000, b"[" * 301 + b'"' + b'\\"' * 500,
    b"[{}" + b",{}" * 300 + b"]",
)  # fmt: skip

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|-?[0-9][0-9.eE+-]*+|true|false|null')
_INSERTED = (
    b'"',
    b"\\",
    b"\x00",
    b",",
    b"}",
    b"]",
    b"{",
    b"[",
    b":",
    b"-",
    b"e",
    b"\xff",
    b" ",
    b"\n",
    b"NaN",
)

Change = Callable[[Random, bytes, bytes], bytes]


def _put(random: Random, value: bytes, make: Callable[[bytes], bytes]) -> bytes:
    """One of the values, keys included, in another form."""
    places = [found.span() for found in _TOKENS.finditer(value)]
    if not places:
        return value
    start, end = random.choice(places)
    return value[:start] + make(value[start:end]) + value[end:]


def _number(random: Random, value: bytes, other: bytes) -> bytes:
    number = random.choice(NUMBERS if random.random() < 0.8 else TIMES)
    return _put(random, value, lambda _: number if random.random() < 0.5 else b'"' + number + b'"')


def _nested(random: Random, value: bytes, other: bytes) -> bytes:
    return _put(random, value, lambda _: random.choice(VALUES))


def _text(random: Random, value: bytes, other: bytes) -> bytes:
    text = random.choice(TEXTS)

    def changed(token: bytes) -> bytes:
        inside = token.strip(b'"')
        at = random.randrange(len(inside) + 1)
        return b'"' + inside[:at] + text + inside[at:] + b'"'

    return _put(random, value, changed)


def _escaped(random: Random, value: bytes, other: bytes) -> bytes:
    """The same text, written otherwise."""
    return _put(
        random,
        value,
        lambda token: b"".join(
            b"\\u%04x" % byte if byte != ord('"') and byte < 128 and random.random() < 0.5 else bytes([byte])
            for byte in token
        ),
    )


def _truncated(random: Random, value: bytes, other: bytes) -> bytes:
    return value[: random.randrange(len(value) + 1)]


def _flipped(random: Random, value: bytes, other: bytes) -> bytes:
    changed = bytearray(value)
    for _ in range(random.randint(1, 3)):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _inserted(random: Random, value: bytes, other: bytes) -> bytes:
    at = random.randrange(len(value) + 1)
    return value[:at] + random.choice(_INSERTED) * random.choice((1, 1, 1, 2, 300)) + value[at:]


def _spliced(random: Random, value: bytes, other: bytes) -> bytes:
    return value[: random.randrange(len(value) + 1)] + other[random.randrange(len(other) + 1) :]


def _repeated(random: Random, value: bytes, other: bytes) -> bytes:
    start, end = sorted(random.randrange(len(value) + 1) for _ in range(2))
    return value[:end] + value[start:end] * random.choice((1, 2, 20)) + value[end:]


def _listed(random: Random, value: bytes, other: bytes) -> bytes:
    return random.choice(
        (b"[%b]", b"[%b,%b]", b"[[%b]]", b"[%b,5]", b"[]", b" %b\r\n", b"\xef\xbb\xbf%b")
    ).replace(b"%b", value)


CHANGES: Sequence[Change] = (
    _number, _number, _number, _nested, _nested, _text, _text, _escaped, _truncated, _flipped, _inserted,
    _spliced, _repeated, _listed,
)  # fmt: skip


def hostile(random: Random, value: bytes, other: bytes) -> bytes | None:
    """A record with one or more changes; now and then none at all."""
    if random.random() < 0.01:
        return None
    changed = value
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        changed = random.choice(CHANGES)(random, changed, other)
        if len(changed) > 200_000:
            break
    return changed
