"""Compares responses received into `Frame`s with those that kafka-python itself reads, at every start.

A synthetic conversation, cut into pieces as a network would cut it, goes through both parsers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from kafka.protocol.consumer import FetchRequest, FetchResponse
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslBytesRequest, SaslBytesResponse

from streamer.sources.kafka.fast.frames import SIZE, VIEW_BYTES, Frames

NEWEST = 12
"""The newest fetch version that kafka-python uses, the last one with topic names."""

_SASL_BYTES = b"a word of a mechanism's own"
_PIECE_BYTES = 1_000


def sample_responses(version: int = NEWEST) -> list[bytes]:
    """A broker's responses to `sample_requests`: a fetch with batches of all sizes, and others around it."""
    records = (b"", b"a", bytes(range(256)) * (VIEW_BYTES // 64))
    sasl = SIZE.pack(len(_SASL_BYTES)) + _SASL_BYTES
    return [_versions(0), sasl, fetch_response(version, 2, records), _versions(3)]


def sample_requests(version: int = NEWEST) -> list[Any]:
    """The requests of the conversation; one is a SASL mechanism's own, which has no header."""
    kinds = (ApiVersionsRequest[0], partial(SaslBytesRequest, b"word"), FetchRequest[version])
    return [kind() for kind in (*kinds, ApiVersionsRequest[0])]


def fetch_response(version: int, number: int, records: Sequence[bytes | None]) -> bytes:
    """A fetch response for two topics, as it is sent.

    Parameters
    ----------
    version
        The protocol version, at least 4.
    number
        The number of its request.
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
            records=batches,
        )
        for index, batches in enumerate(records)
    ]
    response = FetchResponse[version](
        throttle_time_ms=7,
        error_code=0,
        session_id=5,
        responses=[topic(topic="one", partitions=parts), topic(topic="other", partitions=parts[:1])],
    )
    return encode(response, number)


def find_difference(protocol: type = Frames) -> str | None:
    """How a connection's parser differs from kafka-python's own, None if it does not."""
    stream = b"".join(sample_responses())
    pieces = [stream[at : at + _PIECE_BYTES] for at in range(0, len(stream), _PIECE_BYTES)]
    try:
        expected, actual = parse(KafkaProtocol, pieces), parse(protocol, pieces)
    except Exception as error:  # noqa: BLE001 - whatever no longer fits, kafka-python's own parser is there
        return f"{type(error).__name__}: {error}"
    return None if expected == actual else f"responses differ: {actual!r:.200} instead of {expected!r:.200}"


def parse(
    protocol: type, pieces: Iterable[bytes], requests: Sequence[Any] | None = None
) -> list[tuple[int, Any]]:
    """Parse responses that arrive in pieces.

    Parameters
    ----------
    protocol
        `KafkaProtocol`, or a class that replaces it.
    pieces
        The received bytes, in order.
    requests
        The requests sent before, numbered from 0; `sample_requests` by default.

    Returns
    -------
    list
        Number and response of each; record batches as `bytes`.
    """
    parser = protocol(client_id="check")
    for number, request in enumerate(sample_requests() if requests is None else requests):
        parser.send_request(request, correlation_id=number)
    responses = [response for piece in pieces for response in parser.receive_bytes(piece)]
    for at, (number, response) in enumerate(responses):
        if isinstance(response, SaslBytesResponse):
            responses[at] = number, response.auth_bytes
        for topic in getattr(response, "responses", ()):
            for part in topic.partitions:
                part.records = None if part.records is None else bytes(part.records)
    return responses


def _versions(number: int) -> bytes:
    return encode(ApiVersionsResponse[0](error_code=0, api_keys=[]), number)


def encode(response: Any, number: int) -> bytes:
    """A response to the request of that number, as it is sent."""
    response.with_header(correlation_id=number)
    return bytes(response.encode(header=True, framed=True))
