"""JSON lines, appended to a file."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

from alerts.clock import Clock
from alerts.receivers.errors import ReceiverError
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from alerts.receivers.settings import FileSettings
from alerts.secrets import Resolve

_TAIL_BYTES = 4 << 20  # looked through for a line in doubt: far more than is ever in flight at once
_PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EINTR,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOSPC,
    }
)


class FileReceiver:
    """Appends the stored body as one line, on disk before the next; a line in doubt is looked for first.

    The file is opened anew for each line, so it may be rotated away.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> None:
        """Append it; there are no steps to record.

        Raises
        ------
        RetryableError
            When the disk is full or fails.
        PermanentError
            When the file may not be written.
        """
        try:
            self._append(delivery)
        except OSError as error:
            reason = f"file_{errno.errorcode.get(error.errno or 0, 'unknown').lower()}"
            if error.errno in _PASSING:
                raise RetryableError(reason, in_doubt=True, everything=True) from error
            raise PermanentError(reason) from error

    def _append(self, delivery: Delivery) -> None:
        line = delivery.body + b"\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            span = _TAIL_BYTES if delivery.in_doubt else len(line)
            tail = os.pread(descriptor, span, max(size - span, 0))
            *lines, unfinished = tail.split(b"\n")
            if delivery.in_doubt and _holds(lines, delivery):
                return
            if unfinished and line.startswith(unfinished):
                size -= len(unfinished)  # this very line, cut short when it was first written
                os.ftruncate(descriptor, size)
            elif unfinished:
                line = b"\n" + line
            _write(descriptor, line, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def file(name: str, settings: FileSettings, resolve: Resolve, clock: Clock) -> FileReceiver:
    """Build the receiver, having made sure that the file can be written.

    Raises
    ------
    ReceiverError
        When it cannot.
    """
    try:
        with settings.path.open("ab"):
            pass
    except OSError as error:
        raise ReceiverError(f"receiver {name} cannot write to {settings.path}: {error.strerror}") from error
    return FileReceiver(settings.path)


def _write(descriptor: int, line: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        if written:
            os.ftruncate(descriptor, size)  # a full disk takes a part of a line; half a line is none
        raise


def _holds(lines: list[bytes], delivery: Delivery) -> bool:
    if delivery.body in lines:
        return True
    return any(_is(line, delivery) for line in reversed(lines) if delivery.alert_id.encode() in line)


def _is(line: bytes, delivery: Delivery) -> bool:
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return (
        isinstance(found, dict)
        and found.get("id") == delivery.alert_id
        and found.get("number") == delivery.number
    )
