"""What the joins of a configuration come to on the cluster: logs, assignor, and what is not joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition

from alerts.counting import counted
from streamer.app.shared_instruments import SharedInstruments, place_of, shared_instruments
from streamer.app.topic_checks import TopicCheck
from streamer.config.settings import SourceSettings
from streamer.messages.batch import Instrument
from streamer.messages.logs import ALL, Log
from streamer.messages.records import Partition
from streamer.pipeline.rule_logs import LogFields
from streamer.sources.join_settings import JoinSettings
from streamer.sources.kafka.group_survey import GroupSurvey
from streamer.sources.kafka.joined_partitions import PROTOCOL_PREFIX, JoinedPartitions, JoinPlan, uneven_text

_NAMED_MOST = 4  # of more logs the first and the last are named


@dataclass(frozen=True, slots=True)
class JoinCheck:
    """What a join comes to.

    Parameters
    ----------
    name
        The joined topics.
    logs
        How many logs there are, and what they are called.
    notes
        What may not be meant.
    """

    name: str
    logs: str
    notes: tuple[str, ...] = ()


def check_joined(joins: Sequence[JoinSettings], topics: Sequence[TopicCheck]) -> list[JoinCheck]:
    """The logs that each join makes of these topics."""
    plan, counts = JoinPlan(tuple(joins)), _counts(topics)
    uneven = {join.name: uneven_text(join, of_join) for join, of_join in plan.uneven(counts)}
    checks = []
    for join in joins:
        logs = JoinPlan((join,)).logs({topic: counts.get(topic, 0) for topic in join.topics})
        notes = (uneven[join.name],) if join.name in uneven else ()
        checks.append(JoinCheck(join.name, _said(logs), notes))
    return checks


def _said(logs: Sequence[JoinedPartitions]) -> str:
    if not logs:
        return "none: no topic has a partition"
    first = logs[0]
    if len(logs) == 1:
        return f"{first}, of {counted(len(first.members), 'partition')}"
    if len(logs) <= _NAMED_MOST:
        return f"{len(logs)} logs: {', '.join(map(str, logs))}"
    return f"{len(logs)} logs: {first} to {logs[-1]}"


def group_notes(plan: JoinPlan, group: str, found: GroupSurvey | None) -> list[str]:
    """What is to be said of the assignor that the group works by.

    Examples
    --------
    >>> group_notes(JoinPlan(), "desk", GroupSurvey(1, "cooperative-sticky"))
    []
    >>> print(*group_notes(JoinPlan(), "desk", GroupSurvey(1, "tapewatch-join-2e10d868")))
    group desk, of 1 member now, assigns partitions by tapewatch-join-2e10d868, and with this configuration \
by cooperative-sticky: stop all members, then start them
    """
    wanted = plan.protocol or "cooperative-sticky"
    if found is not None and found.members and found.protocol not in ("", wanted):
        if not plan.joins and not found.protocol.startswith(PROTOCOL_PREFIX):
            return []
        return [
            f"group {group}, of {counted(found.members, 'member')} now, assigns partitions by "
            f"{found.protocol}, and with this configuration by {wanted}: stop all members, then start them"
        ]
    if not plan.joins:
        return []
    return [
        f"the members of group {group} keep joined partitions together by the cooperative assignor {wanted}; "
        "another join is another assignor, for which all members are to be stopped, then started"
    ]


def not_joined(source: SourceSettings, topics: Sequence[TopicCheck]) -> list[SharedInstruments]:
    """Sampled instruments that are in several logs; topics are named in the order of the configuration."""
    plan, counts = JoinPlan(source.joins), _counts(topics)
    globs = [glob for entry in source.topics for glob in entry.globs]
    found: dict[Log, set[Instrument]] = {}
    for topic in sorted(topics, key=lambda check: place_of(check.topic, globs)):
        for number, instruments in topic.instruments.items():
            joined = plan.log_of(TopicPartition(topic.topic, number), lambda name: counts.get(name, 0))
            found.setdefault(_log_of(joined), set()).update(instruments)
    return shared_instruments(found, counts)


def fields_by_log(joins: Sequence[JoinSettings], fields: Mapping[str, LogFields]) -> dict[str, LogFields]:
    """Kinds and fields of sampled topics, those of joined topics together."""
    plan, merged = JoinPlan(tuple(joins)), dict[str, LogFields]()
    for topic, kinds in fields.items():
        join = plan.join_of(topic)
        name = topic if join is None else join.name
        known = merged.get(name, {})
        merged[name] = {
            kind: known.get(kind, frozenset()) | kinds.get(kind, frozenset()) for kind in {**known, **kinds}
        }
    return merged


def of_these_logs(
    joins: Sequence[JoinSettings], statuses: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The statuses of tasks whose logs these joins make; others end when the daemon is started with them.

    Examples
    --------
    >>> statuses = [{"topic": topic, "partition": 0} for topic in ("a", "b", "a+b", "b+a", "c")]
    >>> [status["topic"] for status in of_these_logs((JoinSettings(topics=("a", "b")),), statuses)]
    ['a+b', 'c']
    >>> [status["topic"] for status in of_these_logs((), statuses)]
    ['a', 'b', 'c']
    """
    plan = JoinPlan(tuple(joins))

    def is_of_these(status: Mapping[str, Any]) -> bool:
        topics = status["topic"].split("+")
        join = plan.join_of(topics[0])
        if join is None:
            return len(topics) == 1 and status["partition"] != ALL
        named = [topic for topic in join.topics if topic in topics]
        several = len(topics) > 1 or join.partitions == "all"
        return named == topics and several and (join.partitions == "all") == (status["partition"] == ALL)

    return [status for status in statuses if is_of_these(status)]


def _counts(topics: Sequence[TopicCheck]) -> dict[str, int]:
    return {topic.topic: topic.partitions for topic in topics}


def _log_of(joined: JoinedPartitions) -> Log:
    members = [Partition(topic, "", number) for topic, number in joined.members]
    return Log.joined(joined.topics, joined.number, members) if joined.is_joined else Log.of(members[0])
