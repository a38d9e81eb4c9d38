"""Receives Kafka's responses straight into the memory where the fetched records stay.

kafka-python reads 4 KB at a time from its socket and copies the data six times before a fetch's record
batches are bytes of their own. Here a large response is received into an array of its size (`Frame`), and the
batches are views of it, followed by the padding that kernels may read. Requests, their order, timeouts and
the handling of bad responses remain kafka-python's.

Like `streamer.sources.kafka.client_internals` this relies on undocumented parts of kafka-python; at every
start `streamer.sources.kafka.fast.frames_check` compares it with what kafka-python reads.
"""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from kafka import errors
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport
from kafka.protocol.consumer import FetchResponse
from kafka.protocol.parser import KafkaProtocol

from streamer.messages.record_block import PADDING
from streamer.sources.kafka.client_internals import Manager, Network

SIZE = struct.Struct(">i")
"""The length prefix of each response."""

RECEIVE_BYTES = 65_536
"""Size of a read from the socket while the size of the response is unknown."""

DIRECT_BYTES = 16_384
"""With at least this much of a response missing, it is received straight into its frame.

Neither this nor `RECEIVE_BYTES` may be less than a TLS record holds.
"""

WAKE_BYTES = 1_048_576
"""The selector wakes up for this many bytes of a response, or for all that are missing."""

VIEW_BYTES = 1_024
"""Fields of at least this size stay in the frame as views; smaller ones are copied, as the library does."""

_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Frame:
    """A response while it is received and read; replaces kafka-python's `KafkaBytes`.

    Parameters
    ----------
    size
        Its size in bytes.

    Examples
    --------
    >>> frame = Frame(5)
    >>> frame.fill(memoryview(b"helloworld")), frame.missing
    (5, 0)
    >>> frame.read(2), bytes(frame.rest())
    (b'he', b'llo')
    """

    def __init__(self, size: int) -> None:
        arena = np.empty(size + PADDING, np.uint8)
        arena[size:] = 0
        self._bytes = arena.data[:size]
        self._filled = 0
        self._position = 0

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def missing(self) -> int:
        """How many bytes have not been received yet."""
        return len(self._bytes) - self._filled

    def fill(self, data: memoryview) -> int:
        """Copy received bytes; returns how many of them belong to this response."""
        count = min(len(data), self.missing)
        self._bytes[self._filled : self._filled + count] = data[:count]
        self._filled += count
        return count

    def receive(self, sock: socket.socket) -> int:
        """Receive what the socket has now; returns how many bytes, 0 where the other end has closed.

        Raises
        ------
        OSError
            From the socket, also when it has nothing now.
        """
        count = sock.recv_into(self._bytes[self._filled :])
        self._filled += count
        return count

    def read(self, size: int | None = None) -> bytes:
        """A copy of the next `size` bytes, or of all that are left."""
        start, self._position = (
            self._position,
            len(self) if size is None else min(self._position + size, len(self)),
        )
        return bytes(self._bytes[start : self._position])

    def rest(self) -> memoryview:
        """A view of all bytes that are left."""
        return self._bytes[self._position :]

    def seek(self, position: int) -> None:
        """Set the position of the next read."""
        self._position = position

    def tell(self) -> int:
        """The position of the next read."""
        return self._position


class Frames(KafkaProtocol):  # type: ignore[misc]  # kafka-python has no types
    """Parses a connection's responses, each received into a `Frame`."""

    frame: Frame | None = None
    """The response being received; None between two, and until its size is known."""

    _size = b""

    def receive_bytes(self, data: bytes) -> list[tuple[int, Any]]:
        """As the base class; `frame` may also have been filled directly from the socket."""
        responses: list[tuple[int, Any]] = []
        left = memoryview(data)
        while True:
            if self.frame is None:
                left = self._begin(left)
            if self.frame is None:
                return responses
            left = left[self.frame.fill(left) :]
            if self.frame.missing:
                return responses
            frame, self.frame = self.frame, None
            responses.append(self._process_response(frame))

    def _begin(self, data: memoryview) -> memoryview:
        count = SIZE.size - len(self._size)
        self._size += data[:count]
        if len(self._size) == SIZE.size:
            (size,) = SIZE.unpack(self._size)
            self._size = b""
            self._validate_frame_size(size)
            self.frame = Frame(size)
        return data[count:]

    def _process_response(self, frame: Frame) -> tuple[int, Any]:
        if not self.in_flight_requests or not _is_fetch(self.in_flight_requests[0]):
            parsed: tuple[int, Any] = super()._process_response(frame)
            return parsed
        request = self.in_flight_requests.popleft()
        kind = request.get_response_class()
        try:
            received = kind.parse_header(frame).correlation_id
            if received != request.correlation_id:
                raise errors.CorrelationIdError(
                    f"Correlation IDs do not match: sent {request.correlation_id}, recv {received}"
                )
            response, _ = _decoder(kind)(frame.rest(), 0)
        except (ValueError, struct.error) as error:
            raise errors.KafkaProtocolError("Unable to decode response") from error
        return request.correlation_id, response


def _is_fetch(header: Any) -> bool:
    kind = header.get_response_class()
    return kind is not None and bool(getattr(kind, "API_KEY", None) == FetchResponse.API_KEY)


@cache
def _decoder(kind: Any) -> FunctionType:
    """The library's own decoder of one version, changed to keep large fields as views instead of copies."""
    version = kind._class_version
    flexible = kind.flexible_version_q(version)
    decode = kind._struct.compiled_decode_from(
        version, compact=flexible, tagged=flexible, data_class=kind[None]
    )
    return FunctionType(decode.__code__, {**decode.__globals__, "bytes": _view_or_copy})


def _view_or_copy(view: memoryview) -> bytes | memoryview:
    return view if len(view) >= VIEW_BYTES else bytes(view)


class _FrameReader:
    # The reading half of a transport, with or without TLS.
    _protocol: Any
    _sock: Any

    async def _read_from_sock(self) -> None:
        parser = self._protocol.parser
        if type(parser) is KafkaProtocol:
            parser.__class__ = Frames  # it has received nothing yet
        await super()._read_from_sock()  # type: ignore[misc]

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        # The selector does not see bytes that TLS has already decrypted, so none may be left unread: both
        # sizes hold a whole TLS record.
        frame = self._protocol.parser.frame
        data = b""
        try:
            if frame is not None and frame.missing >= DIRECT_BYTES:
                received = frame.receive(self._sock)
            else:
                data = self._sock.recv(RECEIVE_BYTES)
                received = len(data)
        except _WOULD_BLOCK:
            return data, None
        except OSError as error:
            return data, errors.KafkaConnectionError(error)
        return data, None if received else errors.KafkaConnectionError("socket disconnected")


class _FrameTcpTransport(_FrameReader, KafkaTCPTransport):  # type: ignore[misc]
    _wake_at = 1

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, error = super()._sock_recv()
        frame = self._protocol.parser.frame
        if error is None:
            large = frame is not None and frame.missing >= DIRECT_BYTES
            self._set_wake_at(min(frame.missing, WAKE_BYTES) if large else 1)
        return data, error

    def _set_wake_at(self, count: int) -> None:
        """Have the selector wake up for `count` bytes and not for fewer: each wake-up slows detection."""
        if count != self._wake_at:
            with suppress(OSError):  # where the option is not supported, every byte wakes it up
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._wake_at = count


class _FrameTlsTransport(_FrameReader, KafkaSSLTransport):  # type: ignore[misc]
    pass


_TRANSPORTS = {KafkaTCPTransport: _FrameTcpTransport, KafkaSSLTransport: _FrameTlsTransport}


class _FrameManager(Manager):
    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        transport.__class__ = _TRANSPORTS[type(transport)]
        return transport


class FrameNetwork(Network):
    """A `Network` whose connections receive into `Frame`s."""

    manager = _FrameManager
