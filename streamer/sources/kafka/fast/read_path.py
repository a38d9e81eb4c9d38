"""In which way Kafka is read: what is faster, where it says the same as kafka-python itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from streamer.sources.kafka.client_internals import Network
from streamer.sources.kafka.fast import frames_check as kafka_frames_check
from streamer.sources.kafka.fast import parser_check as kafka_raw_check
from streamer.sources.kafka.fast.frames import FrameNetwork

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadPath:
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


def reading_with(parser: type) -> ReadPath:
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
    return ReadPath(True, Network if reason else FrameNetwork)


ONE_BY_ONE = ReadPath(False, Network)
"""As kafka-python itself does it."""
