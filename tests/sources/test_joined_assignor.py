"""Partitions of one log go to one member of the group, whatever joins, leaves, grows or was split before."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

from streamer.sources.join_settings import JoinSettings
from streamer.sources.kafka.joined_assignor import JoinedAssignor
from streamer.sources.kafka.joined_partitions import JoinPlan, uneven_text

EACH = JoinSettings(topics=("trades", "orders", "status"))
ALL_OF = JoinSettings(topics=("spot", "perp"), partitions="all")
PLAN = JoinPlan((EACH, ALL_OF))
TOPICS = (*EACH.topics, *ALL_OF.topics, "alone")

Assigned = dict[str, set[TopicPartition]]


class Cluster:
    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(self.counts[topic])) if topic in self.counts else None


def rebalanced(counts: dict[str, int], owned: Assigned) -> Assigned:
    """One round of the group: every member says what it owns, and gets what the leader decides."""
    members = []
    for member, partitions in owned.items():
        assignor = JoinedAssignor(PLAN)
        assignor.member_assignment = sorted(partitions)
        members.append(SimpleNamespace(member_id=member, metadata=assignor.metadata(TOPICS)))
    assigned = JoinedAssignor(PLAN).assign(Cluster(counts), members)
    return {member: set(assigned[member].partitions()) for member in owned}


def settled(counts: dict[str, int], owned: Assigned) -> Assigned:
    """Rounds until nobody gives anything up any more."""
    for _ in range(4):
        after = rebalanced(counts, owned)
        everywhere = Counter(tp for partitions in after.values() for tp in partitions)
        assert not everywhere or max(everywhere.values()) == 1
        for member, partitions in after.items():
            others = {tp for other, held in owned.items() if other != member for tp in held}
            assert partitions.isdisjoint(others), "who has it must give it up first"
        if after == owned:
            return after
        owned = after
    raise AssertionError(owned)


@given(
    counts=st.fixed_dictionaries({}, optional={topic: st.integers(1, 4) for topic in TOPICS}),
    before=st.integers(1, 4),
    after=st.integers(1, 4),
    data=st.data(),
)
def test_every_log_is_whole_at_one_member(
    counts: dict[str, int], before: int, after: int, data: st.DataObject
) -> None:
    everything = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
    owned: Assigned = {f"m{number}": set() for number in range(before)}
    for tp in data.draw(st.lists(st.sampled_from(everything), unique=True)) if everything else ():
        owned[data.draw(st.sampled_from(sorted(owned)))].add(tp)
    for count in (before, after):
        owned = settled(counts, {f"m{n}": owned.get(f"m{n}", set()) for n in range(count)})
        assert set().union(*owned.values()) == set(everything)
        holders = Counter()
        for log in PLAN.logs(counts):
            (holder,) = {member for member, held in owned.items() if held.intersection(log.members)}
            holders[holder] += 1
        numbers = [holders[member] for member in owned]
        assert max(numbers) - min(numbers) <= 1


@pytest.mark.parametrize("stale", ["a", "b"])
def test_who_claims_what_it_had_before_does_not_have_it(stale: str) -> None:
    """It was away while the group went on, so its share was given to another."""
    newer = "b" if stale == "a" else "a"
    partition = TopicPartition("alone", 0)
    members = []
    for member, generation in ((stale, 3), (newer, 7)):
        assignor = JoinedAssignor(PLAN)
        assignor.on_assignment(ConsumerProtocolAssignment(1, [("alone", [0])], b""), generation)
        told = assignor.metadata(TOPICS).encode()
        metadata = ConsumerProtocolSubscription.decode(told)
        members.append(SimpleNamespace(member_id=member, metadata=metadata))
    for order in (members, members[::-1]):
        assigned = JoinedAssignor(PLAN).assign(Cluster({"alone": 1}), order)
        assert assigned[newer].partitions() == [partition]
        assert assigned[stale].partitions() == []


def test_what_can_stay_stays() -> None:
    counts = {"trades": 4, "orders": 4, "status": 4}
    alone = settled(counts, {"a": set()})
    both = settled(counts, {**alone, "b": set()})
    assert len(both["a"]) == len(both["b"]) == 6
    assert both["a"] < alone["a"]
    assert settled(counts, {"a": both["a"]})["a"] == alone["a"]


def test_other_joins_are_another_protocol() -> None:
    assert JoinedAssignor(PLAN).name == JoinPlan((ALL_OF, EACH)).protocol
    reordered = EACH.model_copy(update={"topics": ("orders", "trades", "status")})
    plans = [PLAN, JoinPlan((EACH,)), JoinPlan((reordered, ALL_OF)), JoinPlan((ALL_OF,))]
    assert len({plan.protocol for plan in plans}) == len(plans)


@pytest.mark.parametrize(
    ("counts", "logs"),
    [
        ({"trades": 2, "orders": 1, "status": 1}, ["trades+orders+status[0]", "trades[1]"]),
        ({"trades": 1, "status": 2, "x": 1}, ["trades+status[0]", "status[1]", "x[0]"]),
        ({"spot": 2, "perp": 1}, ["spot+perp[*]"]),
        ({"perp": 1}, ["spot+perp[*]"]),
        ({"x": 0}, []),
    ],
)
def test_logs_of_a_cluster(counts: dict[str, int], logs: list[str]) -> None:
    assert [str(log) for log in PLAN.logs(counts)] == logs
    for log in PLAN.logs(counts):
        for member in log.members:
            assert PLAN.log_of(member, lambda topic: counts.get(topic, 0)) == log


def test_uneven_counts_are_told_with_what_to_write() -> None:
    ((join, counts),) = PLAN.uneven({"trades": 4, "orders": 2, "status": 4, "spot": 1, "perp": 7})
    text = uneven_text(join, counts)
    assert "trades has 4 partitions, orders 2 and status 4" in text
    assert "from partition 2 on, a log has only the topics that have the partition" in text
    assert "{topics: [trades, orders, status], partitions: all}" in text
