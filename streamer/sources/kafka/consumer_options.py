"""Options of kafka-python's consumer that no setting changes."""

from __future__ import annotations

from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from streamer.sources.kafka.joined_assignor import JoinedAssignor
from streamer.sources.kafka.joined_partitions import JoinPlan
from streamer.sources.kafka.kafka_settings import KafkaSettings

HEARTBEAT_MS = 1_000
"""Heartbeat interval; also bounds how late this process learns of a rebalance."""


def options_of(settings: KafkaSettings, max_poll_records: int, joins: JoinPlan) -> dict[str, Any]:
    """Options of a group member whose offsets come from the store, never from Kafka.

    With joins, it prefers the assignor that keeps joined partitions together. It offers the plain one too:
    else the broker would not let it in while it still counts this member's last process, without these joins,
    as one of the group. `GroupMember` reads nothing while the group works by the plain one.
    """
    session_ms = settings.session_timeout_milliseconds
    return {
        "group_id": settings.group,
        "group_instance_id": settings.member,
        "session_timeout_ms": session_ms,
        "heartbeat_interval_ms": min(HEARTBEAT_MS, session_ms // 3),
        "enable_auto_commit": False,
        "allow_auto_create_topics": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "none",
        "check_crcs": True,
        "fetch_max_bytes": settings.fetch_max_bytes,
        "max_partition_fetch_bytes": settings.max_partition_fetch_bytes,
        "max_poll_records": max_poll_records,
        "partition_assignment_strategy": [
            *([JoinedAssignor(joins)] if joins.joins else []),
            CooperativeStickyAssignor,
        ],
    }
