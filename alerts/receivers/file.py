"""JSON lines, appended to a file."""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
from collections.abc import Callable
from pathlib import Path

from alerts.clock import Clock
from alerts.plain_text import safe_json
from alerts.receivers.errors import ReceiverError
from alerts.receivers.kind import KindSettings, Probed, ReceiverKind
from alerts.receivers.receiver import Delivery, PermanentError, RetryableError
from alerts.secrets import Resolve

_TAIL_BYTES = 4 << 20  # searched for a line in doubt: far more than is ever in flight at once
_LITTLE_ROOM = 1 << 20  # bytes free on the disk: an alert is one or two thousand
_TEMPORARY = frozenset(
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


class FileReceiverSettings(KindSettings):
    """JSON lines, appended to a file.

    Parameters
    ----------
    path
        The file; its folder must exist.
    """

    path: Path


class FileReceiver:
    """Appends the stored body as one line, synced to disk; a line in doubt is searched for first.

    What could steer a terminal is written by its number, which is the same JSON. The file is opened for each
    line, so it may be rotated away.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, delivery: Delivery, record: Callable[[str, str], None]) -> str:
        """Append it; no steps are recorded.

        Raises
        ------
        RetryableError
            When the disk is full or fails.
        PermanentError
            When the file cannot be written.
        """
        try:
            self._append(delivery)
        except OSError as error:
            reason = f"file_{errno.errorcode.get(error.errno or 0, 'unknown').lower()}"
            if error.errno in _TEMPORARY:
                raise RetryableError(reason, in_doubt=True, everything=True) from error
            raise PermanentError(reason) from error
        return f"written to {self._path}"

    def _append(self, delivery: Delivery) -> None:
        line = safe_json(delivery.body.decode()).encode() + b"\n"
        descriptor = _open(self._path)
        try:
            size = os.fstat(descriptor).st_size
            span = _TAIL_BYTES if delivery.in_doubt else len(line)
            tail = os.pread(descriptor, span, max(size - span, 0))
            *lines, unfinished = tail.split(b"\n")
            if delivery.in_doubt and _contains(lines, line[:-1], delivery):
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


def _open(path: Path) -> int:
    """Open the file, made for its owner alone where it does not exist; a link is not written through."""
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _write(descriptor: int, line: bytes, size: int) -> None:
    written = 0
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        if written:
            os.ftruncate(descriptor, size)  # a full disk takes a part of a line; half a line is worth nothing
        raise


def _contains(lines: list[bytes], line: bytes, delivery: Delivery) -> bool:
    if line in lines:
        return True
    return any(_matches(each, delivery) for each in reversed(lines) if delivery.alert_id.encode() in each)


def _matches(line: bytes, delivery: Delivery) -> bool:
    try:
        body = json.loads(line)
    except ValueError:
        return False
    return (
        isinstance(body, dict)
        and body.get("id") == delivery.alert_id
        and body.get("number") == delivery.number
    )


def _build(name: str, settings: FileReceiverSettings, resolve: Resolve, clock: Clock) -> FileReceiver:
    try:
        os.close(_open(settings.path))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ReceiverError(
                f"receiver {name}: {settings.path} is a symbolic link, which is not written through: name "
                "the file itself",
                "path",
            ) from error
        raise ReceiverError(
            f"receiver {name} cannot write to {settings.path}: {error.strerror}", "path"
        ) from error
    return FileReceiver(settings.path)


def _probe(name: str, settings: FileReceiverSettings, resolve: Resolve, clock: Clock) -> Probed:
    """Look without making the file."""
    path = settings.path
    folder = path.parent
    try:
        if path.is_symlink():
            raise ReceiverError(
                f"{path} is a symbolic link, which is not written through: name the file itself", "path"
            )
        exists = path.exists()
        if exists and not path.is_file():
            raise ReceiverError(f"{path} is not a regular file: name another", "path")
        if not folder.is_dir():
            raise ReceiverError(f"the folder {folder} does not exist: make it", "path")
        if not os.access(path, os.W_OK) if exists else not os.access(folder, os.W_OK | os.X_OK):
            who = pwd.getpwuid(os.geteuid()).pw_name
            what = path if exists else f"the folder {folder}"
            raise ReceiverError(f"{what} cannot be written to by {who}: change its owner or its mode", "path")
        room = shutil.disk_usage(folder).free
    except OSError as error:
        raise ReceiverError(
            f"{path} cannot be looked at: {(error.strerror or '').lower()}", "path"
        ) from error
    if room < _LITTLE_ROOM:
        raise ReceiverError(f"the disk of {path} is full: free some space", "path", passing=True)
    return Probed(f"{path}, {'writable' if exists else 'to be made'}, {room / 1e9:,.1f} GB free")


RECEIVER = ReceiverKind("file", FileReceiverSettings, _build, _probe, usual_cap=None, most_parallel=1)
