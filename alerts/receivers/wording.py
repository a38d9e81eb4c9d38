"""The sentences of an alert, the same at every receiver that people read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from alerts.durations import after, lasting
from alerts.plain_text import one_line
from alerts.receivers.body import ReadableAlert
from alerts.receivers.receiver import Delivery

MARKS = {"info": "ℹ️", "warning": "⚠️", "critical": "🚨"}
"""A sign for each severity."""

RESOLVED_MARK = "✅"

_WHY_LENGTH = 120  # characters, about one line of a channel
_ADDRESS_LENGTH = 400  # a longer one might not fit into a message
_ADDRESS = re.compile(r"https?://[^\s<>|]+")
_NOT_AT_ITS_END = ".,;:!?'\"…"
_OPENING = {")": "(", "]": "["}
_SENTENCE_END = re.compile(r"(?<=[.!?]) ")


def headline(alert: ReadableAlert, delivery: Delivery) -> str:
    """What it is, on one line: severity or end, rule, instrument, how long, and whether it comes late.

    Examples
    --------
    >>> from alerts.receivers.body import ReadableEpisode
    >>> course = ReadableEpisode(0.0, "size", "69", "1.00M", "17.8", 20.0)
    >>> end = ReadableAlert("a1", 3, "resolved", "critical", "fat_finger", "XNAS ACME", "One trade of 69", "",
    ...     "1970-01-01T00:08:12.000Z", 492.0, {}, course)
    >>> headline(end, Delivery("a1", 3, "desk", b"", behind_s=183_600.0))
    'RESOLVED fat_finger XNAS ACME after 8m 12s, peak 1.00M, late by 2d 3h'
    """
    state = "RESOLVED" if alert.is_over else alert.severity.upper()
    line = f"{state} {alert.name}"
    duration = None if alert.lasted_s is None else lasting(alert.lasted_s)
    if alert.is_over:
        line += "" if alert.lasted_s is None else f" {after(alert.lasted_s)}"
        if alert.episode is not None and alert.episode.measure:
            line += f", peak {alert.episode.peak}"
    elif alert.transition == "updated":
        if delivery.rises_to(alert.severity):
            line += f", was {delivery.told}"
        line += ", still open" if duration is None else f", open for {duration}"
    if alert.episode is not None and alert.episode.reopened:
        times = alert.episode.reopened
        line += f", reopened {'once' if times == 1 else f'{times} times'}"
    if delivery.late_by_s is not None:
        line += f", late by {lasting(delivery.late_by_s)}"
    return line


def course(alert: ReadableAlert) -> str:
    """How the measure went, and why the episode is over: what the rule's own text does not say.

    Examples
    --------
    >>> from alerts.receivers.body import ReadableEpisode
    >>> ran = ReadableEpisode(0.0, "spread_bps", "30.4 bps", "98 bps", "12.2 bps", 40.0)
    >>> now = ReadableAlert("a1", 3, "updated", "warning", "spread", "XNAS ACME", "A spread of 12.2 bps", "",
    ...     "1970-01-01T00:08:12.000Z", 492.0, {}, ran)
    >>> course(now)
    'spread_bps began at 30.4 bps, peaked at 98 bps after 40s, and is now 12.2 bps.'
    """
    told = _measured(alert)
    if alert.over:
        told += f"{' ' if told else ''}It is over: {alert.over}."
    return told


def _measured(alert: ReadableAlert) -> str:
    ran = alert.episode
    if ran is None or not ran.measure:
        return ""
    if alert.transition == "fired":
        return "" if ran.is_said else f"{ran.measure} is {ran.first}."
    end = "was last" if alert.is_over else "is now"
    if ran.first == ran.peak == ran.last:
        return f"{ran.measure} has been {ran.first} throughout."
    when = "" if math.isnan(ran.peak_at) else f" {after(max(ran.peak_at - ran.began, 0.0))}"
    if ran.peak == ran.first:
        return f"{ran.measure} began at its peak, {ran.first}, and {end} {ran.last}."
    if ran.peak == ran.last:
        return f"{ran.measure} began at {ran.first}, and {end} {ran.last}, its peak."
    return f"{ran.measure} began at {ran.first}, peaked at {ran.peak}{when}, and {end} {ran.last}."


def in_a_line(why: str) -> str:
    r"""A rule's purpose, shortened to whole sentences where it is long.

    Its first address, which is that of the runbook, stays, and none is cut.

    Examples
    --------
    >>> in_a_line("Market makers\n  have stepped back.")
    'Market makers have stepped back.'
    >>> len(in_a_line("word " * 100)) <= 120
    True
    >>> in_a_line(f"{'word ' * 100}: see https://wiki.example/runbook (new).")[-35:]
    ' word… https://wiki.example/runbook'
    """
    whole = one_line(" ".join(why.split()))
    first, *others = _SENTENCE_END.split(whole)
    if len(first) > _WHY_LENGTH:
        first = _cut(first)
    else:
        for sentence in others:
            if len(first) + 1 + len(sentence) > _WHY_LENGTH:
                break
            first += f" {sentence}"
    address = next((whole[place] for place in addresses(whole)), "")
    return first if address in first or len(address) > _ADDRESS_LENGTH else f"{first} {address}".lstrip()


def _cut(sentence: str) -> str:
    """The words of a sentence that have room; one that is an address stays whole, or goes."""
    kept, room = "", _WHY_LENGTH - 1
    for word in sentence.split(" "):
        if len(kept) + 1 + len(word) > room:
            break
        kept += f" {word}" if kept else word
    if not kept and not _ADDRESS.match(sentence):
        kept = sentence[:room]
    return f"{kept.rstrip(',:;')}…" if kept else ""


def addresses(text: str) -> Iterator[slice]:
    """The places of web addresses in a text, without punctuation and brackets that are not theirs.

    Examples
    --------
    >>> said = "See https://wiki.example/Feed_(stale), or (https://a.example/c)."
    >>> [said[place] for place in addresses(said)]
    ['https://wiki.example/Feed_(stale)', 'https://a.example/c']
    """
    for found in _ADDRESS.finditer(text):
        address = found[0]
        while address[-1] in _NOT_AT_ITS_END or address.count(address[-1]) > address.count(
            _OPENING.get(address[-1], address[-1])
        ):
            address = address[:-1]
        if not address.endswith("/") or address.count("/") > len("//"):
            yield slice(found.start(), found.start() + len(address))
