"""Kafka's responses read straight into memory in which what was fetched stays.

kafka-python takes 4 KB at a time from its socket, and copies what it has got six times until a fetch's record
batches are bytes of their own. Here a large response is received into an array of its size, and the batches
are views of it, with room behind that kernels may look into (`Frame`). Requests, their order, time-outs, and
what is wrong with a response remain kafka-python's.

Like `streamer.sources.kafka.client_internals` this is beyond what kafka-python documents; at every start
`streamer.sources.kafka.fast.frames_check` compares it with what kafka-python reads.
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
"""What stands before each response: how many bytes it has."""

AT_ONCE = 65_536
"""So many bytes are taken from the socket where it is not known yet what comes."""

DIRECT = 16_384
"""From so many missing bytes of a response on, they are received where they stay.

Neither this nor `AT_ONCE` may be less than a TLS record holds.
"""

TOGETHER = 1_048_576
"""So many bytes of a response are waited for, or all that are missing."""

KEPT = 1_024
"""So many bytes and more are left where they were received; fewer are copied, as the library does."""

_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Frame:
    """A response that is being received, then read; what kafka-python uses its `KafkaBytes` for.

    Parameters
    ----------
    size
        How many bytes it has.

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
        self._at = 0

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def missing(self) -> int:
        """How many bytes are still to come."""
        return len(self._bytes) - self._filled

    def fill(self, data: memoryview) -> int:
        """Take bytes that have come; returns how many of them belong here."""
        count = min(len(data), self.missing)
        self._bytes[self._filled : self._filled + count] = data[:count]
        self._filled += count
        return count

    def receive(self, sock: socket.socket) -> int:
        """Take what the socket has right now; returns how many bytes, none where the other end has closed.

        Raises
        ------
        OSError
            As of the socket, also where it has nothing now.
        """
        count = sock.recv_into(self._bytes[self._filled :])
        self._filled += count
        return count

    def read(self, size: int | None = None) -> bytes:
        """The next bytes, copied; all that are left where it is not said how many."""
        start, self._at = self._at, len(self) if size is None else min(self._at + size, len(self))
        return bytes(self._bytes[start : self._at])

    def rest(self) -> memoryview:
        """All that are left, where they are."""
        return self._bytes[self._at :]

    def seek(self, at: int) -> None:
        """Read on from there."""
        self._at = at

    def tell(self) -> int:
        """Where it is read on."""
        return self._at


class Frames(KafkaProtocol):  # type: ignore[misc]  # kafka-python has no types
    """A connection's responses, each received into a `Frame`."""

    frame: Frame | None = None
    """The response that is being received; None between two, and while its size is."""

    _size = b""

    def receive_bytes(self, data: bytes) -> list[tuple[int, Any]]:
        """As of the class it is in the place of; what is missing of `frame` may have come without this."""
        found: list[tuple[int, Any]] = []
        left = memoryview(data)
        while True:
            if self.frame is None:
                left = self._begin(left)
            if self.frame is None:
                return found
            left = left[self.frame.fill(left) :]
            if self.frame.missing:
                return found
            frame, self.frame = self.frame, None
            found.append(self._process_response(frame))

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
            answer: tuple[int, Any] = super()._process_response(frame)
            return answer
        sent = self.in_flight_requests.popleft()
        kind = sent.get_response_class()
        try:
            came = kind.parse_header(frame).correlation_id
            if came != sent.correlation_id:
                raise errors.CorrelationIdError(
                    f"Correlation IDs do not match: sent {sent.correlation_id}, recv {came}"
                )
            response, _ = _decoder(kind)(frame.rest(), 0)
        except (ValueError, struct.error) as error:
            raise errors.KafkaProtocolError("Unable to decode response") from error
        return sent.correlation_id, response


def _is_fetch(header: Any) -> bool:
    kind = header.get_response_class()
    return kind is not None and bool(getattr(kind, "API_KEY", None) == FetchResponse.API_KEY)


@cache
def _decoder(kind: Any) -> FunctionType:
    """The library's own decoder of one version, which leaves where they are the bytes that it would copy."""
    version = kind._class_version
    flexible = kind.flexible_version_q(version)
    made = kind._struct.compiled_decode_from(
        version, compact=flexible, tagged=flexible, data_class=kind[None]
    )
    return FunctionType(made.__code__, {**made.__globals__, "bytes": _kept})


def _kept(view: memoryview) -> bytes | memoryview:
    return view if len(view) >= KEPT else bytes(view)


class _FrameReader:
    # What a transport reads by, of either kind.
    _protocol: Any
    _sock: Any

    async def _read_from_sock(self) -> None:
        parser = self._protocol.parser
        if type(parser) is KafkaProtocol:
            parser.__class__ = Frames  # it has received nothing yet
        await super()._read_from_sock()  # type: ignore[misc]

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        # What a selector does not see, decrypted bytes, is never left: both sizes hold all of a TLS record.
        frame = self._protocol.parser.frame
        data = b""
        try:
            if frame is not None and frame.missing >= DIRECT:
                received = frame.receive(self._sock)
            else:
                data = self._sock.recv(AT_ONCE)
                received = len(data)
        except _NOT_NOW:
            return data, None
        except OSError as error:
            return data, errors.KafkaConnectionError(error)
        return data, None if received else errors.KafkaConnectionError("socket disconnected")


class _TcpReading(_FrameReader, KafkaTCPTransport):  # type: ignore[misc]
    _asked = 1

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        found = super()._sock_recv()
        frame = self._protocol.parser.frame
        if found[1] is None:
            self._tell_of(1 if frame is None or frame.missing < DIRECT else min(frame.missing, TOGETHER))
        return found

    def _tell_of(self, count: int) -> None:
        """Have the selector tell of so many bytes and not of fewer: each time costs, also detection."""
        if count != self._asked:
            with suppress(OSError):  # where that cannot be asked for, it tells of every byte
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._asked = count


class _TlsReading(_FrameReader, KafkaSSLTransport):  # type: ignore[misc]
    pass


_READING = {KafkaTCPTransport: _TcpReading, KafkaSSLTransport: _TlsReading}


class _FrameManager(Manager):
    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        transport = await super()._build_transport(node, timeout_at=timeout_at)
        transport.__class__ = _READING[type(transport)]
        return transport


class FrameNetwork(Network):
    """A `Network` whose connections read into `Frame`s."""

    manager = _FrameManager
