"""Chooses how Kafka is read: the fastest way that gives the same records as kafka-python itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from streamer.sources.kafka.client_internals import Network
from streamer.sources.kafka.fast import frames_check, parser_check
from streamer.sources.kafka.fast.frames import FrameNetwork

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadPath:
    """How records are fetched and parsed.

    Parameters
    ----------
    raw
        Whether record batches are read as columns.
    network
        The network client that makes the connections.
    """

    raw: bool
    network: type[Network]


def fastest_read_path(parser: type) -> ReadPath:
    """The fastest path that passes its check; logs a warning about each that fails.

    Parameters
    ----------
    parser
        Reads record batches as columns.
    """
    reason = parser_check.find_difference(parser)
    if reason is not None:
        _log.warning("record batches are read record by record, which is slower", reason=reason)
        return RECORD_BY_RECORD
    reason = frames_check.find_difference()
    if reason is not None:
        _log.warning("responses are copied once more, which is slower", reason=reason)
    return ReadPath(True, Network if reason else FrameNetwork)


RECORD_BY_RECORD = ReadPath(False, Network)
"""kafka-python's own way."""
