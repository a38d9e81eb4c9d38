"""Records of every preset, sound and odd ones, as a seeded generator makes them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from decoding.decode_once import NO_TIME, RECEIVED_NS
from decoding.fuzz import Raw, fuzz_messages

from streamer.messages.records import Record

DATA = Path(__file__).parent.parent / "data"

ODD: Sequence[object] = (
    None, True, False, "", " ", "x", "buy", "trade", "none", "1", "-1", "0", "007", "1.50", "+1",
    ".5", "5.", " 7",
    "-0", "1e400", "NaN", "12345678901234567890", "x" * 256, "x" * 257, "Ж" * 128, "Ж" * 129,
    "a\x00b", "\u202e",
    "\U0001f680", "a\tb", 0, 1, -1, 5, 1.5, 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64,
    10**20, 10**400,
    1e12, 1.0000000001e12, 1e15, 1e100, 1.1e100, 1e300, 5e-324, 0.1, 3.0, 1723161255342, "1723161255342",
    1618677817.061845, "1618677817.061845", "1618677817.0618451239", 1723161255342123456,
    "1723161255342123456",
    "2021-04-17T16:43:52.760577Z", "2200-01-01T00:00:00Z", [], {}, [1], {"a": {"b": [None]}}, ["x"],
    Raw("-0"), Raw("-0.0"), Raw("0.0"), Raw("1e400"), Raw("-1e400"), Raw("1E5"), Raw("1.0e-7"), Raw("12.0"),
    Raw("01"), Raw("NaN"), Raw("9" * 400), Raw("0." + "3" * 40), Raw("1" + "0" * 22), Raw("4.35"),
    Raw('"\\u0041"'), Raw('"\\n"'), Raw('"\\ud83d\\ude80"'), Raw('"\\ud800"'), Raw('"a\\/b"'), Raw("nul"),
    Raw("[" * 70 + "]" * 70), Raw("[" * 301 + "]" * 301), Raw('{"a":' * 65 + "1" + "}" * 65), Raw('"a'),
)  # fmt: skip
"""Values that are wrong in some places and right in others."""


def text_of(value: object) -> str:
    """JSON, in which `Raw` stands as it is."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{text_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def spoilt(random: Random, event: dict[str, Any], names: Sequence[str]) -> str:
    """An event with some of these fields replaced, added, repeated or left out."""
    event = dict(event)
    for _ in range(random.randint(1, 2)):
        name = random.choice([*names, *event])
        if random.random() < 0.8:
            event[name] = random.choice(ODD)
        else:
            event.pop(name, None)
    text = text_of(event)
    if event and random.random() < 0.1:
        name = random.choice(list(event))
        text = f"{text[:-1]},{json.dumps(name)}:{text_of(random.choice([event[name], *ODD]))}}}"
    return text


def packed(random: Random, text: str) -> bytes:
    """Bytes of it, now and then with other white space, in a list, or broken."""
    chance = random.random()
    if chance < 0.05:
        text = text.replace(":", " :\n", random.randint(1, 3)).replace(",", "\t, ", 1) + " \r\n"
    elif chance < 0.10:
        text = random.choice(("[]", f"[{text}]", f"[{text},{text}]", f"[[{text}]]", f"[{text},5]", " [ ] "))
    elif chance < 0.13:
        text = random.choice(("null", "5", '"x"', "", " ", "true", text + "}", text + "{}", "\ufeff" + text))
    value = text.encode("utf-8", "surrogatepass")
    if chance > 0.9:
        at = random.randrange(len(value) + 1)
        cut = at + random.choice((0, 0, 1, 2, 50))
        put = random.choice(
            (b"", b'"', b"\\", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"e", b"-", b",", b"}")
        )
        value = value[:at] + put + value[cut:]
    return value


Make = Callable[[Random], str]


def odd_records(random: Random, n: int, make: Make) -> list[Record]:
    """So many records of texts that `make` gives, of which some are broken or null."""
    found = []
    for number in range(n):
        value = packed(random, make(random))
        time = random.choice((RECEIVED_NS, RECEIVED_NS, RECEIVED_NS, NO_TIME, 0))
        found.append(Record(3 * number, None if random.random() < 0.02 else value, time))
    return found


def lines(name: str) -> list[bytes]:
    """A committed capture's."""
    return gzip.decompress((DATA / name).read_bytes()).splitlines()


_OWN = [json.loads(line) for line in lines("tapewatch.jsonl.gz")[:400]]
_OWN_NAMES = sorted({"venue", "no_such_field", "value", "state", "leaves_size", "reason"}.union(*_OWN))


def own_event(random: Random) -> str:
    """In the public schema."""
    event = random.choice(_OWN)
    return text_of(event) if random.random() < 0.5 else spoilt(random, event, _OWN_NAMES)


_MARKET = [
    line.split(b" ", 1)[1].decode()
    for name in ("spot_btcusdt.gz", "usdm_btcusdt.gz")
    for line in lines(name)[:300]
]
_FAULTY = [
    message.value for message in fuzz_messages(11, 500) if message.value and len(message.value) < 10_000
]
_MARKET_NAMES = ("e", "s", "p", "q", "t", "a", "T", "E", "m", "X", "b", "B", "A", "u", "lastUpdateId")


def market_event(random: Random) -> str:
    """As Binance sends it, bare or in its envelope; or something that only looks like it."""
    chance = random.random()
    if chance < 0.2:
        return random.choice(_FAULTY).decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()
    whole: dict[str, Any] = json.loads(random.choice(_MARKET))
    event, stream = whole.get("data", whole), whole.get("stream")
    if event.get("e") == "trade" and chance < 0.4:
        event = {**event, "e": "aggTrade", "a": event["t"] + 5}
    if "s" in event and chance > 0.97:
        event = {"lastUpdateId": 7, "bids": [["1.5", "2"]], "asks": []}
    elif event.get("e") == "trade" and chance > 0.93:
        event = {**event, "X": "NA", "p": "0", "q": "0"}
    if chance > 0.6:
        event = json.loads(spoilt_or(random, event, _MARKET_NAMES))
    if stream is None or random.random() < 0.4:
        return text_of(event)
    stream = random.choice((stream, stream, "btcusdt@bookTicker", "x" * 200 + "@bookTicker"))
    return text_of(
        {"stream": stream, "data": event} if random.random() < 0.9 else {"data": event, "stream": stream}
    )


def spoilt_or(random: Random, event: dict[str, Any], names: Sequence[str]) -> str:
    """A spoilt event if that is valid JSON, else the event."""
    text = spoilt(random, event, names)
    try:
        json.loads(text, parse_constant=lambda _: 1 / 0)
        text.encode()
    except (ValueError, ZeroDivisionError, RecursionError):
        return json.dumps(event)
    return text


def each_odd(events: Sequence[dict[str, Any]], names: Sequence[str]) -> list[Record]:
    """Every odd value in every place of these events."""
    texts = [
        text_of({**event, name: value}) for event in events for name in (*event, *names) for value in ODD
    ]
    values = [text.encode("utf-8", "surrogatepass") for text in dict.fromkeys(texts)]
    return [Record(number, value, RECEIVED_NS) for number, value in enumerate(values)]


def own_of_each_kind() -> list[dict[str, Any]]:
    """One event of each kind in the public schema."""
    return list({event["event_type"]: event for event in _OWN}.values())


def mapped_event(values: Mapping[str, Sequence[object]]) -> Make:
    """Makes records with what may lie at some paths, and now and then something odd."""

    def make(random: Random) -> str:
        event: dict[str, Any] = {}
        odd = random.random() < 0.4
        for path, usual in values.items():
            *outer, last = path.split(".")
            within = event
            for step in outer:
                within = within.setdefault(step, {})
            if isinstance(within, dict) and random.random() < 0.95:
                within[last] = random.choice(ODD if odd and random.random() < 0.3 else usual)
        if odd and random.random() < 0.1:
            event[next(iter(values)).split(".")[0]] = random.choice(ODD)
        return text_of(event) if random.random() < 0.95 else spoilt(random, event, list(values))

    return make
