"""Merges what the members of a joined log bring into one order that depends on nothing but their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from streamer.decoding.member_order import (
    NOTHING_FOLLOWS,
    MergedOrder,
    highest_so_far,
    merged_order,
    rows_in_order,
)
from streamer.decoding.merged_batches import JoinedInstruments, merged_batch
from streamer.errors import TapewatchError
from streamer.messages.batch import DeadLetter, Decoded, RecordOrder
from streamer.messages.journal_entries import MemberSpan, Segment
from streamer.messages.records import NO_TIME, DamagedRange, Record
from streamer.pipeline.joint_decoding import SMALL, bases_of, decode_together
from streamer.pipeline.member_queue import Block, Decode, Fetched, MemberPart, MemberQueue, times_of
from streamer.pipeline.plan import Plan
from streamer.pipeline.task import Task
from streamer.sources.disorder import Disorder
from streamer.sources.files.file_logs import INCARNATION

_NO_TIME = int(NO_TIME)
_NONE = np.empty(0, np.int64)
_ENOUGH, _ENOUGH_BYTES = 60_000, 1 << 28
"""Records that wait of all members, and their bytes, while the log waits for one; who has a full share of
either is not read on."""
_LEAST_SHARE = 128
_LOOKED_AT, _MORE = 16, 4  # members whose records are looked at first, and how many times as many next

_Key = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Records that are folded together.

    Parameters
    ----------
    decoded
        What they were decoded to, in the order in which it is folded.
    parts
        The records by member.
    segment
        Which they are, by member.
    goes_on
        Whether they could have been merged with those before them: none of them comes before one of those.
    """

    decoded: Decoded
    parts: Sequence[MemberPart]
    segment: Segment
    goes_on: bool = True

    def __len__(self) -> int:
        return sum(len(part.records) for part in self.parts)


class Merge:
    """The members of one joined log, each with what it has brought and what is not folded yet.

    Records are merged by their member's highest record time so far, and where there is none by its guarded
    watermark; by place; by offset. A member that has nothing waiting holds the others back, but for one that
    is idle, until it brings something, or that has ended.

    Of files, whose blocks are always the same, a watermark that is refuted within its block is not believed:
    else one event that lies would hold the rest of its file back behind all others.

    Parameters
    ----------
    task
        The log's task, whose `members` it keeps up to date.
    """

    def __init__(self, task: Task) -> None:
        self._queues = [MemberQueue() for _ in task.log.members]
        self._top: _Key | None = None
        self._held_by: int | None = None
        self._seen_ahead = all(member.incarnation == INCARNATION for member in task.log.members)
        self.disorders = [Disorder() for _ in task.log.members]
        """Where the event times go back of members that are merged by these."""
        self.ended: set[int] = set()
        """The places of members that bring nothing more: files at their end, partitions that are gone."""
        self.recorded: frozenset[int] = frozenset()
        """The places of members that bring more by a recording; they are waited for even where idle."""
        self.follow(task)

    def follow(self, task: Task) -> None:
        """Go on with this task, the same log under another plan: what waits is decoded anew."""
        self._held_by = None
        self._joined = JoinedInstruments()  # it knows the instruments of every batch that it has joined
        self._task, states = task, task.members
        if states is None:
            raise ValueError(f"{task.log} has one member")
        self._states = states
        self._decoders = [_decoder(task.plan, task, place) for place in range(len(task.log.members))]
        self._origins = [_origin(task.plan, task, place) for place in range(len(task.log.members))]
        self._ahead = [clock.copy() for clock in states.clocks]
        self._highest = states.highest.copy()
        for place, queue in enumerate(self._queues):
            for block, first in queue.blocks:
                block.forget_decoded()
                self._set_times(place, block, first)

    def adopt(self, other: Merge, positions: Sequence[int]) -> None:
        """Go on with what the members brought to a task of before, from these positions on."""
        self._queues, self.ended = other._queues, self.ended | other.ended
        for place, position in enumerate(positions):
            self._queues[place].drop_before(position)
        self.follow(self._task)

    def begin_segment(self) -> None:
        """What comes from now on need not be mergeable with what came before."""
        self._top = None

    def offer(self, place: int, records: Sequence[Record], fetched: Fetched) -> bool:
        """Add records that a member has brought, those behind all that it brought before.

        Returns
        -------
        bool
            False if the others wait for another member all the same.
        """
        if len(records):
            block = Block(records, fetched)
            self._set_times(place, block, 0)
            self._queues[place].append(block)
        if self._held_by == place or self._states.idle[place]:
            self._held_by = None
        return self._held_by is None

    def offer_damaged(self, place: int, damaged: DamagedRange) -> None:
        """Add a range that cannot be read, behind all that the member brought before."""
        self._queues[place].append(damaged)

    def due_damage(self) -> list[tuple[int, DamagedRange]]:
        """The damaged ranges that come next in their members, with the members' places."""
        queues = enumerate(self._queues)
        return [(place, queue.damaged) for place, queue in queues if queue.damaged is not None]

    def drop_damaged(self, place: int) -> None:
        """Go on behind the damaged range that comes next in a member."""
        self._queues[place].pop_damaged()

    def drop_before(self, place: int, offset: int) -> None:
        """Drop what a member brought before an offset."""
        self._queues[place].drop_before(offset)

    @property
    def waiting(self) -> bool:
        """Whether anything waits to be folded."""
        return any(queue.count or queue.damaged is not None for queue in self._queues)

    @property
    def untimed(self) -> list[int]:
        """The places of members of which nothing has shown a time so far."""
        clocks = enumerate(zip(self._highest, self._ahead, strict=True))
        return [place for place, (time, ahead) in clocks if time == ahead.watermark == _NO_TIME]

    @property
    def oldest_s(self) -> float:
        """When the first of all records that wait was brought, monotonic s; infinite without any."""
        return min(queue.oldest_s for queue in self._queues)

    def queued(self, place: int) -> int:
        """How many records of a member wait."""
        return self._queues[place].count

    def brought_to(self, place: int) -> int | None:
        """One past the last offset of a member's records that wait; None where none do."""
        return self._queues[place].end

    @property
    def full(self) -> list[int]:
        """The places of members of which enough waits."""
        members = len(self._queues)
        share, share_bytes = max(_ENOUGH // members, _LEAST_SHARE), _ENOUGH_BYTES // members
        queues = enumerate(self._queues)
        return [place for place, each in queues if each.count >= share or each.nbytes >= share_bytes]

    @property
    def awaited(self) -> list[int]:
        """The places of members that others wait for."""
        if not self.waiting:
            return []
        return [
            place
            for place, queue in enumerate(self._queues)
            if not queue.count and queue.damaged is None and not self._is_passed_over(place)
        ]

    def is_complete(self, segment: Segment, positions: Sequence[int], missing: frozenset[int]) -> bool:
        """Whether all that a recorded segment has is folded, or is surely not there any more."""
        return all(
            positions[span.place] > span.last
            or (
                not len(self._queues[span.place].times(1, span.last)[0])
                and (span.place in missing or self._queues[span.place].goes_beyond(span.last))
            )
            for span in segment
        )

    def take(
        self, at_most: int, segment: Segment | None = None, missing: frozenset[int] = frozenset()
    ) -> Step | None:
        """The next records whose order nothing can change any more, at most so many; None without any.

        Parameters
        ----------
        at_most
            How many.
        segment
            Only what this recorded segment has; None for whatever there is.
        missing
            Members that the others do not wait for: they have nothing more of it.
        """
        windows, merged = self._order(at_most, segment, missing)
        return self._step(windows, *merged) if len(merged.order) else None

    def upcoming(self, at_most: int, missing: frozenset[int]) -> NDArray[np.int64]:
        """What the records that `take` would give are merged by, int64 ns."""
        windows, merged = self._order(at_most, None, missing)
        return np.concatenate(windows)[merged.order]

    def count_before(
        self, bounds: Sequence[int], positions: Sequence[int], at_most: int, missing: frozenset[int]
    ) -> int:
        """How many of the next records come before every member is at an offset of its own, at most so many.

        Parameters
        ----------
        bounds, positions
            The offsets, and the next ones to fold, by member.
        at_most, missing
            As `take` has them.
        """
        windows, merged = self._order(at_most, None, missing)
        of = np.repeat(np.arange(len(windows)), [len(window) for window in windows])[merged.order]
        count = 0
        for place, (bound, position) in enumerate(zip(bounds, positions, strict=True)):
            if position >= bound:
                continue
            offsets = self._queues[place].offsets(int(merged.taken[place]))
            at = int(np.searchsorted(offsets, bound - 1))
            if at == len(offsets):
                return at_most
            is_last = int(offsets[at]) < bound
            count = max(count, int(np.flatnonzero(of == place)[at]) + is_last)
        return count

    def _order(
        self, at_most: int, segment: Segment | None, missing: frozenset[int]
    ) -> tuple[list[NDArray[np.int64]], MergedOrder]:
        """The times of what waits, by member, and the order of what is sure.

        Of members that bring nothing before the others have brought much, only their next time counts, and
        their windows are empty.
        """
        upcoming = [None if segment is not None else queue.next_time for queue in self._queues]
        heads, looked_at = sorted(time for time in upcoming if time is not None), _LOOKED_AT
        while True:
            later = [False] * len(upcoming)
            if looked_at < len(heads):
                last = heads[looked_at - 1]
                later = [time is not None and time > last for time in upcoming]
            windows, merged = self._order_of(at_most, segment, missing, later)
            if self._held_by is None or not later[self._held_by]:
                return windows, merged
            looked_at *= _MORE

    def _order_of(
        self, at_most: int, segment: Segment | None, missing: frozenset[int], later: Sequence[bool]
    ) -> tuple[list[NDArray[np.int64]], MergedOrder]:
        last = {} if segment is None else {span.place: span.last for span in segment}
        windows: list[NDArray[np.int64]] = []
        least: list[int] = []
        for place, queue in enumerate(self._queues):
            if segment is not None and place not in last:
                windows.append(np.empty(0, np.int64))
                least.append(NOTHING_FOLLOWS)
                continue
            limit = last.get(place)
            if later[place] or not queue.count:
                times, following = _NONE, queue.next_time
            else:
                times, following = queue.times(at_most, limit)
            windows.append(times)
            if following is not None:
                least.append(following)
            elif limit is not None:
                over = place in missing or queue.goes_beyond(limit)
                least.append(NOTHING_FOLLOWS if over else self._least_next(place, times))
            elif place in missing or self._is_passed_over(place, brings=bool(len(times))):
                least.append(NOTHING_FOLLOWS)
            else:
                least.append(self._least_next(place, times))
        merged = merged_order(windows, least, at_most)
        self._held_by = None
        if segment is None and len(merged.order) < at_most:
            empty = [place for place, of in enumerate(windows) if merged.taken[place] == len(of)]
            holds = min(empty, key=lambda place: (least[place], place), default=None)
            if holds is not None and least[holds] != NOTHING_FOLLOWS:
                self._held_by = holds
        return windows, merged

    def _is_passed_over(self, place: int, *, brings: bool = False) -> bool:
        is_idle = self._states.idle[place] and place not in self.recorded
        return place in self.ended or (is_idle and not brings)

    def _least_next(self, place: int, times: NDArray[np.int64]) -> int:
        """The least time that a member's next record can have; a watermark may step back."""
        known = self._states.highest[place]
        return int(times[-1]) if len(times) and known != _NO_TIME else known

    def _set_times(self, place: int, block: Block, first: int) -> None:
        """Say by what a block's records are merged, from one on, the last that its member has brought."""
        known = self._highest[place]
        times = highest_so_far(times_of(block.records)[first:], known)
        untimed = int(np.count_nonzero(times == _NO_TIME))
        if untimed:
            times[:untimed] = self._watermarks(place, block, first, first + untimed)
        if self._seen_ahead:
            times[:untimed] = np.minimum.accumulate(times[:untimed][::-1])[::-1]
        if untimed < len(times):
            self._highest[place] = int(times[-1])
        block.times = np.concatenate([np.full(first, _NO_TIME), times])

    def _watermarks(self, place: int, block: Block, first: int, end: int) -> NDArray[np.int64]:
        """The member's guarded watermark after each of its records from one to before another, int64 ns."""
        decoded = block.events(self._decoders[place])
        first_row = decoded.first_row
        row, end_row = int(first_row[first]), int(first_row[end])
        clock = self._ahead[place]
        before = clock.watermark
        events = decoded.batch.take(slice(row, end_row))
        now = clock.fold(events, self._task.time_digits)
        self.disorders[place].note(events.offset, now - events.ts)
        return np.append(before, now)[first_row[first + 1 : end + 1] - row]

    def _step(
        self, windows: Sequence[NDArray[np.int64]], order: NDArray[np.int64], taken: NDArray[np.int64]
    ) -> Step:
        """Take the ordered records, and note in the states of members how far they have come."""
        begins = np.cumsum([0, *(len(window) for window in windows)])
        kept = np.cumsum([0, *taken.tolist()])
        of = np.searchsorted(begins, order, side="right") - 1
        keys = np.concatenate(windows)[order]
        order = order - begins[of] + kept[of]
        goes_on = self._note(windows, taken, keys, of)
        self._decode_together(taken)
        parts = [
            part
            for place, count in enumerate(taken.tolist())
            if count
            for part in self._queues[place].take(place, count, self._decoders[place])
        ]
        self._fold_watermarks(parts)
        return Step(self._decoded(parts, order), parts, _segment_of(parts), goes_on)

    def _decode_together(self, taken: NDArray[np.int64]) -> None:
        """Decode the small blocks of the next records, those alike in one call."""
        alike: dict[tuple[object, type], list[tuple[int, Block]]] = {}
        for place, count in enumerate(taken.tolist()):
            for block in self._queues[place].next_blocks(count):
                if not block.is_decoded and len(block) < SMALL:
                    alike.setdefault((self._origins[place], type(block.records)), []).append((place, block))
        for blocks in alike.values():
            if len(blocks) > 1:
                decode_together(blocks, self._decoders[blocks[0][0]])

    def _note(
        self,
        windows: Sequence[NDArray[np.int64]],
        taken: NDArray[np.int64],
        keys: NDArray[np.int64],
        of: NDArray[np.int64],
    ) -> bool:
        """Note what is folded; whether none of it comes before what the segment has."""
        states = self._states
        goes_on = self._top is None or (int(keys[0]), int(of[0])) >= self._top
        highest = int(keys.max())
        top = highest, int(of[keys == highest].max())
        self._top = top if self._top is None or not goes_on else max(self._top, top)
        before = np.maximum.accumulate(np.append(states.newest, keys[:-1]))
        late = np.bincount(of[keys < before], minlength=len(taken))
        states.newest = max(states.newest, highest)
        for place, count in enumerate(taken.tolist()):
            if count:
                states.idle[place] = False
                states.late[place] += int(late[place])
        return goes_on

    def _fold_watermarks(self, parts: Sequence[MemberPart]) -> None:
        """Let each member's highest record time, or its watermark, come to what is folded."""
        states = self._states
        for part in parts:
            known, times = states.highest[part.place], times_of(part.records)
            if known == _NO_TIME and not self._seen_ahead:  # files are never taken up again
                times = highest_so_far(times, known)
                untimed = int(np.count_nonzero(times == _NO_TIME))
                rows = slice(int(part.first_row[0]), int(part.first_row[untimed]))
                states.clocks[part.place].fold(part.base.take(rows), self._task.time_digits)
            states.highest[part.place] = max(known, int(times.max()))

    def _decoded(self, parts: Sequence[MemberPart], order: NDArray[np.int64]) -> Decoded:
        ignored: dict[str, int] = {}
        dead: list[tuple[int, DeadLetter]] = []
        bases, moves = bases_of(parts)
        first_rows, end_rows, records = [], [], 0
        for part, move in zip(parts, moves, strict=True):
            first_rows.append(part.first_row[:-1] + move)
            end_rows.append(part.first_row[1:] + move)
            dead += [(records + at, letter) for at, letter in part.dead]
            for name, count in part.ignored.items():
                ignored[name] = ignored.get(name, 0) + count
            records += len(part.records)
        first_row, end_row = np.concatenate(first_rows), np.concatenate(end_rows)
        batch = merged_batch(bases, rows_in_order(order, first_row, end_row), self._joined)
        rank = np.empty(records, np.int64)
        rank[order] = np.arange(records)
        row_ranks = np.repeat(np.arange(records), (end_row - first_row)[order])
        places = RecordOrder(row_ranks, [int(rank[at]) for at, _ in dead])
        return Decoded(batch, tuple(letter for _, letter in dead), ignored, places)


def _segment_of(parts: Sequence[MemberPart]) -> Segment:
    spans: dict[int, MemberSpan] = {}
    for part in parts:
        first, last = int(part.records[0].offset), int(part.records[-1].offset)
        known = spans.get(part.place)
        spans[part.place] = MemberSpan(part.place, first if known is None else known.first, last)
    return tuple(spans.values())


def _origin(plan: Plan, task: Task, place: int) -> object:
    """Alike for members whose records are decoded alike but for their places."""
    topic = task.log.members[place].topic
    feed = plan.feed(topic)
    return None if feed is None else (id(feed), feed.context(topic))


def _decoder(plan: Plan, task: Task, place: int) -> Decode:
    topic = task.log.members[place].topic
    feed = plan.feed(topic)
    if feed is None:
        raise TapewatchError(f"no entry of source.topics or source.files matches {topic!r}")
    return partial(feed.format.decode, context=feed.context(topic, place))


def as_step(records: Sequence[Record], fetched: Fetched, decoded: Decoded) -> Step:
    """Records of a log of one member."""
    part = MemberPart(0, records, fetched, decoded.batch, np.empty(0, np.int64), (), {})
    return Step(decoded, (part,), (MemberSpan(0, int(records[0].offset), int(records[-1].offset)),))
