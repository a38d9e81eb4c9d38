"""Topics to publish to: created only on request, and checked that they keep recorded times."""

from __future__ import annotations

import time
from collections.abc import Mapping

import structlog
from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource, ConfigResourceType

from streamer.errors import TapewatchError, UsageError
from streamer.messages.records import NO_TIME
from streamer.sources.kafka.client import connect, explain
from streamer.sources.kafka.kafka_settings import KafkaSettings

UNLIMITED_RETENTION = {"retention.ms": "-1"}
"""Settings of a created topic: recorded times are old, and Kafka would soon delete such records."""

_NS_PER_MS = 1_000_000

_log = structlog.get_logger(__name__)


def ensure_topic(
    settings: KafkaSettings, environ: Mapping[str, str], topic: str, create: int | None = None
) -> None:
    """Make sure that a topic exists.

    Parameters
    ----------
    create
        How many partitions to create it with where it does not exist; None never creates it.

    Raises
    ------
    TapewatchError
        When it does not exist and is not to be created, or has another number of partitions.
    """
    if create is not None and create < 1:
        raise UsageError("a topic has at least one partition")
    where = ", ".join(settings.servers)
    admin = connect(KafkaAdminClient, settings, environ)
    try:
        topics = {description["name"]: description for description in admin.describe_topics()}
        if topic not in topics:
            if create is None:
                raise TapewatchError(
                    f"topic '{topic}' does not exist at {where}, or this user may not see it:"
                    " create it (`tapewatch publish --create PARTITIONS` does)"
                )
            spec = {"num_partitions": create, "replication_factor": -1, "configs": UNLIMITED_RETENTION}
            admin.create_topics({topic: spec}, wait_for_metadata=True)
            return
        count = len(topics[topic]["partitions"])
        if create not in {None, count}:
            raise TapewatchError(f"topic '{topic}' has {count} partitions already, not {create}")
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        admin.close()


def warn_of_lost_times(settings: KafkaSettings, environ: Mapping[str, str], topic: str, oldest: int) -> None:
    """Log a warning where a topic would replace record times, or soon delete records as old as `oldest`."""
    admin = connect(KafkaAdminClient, settings, environ)
    names = {"retention.ms": None, "message.timestamp.type": None}
    try:
        described = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, names)], config_filter="all"
        )
        configs = described["topic"][topic]
    except errors.AuthorizationError as error:
        _log.info("no permission to read the topic's settings", topic=topic, reason=str(error))
        return
    except errors.KafkaError as error:
        raise explain(error, settings, environ) from error
    finally:
        admin.close()
    if configs["message.timestamp.type"]["value"] != "CreateTime":
        _log.warning(
            "the topic replaces record times by the time of arrival: set message.timestamp.type=CreateTime",
            topic=topic,
        )
    retention_ms = int(configs["retention.ms"]["value"])
    age_ms = time.time() * 1000 - oldest // _NS_PER_MS
    if oldest != NO_TIME and 0 <= retention_ms < age_ms:
        _log.warning("records are older than the topic's retention: set retention.ms=-1", topic=topic)
