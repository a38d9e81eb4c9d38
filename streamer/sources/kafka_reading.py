"""In which way Kafka is read: what is faster, where it says the same as kafka-python itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from streamer.sources import kafka_frames_check, kafka_raw_check
from streamer.sources.kafka_frames import FrameNetwork
from streamer.sources.kafka_internals import Network

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """A way to read.

    Parameters
    ----------
    raw
        Whether record batches are read as columns.
    network
        What connections are made by.
    """

    raw: bool
    network: type[Network]


def reading_with(parser: type) -> Reading:
    """The fastest way that is right, with a warning where a faster one is not.

    Parameters
    ----------
    parser
        Reads record batches as columns.
    """
    reason = kafka_raw_check.why_not(parser)
    if reason is not None:
        _log.warning("record batches are read record by record, which is slower", reason=reason)
        return ONE_BY_ONE
    reason = kafka_frames_check.why_not()
    if reason is not None:
        _log.warning("responses are copied once more, which is slower", reason=reason)
    return Reading(True, Network if reason else FrameNetwork)


ONE_BY_ONE = Reading(False, Network)
"""As kafka-python itself does it."""
