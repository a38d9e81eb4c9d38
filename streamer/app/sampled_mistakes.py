"""The first mistake in a sample of a topic's records, with its record and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from alerts.plain_text import one_line
from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.format_settings import FormatSettings
from streamer.decoding.formats import FORMATS, DecodeContext, build_format
from streamer.messages.batch import DeadLetter, Decoded
from streamer.messages.records import NO_TIME, Record
from streamer.pipeline.finer_units import with_fitting_unit
from streamer.pipeline.plan import Feed

_EXCERPT = 60  # characters of a record, and of its keys, that are shown
_NOT_PRINTABLE, _CHARACTERS = "cannot be printed", "characters"  # how reasons end that are about texts
_MAPPING = "a mapping of your own (docs/configuration.md)"
_MAGIC = {
    "gzip": b"\x1f\x8b",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
    "snappy": b"\xff\x06\x00\x00sNaPpY",
}


def first_mistake(
    feed: Feed, topic: str, parts: Mapping[int, Decoded], records: Sequence[Record]
) -> str | None:
    """How many records of a sample are dead letters, the first of them, and what to do; None without any.

    Parameters
    ----------
    feed, topic
        How the topic is read, and its name.
    parts
        What its partitions decoded to.
    records
        All that was read.
    """
    letters = [(number, letter) for number, part in parts.items() for letter in part.dead]
    if not letters:
        return None
    number, letter = letters[0]
    letter = with_fitting_unit(letter, NO_TIME)
    count = len({(of, each.offset) for of, each in letters})
    plural = "" if count == 1 else "s"
    first = f"{count:,} dead letter{plural}, the first" if count < len(records) else "first mistake"
    where = f"{topic}[{number}] offset {letter.offset}"
    what = f"{letter.reason}: {one_line(letter.detail)}"
    if letter.value is None:
        return f"{first}: {where}: {what}"  # which says what to do
    return f"{first}: {where}: {what} in {_excerpt(letter.value)}; {_remedy(feed, topic, letter, records)}"


def _excerpt(value: bytes) -> str:
    text = one_line(value[: 4 * _EXCERPT].decode("utf-8", "replace"))
    return text if len(text) <= _EXCERPT else f"{text[: _EXCERPT - 1]}…"


def _remedy(feed: Feed, topic: str, letter: DeadLetter, records: Sequence[Record]) -> str:
    reason = letter.reason
    if reason == Reason.NO_VENUE:
        return "give the topic a `venue`"
    compressed = _compressed(letter.value or b"")
    if compressed:
        return f"it looks {compressed}-compressed: decompress it before it is published"
    if reason in (Reason.BAD_JSON, Reason.BAD_UTF8, Reason.NOT_AN_OBJECT, Reason.TOO_DEEP):
        return "formats read JSON objects: name another topic, or publish JSON there"
    other = _better_preset(feed, topic, records)
    if other is not None:
        return f"the preset {other} reads it: `format: {other}`"
    if reason == Reason.OUT_OF_BOUNDS and letter.detail.endswith((_NOT_PRINTABLE, _CHARACTERS)):
        return "only the producer can mend that"
    if feed.format.name != "generic":
        return f"the preset {feed.format.name} makes no event of it: mend the producer, or write {_MAPPING}"
    if reason in (Reason.WRONG_UNIT, Reason.OUT_OF_BOUNDS):
        return "change `unit` or `scale` in its format"
    keys = _keys(letter)
    has = f": the record has {keys}" if keys else ""
    if reason == Reason.UNKNOWN_KIND:
        return f"map the word in `event_type`, or put it under `ignore`{has}"
    return f"change the paths of its format{has}"


def _compressed(value: bytes) -> str:
    return next((name for name, magic in _MAGIC.items() if value.startswith(magic)), "")


def _keys(letter: DeadLetter) -> str:
    try:
        document = json.loads(letter.value or b"")
    except (ValueError, RecursionError):
        return ""
    keys = ", ".join(one_line(key) for key in document) if isinstance(document, dict) else ""
    return keys if len(keys) <= _EXCERPT else f"{keys[: _EXCERPT - 1]}…"


def _better_preset(feed: Feed, topic: str, records: Sequence[Record]) -> str | None:
    """The preset that reads most of the records where the format reads next to none."""
    context = DecodeContext(topic, feed.venue or "any")
    reads = {
        name: len(set(form.decode(records, context).batch.offset.tolist()))
        for name, form in (
            (name, build_format(FormatSettings.model_validate(name)))
            for name in FORMATS
            if name not in ("generic", feed.format.name)
        )
    }
    best = max(reads, key=lambda name: reads[name])
    return best if reads[best] > len(records) // 2 else None
