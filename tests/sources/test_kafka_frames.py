"""Responses received into the memory where they stay: as kafka-python reads them, however the bytes come."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import errors
from kafka.protocol.consumer import FetchRequest
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse
from kafka.protocol.parser import KafkaProtocol

from streamer.messages.record_block import PADDING
from streamer.sources.kafka.fast.batch_blocks import padded_view
from streamer.sources.kafka.fast.frames import (
    DIRECT_BYTES,
    RECEIVE_BYTES,
    VIEW_BYTES,
    Frame,
    FrameNetwork,
    Frames,
)
from streamer.sources.kafka.fast.frames_check import (
    encode,
    fetch_response,
    find_difference,
    parse,
    sample_requests,
    sample_responses,
)

LARGE = bytes(range(256)) * 4_000


@given(st.integers(4, 18), st.lists(st.integers(1, 9_000), max_size=12), st.integers(1, 20_000))
def test_the_same_however_the_bytes_are_cut(version: int, cuts: list[int], rest: int) -> None:
    left, pieces = b"".join(sample_responses(version)), []
    for size in (*cuts, *([rest] * len(left))):
        pieces.append(left[:size])
        left = left[size:]
    found = parse(Frames, pieces, sample_requests(version))
    assert found == parse(KafkaProtocol, pieces, sample_requests(version))
    assert [number for number, _ in found] == [0, 1, 2, 3]


def test_batches_stay_where_they_were_received_and_small_ones_do_not() -> None:
    parser = Frames(client_id="test")
    parser.send_request(FetchRequest[12](), correlation_id=1)
    ((_, response),) = parser.receive_bytes(fetch_response(12, 1, (LARGE, b"a" * (VIEW_BYTES - 1), None)))
    large, small, none = (part.records for part in response.responses[0].partitions)
    assert isinstance(large, memoryview)
    assert bytes(large) == LARGE
    assert type(small) is bytes
    assert none is None
    arena = padded_view(large)
    assert np.shares_memory(arena, np.frombuffer(large, np.uint8))
    assert len(arena) == len(LARGE) + PADDING


@pytest.mark.parametrize("behind", [0, 1, PADDING - 1, PADDING])
def test_an_arena_is_copied_only_where_there_is_no_room_behind(behind: int) -> None:
    whole = np.arange(100 + behind, dtype=np.uint8)
    arena = padded_view(whole.data[50:100])
    assert arena[:50].tolist() == list(range(50, 100))
    assert len(arena) == 50 + PADDING
    assert np.shares_memory(arena, whole) == (behind == PADDING)
    assert len(padded_view(memoryview(bytes(7)))) == 7 + PADDING


@pytest.mark.parametrize("kind", ["a byte short", "cut off", "another number", "too large", "nobody asked"])
def test_what_is_wrong_is_wrong_in_both(kind: str) -> None:
    answer = bytearray(fetch_response(12, 1, (b"abc",)))
    if kind == "a byte short":
        answer[answer.index(b"abc") - 1] = 0x7F
    elif kind == "cut off":
        answer = answer[:3] + bytes((40,)) + answer[4:44]
    elif kind == "another number":
        answer[7] = 9
    elif kind == "too large":
        answer[0] = 0x7F
    raised = []
    for protocol in (KafkaProtocol, Frames):
        parser = protocol(client_id="test")
        if kind != "nobody asked":
            parser.send_request(FetchRequest[12](), correlation_id=1)
        with pytest.raises(Exception) as error:
            parser.receive_bytes(bytes(answer))
        raised.append(error.type)
    assert raised[0] is raised[1]


class _Forgets(Frames):
    def _process_response(self, frame: Frame) -> tuple[int, Any]:
        number, response = super()._process_response(frame)
        if number == 2:
            response.responses[0].partitions.pop()
        return number, response


class _Fails(Frames):
    def receive_bytes(self, data: bytes) -> list[tuple[int, Any]]:
        raise AttributeError("no attribute '_size'")


def test_a_difference_is_told() -> None:
    assert find_difference() is None
    assert "responses differ" in str(find_difference(_Forgets))
    assert find_difference(_Fails) == "AttributeError: no attribute '_size'"


BATCHES = (LARGE, b"a", LARGE[: DIRECT_BYTES + 7])
SIZE = len(fetch_response(11, 0, BATCHES))


class Broker:
    """On loopback, for one connection: it answers a fetch in pieces of these sizes, and the rest at last.

    Parameters
    ----------
    sizes
        Of the pieces.
    rest
        Whether what is left comes at all.
    context
        Encrypts.
    """

    def __init__(self, sizes: list[int], *, rest: bool = True, context: ssl.SSLContext | None = None) -> None:
        self._sizes, self._rest, self._context = sizes, rest, context
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> int:
        self._thread.start()
        return int(self._server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._server.close()
        assert not self._thread.is_alive()

    def _work(self) -> None:
        taken, _ = self._server.accept()
        with taken if self._context is None else self._context.wrap_socket(taken, server_side=True) as to:
            stream = to.makefile("rb")
            while size := stream.read(4):
                key, version, number = struct.unpack(">hhi", stream.read(int.from_bytes(size, "big"))[:8])
                if key == ApiVersionsRequest.API_KEY:
                    to.sendall(encode(ApiVersionsResponse[version](error_code=0, api_keys=KEYS), number))
                elif key == FetchRequest.API_KEY and not self._answer(
                    to, fetch_response(11, number, BATCHES)
                ):
                    return

    def _answer(self, to: socket.socket, left: bytes) -> bool:
        for size in self._sizes:
            to.sendall(left[:size])
            left = left[size:]
            time.sleep(0.01)
        if self._rest:
            to.sendall(left)
        return self._rest


KEYS = [
    ApiVersionsResponse.ApiVersion(api_key=kind.API_KEY, min_version=0, max_version=newest)
    for kind, newest in ((FetchRequest, 11), (ApiVersionsRequest, 2))
]


def asked(port: int, **options: Any) -> list[Any]:
    """The batches that a fetch from that port gives."""
    network = FrameNetwork(
        bootstrap_servers=[f"127.0.0.1:{port}"], receive_message_max_bytes=100_000_000, **options
    )
    manager = network._manager

    async def fetch() -> Any:
        (node,) = manager.cluster.bootstrap_brokers()
        connection = await manager.get_connection(node.node_id)
        return await connection.send_request(FetchRequest[11](), request_timeout_ms=10_000)

    try:
        return [part.records for part in manager.run(fetch).responses[0].partitions]
    finally:
        network.close()


def check(found: list[Any]) -> None:
    """They are what was sent, and large ones lie where they were received."""
    assert [bytes(each) for each in found] == list(BATCHES)
    assert [isinstance(each, memoryview) for each in found] == [True, False, True]


def test_what_is_taken_at_once_holds_a_tls_record() -> None:
    assert min(DIRECT_BYTES, RECEIVE_BYTES) >= 16_384


@pytest.mark.parametrize(
    "sizes", [[], [1], [3, 2], [4], [RECEIVE_BYTES], [70_000, 1], [SIZE - 1], [SIZE - DIRECT_BYTES - 5, 3]]
)
def test_what_a_socket_brings(sizes: list[int]) -> None:
    with Broker(sizes) as port:
        check(asked(port))


@pytest.mark.parametrize("size", [0, 3, 100, 200_000])
def test_a_connection_that_ends_in_the_middle_is_an_error(size: int) -> None:
    with Broker([size], rest=False) as port, pytest.raises(errors.KafkaConnectionError):
        asked(port)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path), "-out", str(path.with_suffix(".crt"))),
        ],
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + path.with_suffix(".crt").read_bytes())
    return path


@pytest.mark.parametrize("sizes", [[], [5], [70_000, 1], [SIZE - 1]])
def test_what_an_encrypted_connection_brings(certificate: Path, sizes: list[int]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with Broker(sizes, context=context) as port:
        check(asked(port, security_protocol="SSL", ssl_cafile=str(certificate)))
