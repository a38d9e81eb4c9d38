"""What a daemon consumed, as a file: `tapewatch record` writes it, `tapewatch replay` folds it again.

One JSON object a line. The first names the partitions; then, partition by partition, records
(``p`` its number, ``o`` offset, ``t`` timestamp in ms, ``k`` key, ``h`` headers, ``v`` value) and
ticks (``tick`` number, ``ts`` ns) in the order in which they were folded. Bytes that are no UTF-8
text are ``{"b64": …}``.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec
import zstandard

from streamer.errors import TapewatchError, UsageError
from streamer.events.batch import NO_TIME
from streamer.sources.contract import Assignments, Chunk, Log, Partition, Record
from streamer.sources.lines import Lines, open_lines

FORMAT_VERSION = 1
_MARK = "recording"
_NS_PER_MS = 1_000_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def header_line(partitions: Sequence[tuple[Partition, int]]) -> bytes:
    """The first line: the partitions, each with the offset its history begins at."""
    described = [{**partition._asdict(), "start": start} for partition, start in partitions]
    return bytes(_encode({"tapewatch": _MARK, "version": FORMAT_VERSION, "partitions": described}))


def record_line(number: int, record: Record) -> bytes:
    """One record of partition `number`."""
    line: dict[str, Any] = {"p": number, "o": record.offset}
    if record.timestamp != NO_TIME:
        line["t"] = record.timestamp // _NS_PER_MS
    if record.key is not None:
        line["k"] = _text(record.key)
    if record.headers:
        line["h"] = [[name, None if value is None else _text(value)] for name, value in record.headers]
    line["v"] = None if record.value is None else _text(record.value)
    return bytes(_encode(line))


def tick_line(number: int, tick_number: int, ts_ns: int) -> bytes:
    """One tick of partition `number`.

    Examples
    --------
    >>> tick_line(0, 3, 5_000)
    b'{"p":0,"tick":3,"ts":5000}'
    """
    return bytes(_encode({"p": number, "tick": tick_number, "ts": ts_ns}))


def open_recording(path: Path) -> IO[bytes]:
    """A recording to write: ``.jsonl``, compressed where it ends in ``.gz`` or ``.zst``.

    Raises
    ------
    TapewatchError
        When it cannot be written.
    """
    if path.suffixes[-2:] not in ([".jsonl", ".gz"], [".jsonl", ".zst"]) and path.suffix != ".jsonl":
        raise UsageError(f"{path}: a recording ends in .jsonl, .jsonl.gz or .jsonl.zst")
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "wb", compresslevel=6)
        if path.suffix == ".zst":
            return zstandard.open(path, "wb")
        return path.open("wb")
    except OSError as error:
        raise TapewatchError(f"cannot write {path}: {error.strerror}") from error


def is_recording(path: Path) -> bool:
    """True when the file begins as a recording does."""
    with open_lines(path) as lines:
        return _header(next(iter(lines), b"")) is not None


class RecordingSource:
    """Reads a recording back, in the same tasks and the same order.

    Parameters
    ----------
    path
        The file, ``.jsonl``, also ``.gz`` or ``.zst``.
    batch_size
        Records a chunk at most.
    limit
        Stop after so many records, None for all.
    """

    def __init__(self, path: Path, batch_size: int, limit: int | None = None) -> None:
        self._path = path
        self._batch_size = batch_size
        self._limit = limit
        self._chunks: Iterator[Chunk] = iter(())
        self._exhausted = False
        self._lines: Lines | None = None

    def progress(self) -> float:
        """How much has been read, from 0 to 1."""
        if self._lines is None:
            return 0.0
        return self._lines.bytes_read / max(self._lines.size, 1)

    def open(self, assignments: Assignments) -> None:
        """Read the header and announce its partitions."""
        header, lines = self._begin()
        logs = [_log(described) for described in header["partitions"]]
        assignments.assigned(logs)
        self._chunks = self._read([log.partition for log in logs], lines)

    def poll(self, timeout_s: float) -> Sequence[Chunk]:
        """The next chunk; a file never waits."""
        del timeout_s
        chunk = next(self._chunks, None)
        self._exhausted = chunk is None
        return () if chunk is None else (chunk,)

    def at_end(self) -> frozenset[Partition]:
        """Empty: the only ticks are those that were recorded."""
        return frozenset()

    def exhausted(self) -> bool:
        """True behind the last line."""
        return self._exhausted

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """A file keeps no positions."""

    def close(self) -> None:
        """Let go of the file."""
        self._chunks = iter(())
        if self._lines is not None:
            self._lines.close()

    def _begin(self) -> tuple[dict[str, Any], Iterator[tuple[int, bytes]]]:
        self._lines = open_lines(self._path)
        lines = iter(enumerate(self._lines, 1))
        _, first = next(lines, (1, b""))
        header = _header(first)
        if header is None:
            raise TapewatchError(f"{self._path} is not a tapewatch recording")
        if header["version"] != FORMAT_VERSION:
            raise TapewatchError(
                f"{self._path} has recording version {header['version']}, this tapewatch reads {FORMAT_VERSION}"
            )
        return header, lines

    def _read(self, partitions: Sequence[Partition], lines: Iterable[tuple[int, bytes]]) -> Iterator[Chunk]:
        waiting: list[Record] = []
        of, taken = -1, 0
        for number, text in lines:
            if self._limit is not None and taken >= self._limit:
                break
            line = self._parse(number, text)
            is_tick = "tick" in line
            if waiting and (line["p"] != of or is_tick or len(waiting) >= self._batch_size):
                yield Chunk(partitions[of], waiting)
                waiting = []
            of = line["p"]
            if is_tick:
                yield Chunk(partitions[of], (), line["ts"], line["tick"])
            else:
                waiting.append(_record(line))
                taken += 1
        if waiting:
            yield Chunk(partitions[of], waiting)

    def _parse(self, number: int, text: bytes) -> dict[str, Any]:
        try:
            line = _decode(text)
        except msgspec.DecodeError as error:
            raise TapewatchError(f"{self._path}:{number}: not a line of a recording ({error})") from error
        if not isinstance(line, dict) or not isinstance(line.get("p"), int):
            raise TapewatchError(f"{self._path}:{number}: not a line of a recording")
        return line


def _header(line: bytes) -> dict[str, Any] | None:
    try:
        found = _decode(line)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) and found.get("tapewatch") == _MARK else None


def _log(described: Mapping[str, Any]) -> Log:
    partition = Partition(described["topic"], described["incarnation"], described["partition"])
    return Log(partition, first=described["start"], end=2**62, start=described["start"])


def _record(line: Mapping[str, Any]) -> Record:
    return Record(
        offset=line["o"],
        value=_bytes(line["v"]),
        timestamp=line["t"] * _NS_PER_MS if "t" in line else int(NO_TIME),
        key=_bytes(line.get("k")),
        headers=tuple((name, _bytes(value)) for name, value in line.get("h", ())),
    )


def _text(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(data).decode()}


def _bytes(found: str | Mapping[str, str] | None) -> bytes | None:
    if found is None:
        return None
    return found.encode() if isinstance(found, str) else base64.b64decode(found["b64"])
