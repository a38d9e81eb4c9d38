"""Standard error that holds nobody up: a pipe that nobody reads keeps no daemon from its work or its end.

It is put in place before all else is loaded, so it must import nothing that takes time.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

_AT_ONCE = 4096  # bytes that a pipe which says it takes some surely takes
_PATIENCE_S = 1.0
_LOOK_S = 0.5
_MOST_KEPT = 1 << 20  # bytes


def takes(descriptor: int, within_s: float = 0.0) -> bool:
    """Whether a few bytes can be written to it now, or within some seconds; an error counts as taking."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(within_s * 1000.0))


class UnblockedOutput(io.TextIOBase):
    """A text stream that writes at once while somebody takes what is written.

    When nobody does for a second, it is stalled: lines are kept, up to 1 MiB, and a thread writes them, in
    order, once they are taken again; until then no writer waits. Lines that do not fit are counted and told.
    What is kept at the end of the process is waited for for at most a second.

    Parameters
    ----------
    stream
        What has the descriptor to write to; nothing else may write through it.

    Attributes
    ----------
    on_lost
        Called with the number of lines that were lost, from another thread, once lines are taken again.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = stream.fileno()
        self._errors = stream.errors or "backslashreplace"
        self._line = ""
        self.on_lost: Callable[[int], None] = self._say_lost
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.finish)

    def _reset(self) -> None:
        """Without the thread and what it has yet to write: a forked process has neither."""
        self._lock = threading.RLock()  # a signal's handler may write while its thread does
        self._kept = deque[bytes]()
        self._kept_size = self._lost = 0
        self._stalled = False

    @property
    def is_stalled(self) -> bool:
        """Whether nobody takes what is written."""
        return self._stalled

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As the stream's."""
        return self._stream.encoding

    @property
    def errors(self) -> str:  # type: ignore[override]
        """As the stream's."""
        return self._errors

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Write whole lines; the rest of the last one comes with what ends it, or with a flush.

        Raises
        ------
        OSError
            When it cannot be written to any more, such as a pipe without a reader.
        """
        with self._lock:
            self._line += text
            end = self._line.rfind("\n") + 1
            lines, self._line = self._line[:end], self._line[end:]
            self._put(lines)
        return len(text)

    def flush(self) -> None:
        """Write what is left of a line, without waiting for it to be taken."""
        with self._lock:
            rest, self._line = self._line, ""
            self._put(rest)

    def finish(self) -> None:
        """Wait for what is kept to be taken, for at most a second."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._stalled and time.monotonic() < deadline:
            time.sleep(0.01)

    def _put(self, text: str) -> None:
        if not text:
            return
        data = text.encode(self.encoding, self._errors)
        if not self._stalled:
            data = self._written(data, _PATIENCE_S)
            if data:
                self._stalled = True
                threading.Thread(target=self._write_kept, name="stderr", daemon=True).start()
        if data and self._kept_size + len(data) > _MOST_KEPT:
            self._lost += max(data.count(b"\n"), 1)
        elif data:
            self._kept.append(data)
            self._kept_size += len(data)

    def _written(self, data: bytes, patience_s: float) -> bytes:
        """What is left of it after it was written for as long as somebody took it."""
        deadline = time.monotonic() + patience_s
        while data and takes(self._descriptor, max(0.0, deadline - time.monotonic())):
            try:
                data = data[os.write(self._descriptor, data[:_AT_ONCE]) :]
            except BlockingIOError:  # somebody has made it so, and another process was faster
                break
        return data

    def _write_kept(self) -> None:
        while True:
            if not takes(self._descriptor, _LOOK_S):
                continue
            with self._lock:
                self._write_some()
                lost = 0 if self._kept else self._lost
                if not self._kept and not lost:
                    self._stalled = False
                    return
                self._lost -= lost
            if lost:
                self.on_lost(lost)  # it writes, perhaps under a lock of its own

    def _write_some(self) -> None:
        while self._kept:
            data = self._kept.popleft()
            try:
                left = self._written(data, 0.0)
            except OSError:
                self._kept.clear()  # its reader has gone: whoever writes next hears of it
                self._kept_size = self._lost = 0
                return
            self._kept_size -= len(data) - len(left)
            if left:
                self._kept.appendleft(left)
                return

    def _say_lost(self, lines: int) -> None:
        self.write(f"{lines} lines were lost here: nobody took them\n")
