"""Decodes small blocks of several members of a log in one call: what each call costs is shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamer.messages.batch import Batch
from streamer.messages.record_block import RecordBlock
from streamer.messages.records import Record
from streamer.pipeline.member_queue import Block, Decode, Events, MemberPart

SMALL = 256
"""Records of a block from which on a call of its own costs next to nothing."""


def decode_together(blocks: Sequence[tuple[int, Block]], decode: Decode) -> None:
    """Decode blocks, as each of them would be alone.

    Parameters
    ----------
    blocks
        Each with the place of its member; none is decoded yet.
    decode
        Of any of these members: they differ in nothing but their places.
    """
    sizes = np.array([len(block) for _, block in blocks])
    first = np.cumsum([0, *sizes])
    decoded = decode(_numbered([block.records for _, block in blocks]))
    number = decoded.batch.offset
    offsets = np.concatenate([block.offset for _, block in blocks])
    places = np.repeat(np.array([place for place, _ in blocks], np.int16), sizes)
    batch = replace(decoded.batch, offset=offsets[number], source=places[number])
    first_row = np.append(np.searchsorted(number, np.arange(first[-1])), len(number)).astype(np.int64)
    dead = [letter.offset for letter in decoded.dead]
    of_dead = np.searchsorted(first, dead, side="right") - 1
    silent = first_row[1:] == first_row[:-1]
    silent[dead] = False
    ignored = np.add.reduceat(silent, first[:-1], dtype=np.int64)
    if decoded.ignored and (len(decoded.ignored) > 1 or int(ignored.sum()) != sum(decoded.ignored.values())):
        return  # it cannot be told which of them had how many: each is decoded alone
    name = next(iter(decoded.ignored), "")
    for at, (place, block) in enumerate(blocks):
        letters = [
            replace(decoded.dead[n], offset=int(offsets[dead[n]]), source=place)
            for n in np.flatnonzero(of_dead == at).tolist()
        ]
        counts = {name: int(ignored[at])} if name and ignored[at] else {}
        rows = first_row[first[at] : first[at + 1] + 1]
        block.hold(Events(batch, rows, tuple(letters), counts))


def bases_of(parts: Sequence[MemberPart]) -> tuple[list[Batch], list[int]]:
    """The batches that hold the events of parts, each once, as far as it is needed.

    Returns
    -------
    tuple
        The batches; and of each part by how much its rows move where the batches stand one behind the other.
    """
    reach: dict[int, tuple[Batch, int, int]] = {}
    for part in parts:
        first, end = int(part.first_row[0]), int(part.first_row[-1])
        base, least, most = reach.get(id(part.base), (part.base, first, end))
        reach[id(part.base)] = base, min(first, least), max(end, most)
    begins, at = {}, 0
    for key, (_, first, end) in reach.items():
        begins[key] = at - first
        at += end - first
    bases = [
        base if end - first == len(base) else base.take(slice(first, end))
        for base, first, end in reach.values()
    ]
    return bases, [begins[id(part.base)] for part in parts]


def _numbered(parts: Sequence[Sequence[Record]]) -> Sequence[Record]:
    """The records of all parts, numbered instead of their offsets."""
    blocks = [part for part in parts if isinstance(part, RecordBlock)]
    if len(blocks) == len(parts):
        return RecordBlock.numbered(blocks)
    records = enumerate(record for part in parts for record in part)
    return [Record(number, each.value, each.timestamp, each.key, each.headers) for number, each in records]
