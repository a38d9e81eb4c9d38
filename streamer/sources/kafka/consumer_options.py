"""Options of kafka-python's consumer that no setting changes."""

from __future__ import annotations

from typing import Any

from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from streamer.sources.kafka.kafka_settings import KafkaSettings

HEARTBEAT_MS = 1_000
"""Heartbeat interval; also bounds how late this process learns of a rebalance."""


def options_of(settings: KafkaSettings, max_poll_records: int) -> dict[str, Any]:
    """Options of a group member whose offsets come from the store, never from Kafka."""
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
        "partition_assignment_strategy": [CooperativeStickyAssignor],
    }
