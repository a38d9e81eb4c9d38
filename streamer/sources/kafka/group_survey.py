"""How a consumer group works now, without joining it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from kafka import KafkaAdminClient, errors

from streamer.sources.kafka.client import connect
from streamer.sources.kafka.kafka_settings import KafkaSettings

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GroupSurvey:
    """What a broker says of a consumer group.

    Parameters
    ----------
    members
        How many it has.
    protocol
        The name of the assignor that they work by; empty while it has none.
    """

    members: int = 0
    protocol: str = ""


def survey_group(settings: KafkaSettings, environ: Mapping[str, str]) -> GroupSurvey | None:
    """Ask for the settings' group; None where this user may not see it.

    Raises
    ------
    TapewatchError
        When Kafka cannot be reached.
    """
    admin = connect(KafkaAdminClient, settings, environ)
    try:
        described = admin.describe_groups([settings.group])[settings.group]
    except errors.GroupIdNotFoundError:
        return GroupSurvey()
    except errors.KafkaError as error:
        _log.info("the consumer group cannot be described", group=settings.group, reason=str(error))
        return None
    finally:
        admin.close()
    return GroupSurvey(len(described["members"]), described["protocol_data"] or "")
