"""Members of a log become one by time and place, as a plain merge of their heads would make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.decoding.member_order import (
    NOTHING_FOLLOWS,
    MergedOrder,
    highest_so_far,
    merged_order,
    rows_in_order,
)
from streamer.messages.records import NO_TIME

Members = list[list[int]]

rising = st.lists(st.integers(0, 9), max_size=12).map(lambda steps: np.cumsum(steps).tolist())
any_times = st.lists(st.integers(0, 30), max_size=12)  # a guarded watermark may step back


def heads_merged(members: Members, least_next: Sequence[int], at_most: int) -> list[tuple[int, int]]:
    """Member and place of each record: always the least head, by time and member, while it is there."""
    taken = [0] * len(members)
    found: list[tuple[int, int]] = []
    while len(found) < at_most and members:
        heads = [
            (times[taken[member]] if taken[member] < len(times) else least_next[member], member)
            for member, times in enumerate(members)
        ]
        _, member = min(heads)
        if taken[member] == len(members[member]):
            break
        found.append((member, taken[member]))
        taken[member] += 1
    return found


def places(members: Members, merged: MergedOrder) -> list[tuple[int, int]]:
    """Member and place of each record that was ordered."""
    all_places = [(member, place) for member, times in enumerate(members) for place in range(len(times))]
    return [all_places[at] for at in merged.order.tolist()]


def arrays(members: Members) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    return [np.array(times, np.int64) for times in members]


@settings(max_examples=300, deadline=None)
@given(st.lists(any_times, max_size=9), st.data())
def test_the_order_is_that_of_a_plain_merge(members: Members, data: st.DataObject) -> None:
    least = st.sampled_from([int(NO_TIME), 0, 5, 12, 30, NOTHING_FOLLOWS])
    least_next = [data.draw(least) for _ in members]
    at_most = data.draw(st.integers(0, 60))
    merged = merged_order(arrays(members), least_next, at_most)
    expected = heads_merged(members, least_next, at_most)
    assert places(members, merged) == expected
    assert merged.taken.tolist() == [
        sum(member == of for of, _ in expected) for member in range(len(members))
    ]


@settings(max_examples=200, deadline=None)
@given(st.lists(rising, min_size=1, max_size=6), st.data())
def test_members_that_arrive_in_pieces_are_merged_alike(members: Members, data: st.DataObject) -> None:
    whole = heads_merged(members, [NOTHING_FOLLOWS] * len(members), 999)
    arrived, taken, found = [0] * len(members), [0] * len(members), list[tuple[int, int]]()
    while len(found) < len(whole):
        for member, times in enumerate(members):
            arrived[member] = min(len(times), arrived[member] + data.draw(st.integers(0, 4)))
        waiting = [times[a:b] for times, a, b in zip(members, taken, arrived, strict=True)]
        least = [
            NOTHING_FOLLOWS if b == len(times) else times[b - 1] if b else int(NO_TIME)
            for times, b in zip(members, arrived, strict=True)
        ]
        merged = merged_order(arrays(waiting), least, data.draw(st.integers(1, 9)))
        found += [(member, taken[member] + place) for member, place in places(waiting, merged)]
        taken = [a + int(more) for a, more in zip(taken, merged.taken, strict=True)]
    assert found == whole


def test_many_members_that_take_turns() -> None:
    members = [list(range(place, 20_000, 500)) for place in range(500)]
    merged = merged_order(arrays(members), [NOTHING_FOLLOWS] * 500, 10**6)
    assert np.concatenate(arrays(members))[merged.order].tolist() == list(range(20_000))


def test_nothing_is_ordered_before_what_may_still_come_first() -> None:
    early, late = np.array([10, 20]), np.array([20, 30])
    assert merged_order([early, late], [20, 30], 9).order.tolist() == [0, 1]  # 20 may come again, first
    assert merged_order([late, early], [30, 20], 9).order.tolist() == [2, 0, 3]
    assert merged_order([early, late], [NO_TIME, 30], 9).order.tolist() == [0, 1]
    assert merged_order([early, late], [NOTHING_FOLLOWS, 30], 9).order.tolist() == [0, 1, 2, 3]


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(int(NO_TIME)), st.integers(0, 50)), max_size=30), st.integers(1, 30))
def test_the_highest_time_goes_on_from_piece_to_piece(times: list[int], size: int) -> None:
    found, before = list[int](), int(NO_TIME)
    for first in range(0, len(times), size):
        found += highest_so_far(np.array(times[first : first + size], np.int64), before).tolist()
        before = found[-1]
    assert found == [max(times[: n + 1]) for n in range(len(times))]


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.data())
def test_the_events_of_a_record_stay_together(counts: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(counts))))
    first_row = np.concatenate([[0], np.cumsum(counts)])
    record_of_row = np.repeat(np.arange(len(counts)), counts)
    rows = rows_in_order(np.array(order, np.int64), first_row[:-1], first_row[1:])
    assert record_of_row[rows].tolist() == [record for record in order for _ in range(counts[record])]
    assert sorted(rows.tolist()) == list(range(len(rows)))
