"""Messages as they should never come, each with what must become of it; seeded, in the binance format.

Faulty ones name instruments that good streams have too, so that accepting one would show; well-formed
ones name instruments that nobody else has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import MappingProxyType
from typing import NamedTuple

IGNORED = "ignored"
"""Expected of what the format knows and only counts."""

AT_MS = 1_723_161_255_342
_YEAR_MS = 366 * 86_400_000
_STRANGERS = 40


class Message(NamedTuple):
    """A record's value, and what must become of it: a reason, `IGNORED`, or None for an event.

    ``ts_ahead`` is found by the task, and only where records have timestamps near `AT_MS`; to the
    decoder such a message is an event.
    """

    value: bytes | None
    expected: str | None


_Fields = dict[str, object]
_Make = Callable[[Random], Message]


class Raw(NamedTuple):
    """JSON text that stands as it is in place of a value."""

    text: str


def _text(value: object) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_text(part)}" for key, part in value.items()) + "}"
    return json.dumps(value)


def _trade(random: Random) -> _Fields:
    fields: _Fields = {
        "e": "trade",
        "E": AT_MS,
        "s": random.choice(("BTCUSDT", "ETHUSDT")),
        "t": random.randrange(10**10),
        "p": f"{random.uniform(1, 1e5):.8f}",
        "q": f"{random.uniform(0, 10):.8f}",
        "T": AT_MS,
        "m": random.random() < 0.5,
    }
    return {**fields, "X": "MARKET"} if random.random() < 0.5 else {**fields, "M": True}


def _book(random: Random) -> _Fields:
    fields: _Fields = {"e": "bookTicker"} if random.random() < 0.5 else {}
    fields |= {
        "u": random.randrange(10**12),
        "s": random.choice(("BTCUSDT", "ETHUSDT")),
        **{name: f"{random.uniform(1, 1e5):.8f}" for name in "bBaA"},
    }
    return {**fields, "T": AT_MS, "E": AT_MS} if "e" in fields else fields


def _packed(random: Random, event: Mapping[str, object] | Raw, stream: str = "") -> bytes:
    """Bare or in the envelope; now and then with other white space than Binance's."""
    text = _text(event)
    if not stream and not isinstance(event, Raw):
        stream = "bookTicker" if "b" in event or "B" in event else str(event.get("e", "trade"))
    if random.random() < 0.5:
        text = f'{{"stream":"btcusdt@{stream}","data":{text}}}'
    if random.random() < 0.1:
        text = text.replace('":', '" :\n ', 1) + "\n"
    return text.encode("utf-8", "surrogatepass")


def _changed(random: Random, kind: str, name: str, value: object) -> bytes:
    event = _trade(random) if kind == "trade" else _book(random)
    return _packed(random, {**event, name: value})


_NOT_FINITE: Sequence[object] = (
    Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), "NaN", "nan", "inf", "-inf", "Infinity",
    Raw("1e999"), Raw("-1e999"), "1e999", Raw("9" * 400), Raw("9" * 5000),
)  # fmt: skip
_BAD_PRICES: Sequence[object] = (
    "1e300",
    Raw("1e300"),
    "-0.01",
    -5,
    "0",
    0,
    "1e13",
    Raw("1" + "0" * 13),
    "1e-400",
)
_BAD_SIZES: Sequence[object] = ("1e300", Raw("1e300"), "-0.01", -5, "1e16", Raw("1" + "0" * 16))
_NO_NUMBERS: Sequence[object] = (
    "abc",
    "1,5",
    "1_0",
    "0x10",
    "１２",
    [],
    {},
    True,
    ["1"],
    {"p": 1},
    "1e",
    "--1",
)
_NO_TEXTS: Sequence[object] = (5, 1.5, True, [], {}, ["BTCUSDT"])
_NO_TIMES: Sequence[object] = ("soon", True, [], {}, "2024-08-08T00:00:00Z")
_PRICES = (("trade", "p"), ("book", "b"), ("book", "a"))
_SIZES = (("trade", "q"), ("book", "B"), ("book", "A"))


def _number_fault(values: Sequence[object], places: Sequence[tuple[str, str]], reason: str) -> _Make:
    def make(random: Random) -> Message:
        kind, name = random.choice(places)
        return Message(_changed(random, kind, name, random.choice(values)), reason)

    return make


def _trade_fault(name: str, values: Sequence[object], reason: str) -> _Make:
    return lambda random: Message(_changed(random, "trade", name, random.choice(values)), reason)


def _missing(random: Random) -> Message:
    kind, name = random.choice((*_PRICES, *_SIZES, ("trade", "e"), ("trade", "s"), ("book", "s")))
    event = _trade(random) if kind == "trade" else _book(random)
    if random.random() < 0.3:
        event[name] = None
    else:
        del event[name]
    return Message(_packed(random, event), "no_symbol" if name == "s" else "missing_field")


def _truncated(random: Random) -> Message:
    whole = _packed(random, _trade(random) if random.random() < 0.5 else _book(random)).rstrip()
    return Message(whole[: random.randrange(len(whole))], "bad_json")


def _garbled(random: Random) -> Message:
    text = _packed(random, _trade(random)).decode()
    change = random.choice(
        (
            lambda: text.replace('"', "'"),
            lambda: text.replace(",", "", 1),
            lambda: text + random.choice(("}", "x", "{}", "\x00")),
            lambda: text.replace(":", "=", 1),
            lambda: text.replace('"BTCUSDT"', '"\\ud800"').replace('"ETHUSDT"', '"\\udfff x"'),
            lambda: text.replace('"s":', '"s":01,"s":', 1),
            lambda: "".join(random.choice('{}[]":,abc0123 \n') for _ in range(random.randrange(1, 60))) + "{",
            lambda: random.choice(("", " ", "\n\n", "nul", "\ufeff" + text)),
        )
    )
    return Message(change().encode(), "bad_json")


def _bad_utf8(random: Random) -> Message:
    data = _packed(random, _trade(random) if random.random() < 0.5 else _book(random))
    at = data.index(b"USDT") + random.randrange(4)
    wrong = random.choice((b"\xff", b"\xc3\x28", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80"))
    return Message(data[:at] + wrong + data[at:], "bad_utf8")


def _no_object(random: Random) -> Message:
    text = random.choice(("null", "5", "1.5", '"text"', "true", "[5]", '["a"]', "[null]"))
    return Message(_packed(random, Raw(text), "trade"), "not_an_object")


_DEEP = ("[" * 400 + "]" * 400, '{"a":' * 301 + "1" + "}" * 301, "[" * 100_000, "[" * 300 + "{}" + "]" * 300)


def _deep(random: Random) -> Message:
    nested = random.choice(_DEEP)
    event = _trade(random)
    value = _packed(random, {**event, "X": Raw(nested)}) if random.random() < 0.5 else nested.encode()
    return Message(value, "too_deep")


_LARGE = b'{"e":"trade","s":"BTCUSDT","p":"1","q":"1","X":"' + b"x" * 1_100_000 + b'"}'
_MANY = ("[" + ",".join(["{}"] * 10_001) + "]").encode()


def _stranger(random: Random) -> Message:
    event = _trade(random) if random.random() < 0.5 else _book(random)
    event["s"] = f"STRANGER{random.randrange(_STRANGERS)}"
    extra = random.choice(
        (
            {},
            {"new": [1, {"deep": [None]}]},
            {"p ": "no"},
            {"W": "x" * 5000},
            {"Ж": "ключ", "n": Raw("1e999")},
        )
    )
    return Message(_packed(random, {**event, **extra}), None)


def _repeated_key(random: Random) -> Message:
    """The last one counts."""
    event = _trade(random)
    event["s"] = f"STRANGER{random.randrange(_STRANGERS)}"
    text = _text(event)
    if random.random() < 0.5:
        return Message(text.replace('"p":', '"p":"-5","p":', 1).encode(), None)
    return Message((text[:-1] + ',"p":"-5"}').encode(), "out_of_bounds")


def _late(random: Random) -> Message:
    event = _trade(random)
    event |= {"s": f"STRANGER{random.randrange(_STRANGERS)}", "T": random.randrange(AT_MS)}
    return Message(_packed(random, event), None)


def _ahead(random: Random) -> Message:
    ahead = AT_MS + random.choice((3_600_000, _YEAR_MS, 20 * _YEAR_MS))
    return Message(_changed(random, "trade", "T", ahead), "ts_ahead")


_KNOWN: Sequence[str] = (
    '{"result":null,"id":1}',
    '{"lastUpdateId":5,"bids":[],"asks":[]}',
    '{"error":{"code":2,"msg":"no"},"id":3}',
    '{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{}}}',
    '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[["1","2"]],"a":[]}',
    '{"stream":"btcusdt@depth","data":{"e":"depthUpdate","b":' + json.dumps([["1.5", "2"]] * 500) + "}}",
    '{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":1,"p":"0","q":"0","X":"NA","m":true}',
)

MAKERS: Mapping[str, tuple[int, _Make]] = MappingProxyType(
    {
        "null": (2, lambda random: Message(None, "null_value")),
        "truncated": (6, _truncated),
        "garbled": (6, _garbled),
        "bad UTF-8": (6, _bad_utf8),
        "not an object": (3, _no_object),
        "too deep": (2, _deep),
        "not finite": (8, _number_fault(_NOT_FINITE, (*_PRICES, *_SIZES), "not_finite")),
        "price out of bounds": (6, _number_fault(_BAD_PRICES, _PRICES, "out_of_bounds")),
        "size out of bounds": (6, _number_fault(_BAD_SIZES, _SIZES, "out_of_bounds")),
        "no number": (6, _number_fault(_NO_NUMBERS, (*_PRICES, *_SIZES), "wrong_type")),
        "missing": (8, _missing),
        "symbol of another type": (3, _trade_fault("s", _NO_TEXTS, "wrong_type")),
        "symbol empty": (2, _trade_fault("s", ("",), "no_symbol")),
        "symbol unfit": (
            2,
            _trade_fault("s", ("X" * 300, "BTC\x07", "\x1b[2J", "BTC\u202eUSDT"), "out_of_bounds"),
        ),
        "trade id of another type": (2, _trade_fault("t", (1.5, [], {}, True), "wrong_type")),
        "trade id too long": (2, _trade_fault("t", ("x" * 257, Raw("9" * 300)), "out_of_bounds")),
        "maker of another type": (2, _trade_fault("m", ("yes", 1, 0, "true", []), "wrong_type")),
        "no time": (3, _trade_fault("T", _NO_TIMES, "wrong_type")),
        "impossible time": (3, _trade_fault("T", (-1, 10**18, Raw("9" * 300), 1e300), "out_of_bounds")),
        "unknown kind": (3, _trade_fault("e", ("surprise", "Trade", 5, []), "unknown_kind")),
        "ahead": (3, _ahead),
        "late": (3, _late),
        "repeated key": (3, _repeated_key),
        "stranger": (8, _stranger),
        "known": (4, lambda random: Message(random.choice(_KNOWN).encode(), IGNORED)),
        "too large": (1, lambda random: Message(_LARGE, "too_large")),
        "too many events": (1, lambda random: Message(_MANY, "too_many_events")),
    }
)
"""By name: how often it is made, and what makes it."""

_RARE = frozenset({"too large", "too many events", "too deep"})


def fuzz_messages(seed: int, n: int) -> list[Message]:
    """So many messages; the same for the same seed.

    Every kind of fault is there, once n is a few hundred; the large ones are rare.
    """
    random = Random(seed)
    names = list(MAKERS)
    weights = [MAKERS[name][0] * (0.05 if name in _RARE else 1.0) for name in names]
    first = [Message(*MAKERS[name][1](random)) for name in names][:n]
    drawn = random.choices(names, weights, k=n - len(first))
    return [*first, *(MAKERS[name][1](random) for name in drawn)]
