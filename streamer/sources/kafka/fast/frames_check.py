"""Whether responses read into `Frame`s are what kafka-python itself would read; asked at every start.

A made-up conversation, cut into pieces as a network cuts it, goes through both, and a difference is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslBytesRequest, SaslBytesResponse

from streamer.sources.kafka.fast.frames import KEPT, SIZE, Frames

NEWEST = 12
"""The version that kafka-python fetches with where the broker knows it: the last one with topics' names."""

_RAW = b"a word of a mechanism's own"
_PIECE = 1_000


def answers(version: int = NEWEST) -> list[bytes]:
    """What a broker sends to `requests`: a fetch of batches of all sizes, and others around it."""
    records = (b"", b"a", bytes(range(256)) * (KEPT // 64))
    return [_versions(0), SIZE.pack(len(_RAW)) + _RAW, fetched(version, 2, records), _versions(3)]


def requests(version: int = NEWEST) -> list[Any]:
    """What was asked before: also in a mechanism's own way of logging in, which has no header."""
    kinds = (ApiVersionsRequest[0], partial(SaslBytesRequest, b"word"), FetchRequest[version])
    return [kind() for kind in (*kinds, ApiVersionsRequest[0])]


def fetched(version: int, number: int, records: Sequence[bytes | None]) -> bytes:
    """A fetch's response, of two topics.

    Parameters
    ----------
    version
        Of the protocol, from 4 on.
    number
        The number of the request that it answers.
    records
        The record batches of each partition.
    """
    topic = FetchResponse.FetchableTopicResponse
    part = topic.PartitionData
    parts = [
        part(
            partition_index=index,
            error_code=index,
            high_watermark=10 * index,
            last_stable_offset=9,
            log_start_offset=1,
            aborted_transactions=[part.AbortedTransaction(producer_id=3, first_offset=index)],
            preferred_read_replica=-1,
            records=found,
        )
        for index, found in enumerate(records)
    ]
    response = FetchResponse[version](
        throttle_time_ms=7,
        error_code=0,
        session_id=5,
        responses=[topic(topic="one", partitions=parts), topic(topic="other", partitions=parts[:1])],
    )
    return framed(response, number)


def why_not(protocol: type = Frames) -> str | None:
    """In which way a connection's parser differs from kafka-python's own, None where it does not."""
    whole = b"".join(answers())
    pieces = [whole[at : at + _PIECE] for at in range(0, len(whole), _PIECE)]
    try:
        expected, found = read(KafkaProtocol, pieces), read(protocol, pieces)
    except Exception as error:  # noqa: BLE001 - whatever does not fit any more, there is another way
        return f"{type(error).__name__}: {error}"
    return None if expected == found else f"responses differ: {found!r:.200} for {expected!r:.200}"


def read(protocol: type, pieces: Iterable[bytes], sent: Sequence[Any] | None = None) -> list[tuple[int, Any]]:
    """What a connection's parser makes of bytes that come in pieces, behind requests.

    Parameters
    ----------
    protocol
        `KafkaProtocol`, or what takes its place.
    pieces
        What comes, in order.
    sent
        The requests before, numbered from 0 on; `requests` where absent.

    Returns
    -------
    list
        The number and the response of each; batches are `bytes`, wherever they lay.
    """
    parser = protocol(client_id="check")
    for number, request in enumerate(requests() if sent is None else sent):
        parser.send_request(request, correlation_id=number)
    found = [answer for piece in pieces for answer in parser.receive_bytes(piece)]
    for at, (number, response) in enumerate(found):
        if isinstance(response, SaslBytesResponse):
            found[at] = number, response.auth_bytes
        for topic in getattr(response, "responses", ()):
            for part in topic.partitions:
                part.records = None if part.records is None else bytes(part.records)
    return found


def _versions(number: int) -> bytes:
    return framed(ApiVersionsResponse[0](error_code=0, api_keys=[]), number)


def framed(response: Any, number: int) -> bytes:
    """A response as it is sent, to the request of that number."""
    response.with_header(correlation_id=number)
    return bytes(response.encode(header=True, framed=True))
