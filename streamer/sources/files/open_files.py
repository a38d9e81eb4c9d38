"""Files that are read by turns, of which only so many are open at a time."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

MOST_OPEN = 64
"""How many files of one source are open at a time; those beyond it wait closed for their next turn."""


def require_regular(path: Path) -> None:
    """Refuse what is no regular file, without opening it: to open a pipe may wait for ever.

    A file is opened more than once, and by turns: what is read from a pipe would be lost for the next.

    Raises
    ------
    OSError
        When it is a pipe, a socket or a device, or is not there. A folder is refused where it is opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        kind = "a pipe" if stat.S_ISFIFO(mode) else "no regular file"
        raise OSError(0, f"it is {kind}, and files are opened more than once; write it to a file first")


class OpenFiles:
    """Opens files, and closes the one that was read least recently once there are too many.

    Parameters
    ----------
    most
        How many may be open at a time.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._handles: dict[TurnFile, io.FileIO] = {}

    def __len__(self) -> int:
        """How many are open."""
        return len(self._handles)

    def open(self, path: Path) -> io.BufferedReader:
        """A file to be read from its beginning.

        Raises
        ------
        OSError
            When it cannot be opened.
        """
        return io.BufferedReader(TurnFile(path, self))

    def handle(self, file: TurnFile) -> io.FileIO:
        """The open file, at the position that it was read to."""
        handle = self._handles.pop(file, None)
        if handle is None:
            handle = file.opened()
            while len(self._handles) >= self._most:
                self._handles.pop(next(iter(self._handles))).close()
        self._handles[file] = handle
        return handle

    def drop(self, file: TurnFile) -> None:
        """Close a file for good."""
        handle = self._handles.pop(file, None)
        if handle is not None:
            handle.close()


class TurnFile(io.RawIOBase):
    """A file that may be closed between two reads; it goes on where it was.

    Parameters
    ----------
    path
        The file.
    files
        What decides which files are open.
    """

    def __init__(self, path: Path, files: OpenFiles) -> None:
        super().__init__()
        self._path = path
        self._files = files
        self._position = 0
        self._identity: tuple[int, int] | None = None
        files.handle(self)

    def opened(self) -> io.FileIO:
        """Open it, at the position that it was read to.

        Raises
        ------
        OSError
            When it cannot be opened, is no regular file, or another file has taken its place.
        """
        require_regular(self._path)
        handle = io.FileIO(self._path)
        status = os.fstat(handle.fileno())
        identity = status.st_dev, status.st_ino
        if self._identity not in (None, identity):
            handle.close()
            raise OSError(0, "another file has taken its place while it was read")
        self._identity = identity
        if self._position:
            handle.seek(self._position)
        return handle

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Enough to tell its position."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Tell the position; it moves by reading alone."""
        if (offset, whence) not in ((0, os.SEEK_CUR), (self._position, os.SEEK_SET)):
            raise io.UnsupportedOperation("a file that is read by turns is read from its beginning")
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read on; returns how many bytes."""
        count = self._files.handle(self).readinto(buffer) or 0
        self._position += count
        return count

    def close(self) -> None:
        """Close it for good."""
        if not self.closed:
            self._files.drop(self)
        super().close()
