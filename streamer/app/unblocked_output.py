"""Standard error that holds nobody up: what nobody takes keeps no daemon from its work or its end.

It is put in place before all else is loaded, so it must import nothing that takes time.
"""

from __future__ import annotations

import atexit
import io
import os
import select
import threading
import time
from _thread import allocate_lock, start_new_thread
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

_CHUNK = 4096  # bytes of a write: a pipe takes so many whole
_PATIENCE_S = 1.0
_LOOK_S = 0.5
_MOST_KEPT = 1 << 20  # bytes


class UnblockedOutput(io.TextIOBase):
    """A text stream whose writers wait while somebody takes what is written, and raise nothing.

    A thread does the writing: a pipe, a terminal or a file may hold up whoever writes to it at any moment,
    whatever it says of itself before. When nobody takes a line for a second, or it cannot be written, such as
    on a full disk, the stream is stalled: lines are kept, up to 1 MiB, and are written, in order, once they
    are taken again; until then no writer waits. Lines that do not fit are counted and told. What is kept at
    the end of the process is waited for for at most a second.

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
        self.on_lost: Callable[[int], None] = self._say_lost
        self._reset()
        os.register_at_fork(after_in_child=self._reset)
        atexit.register(self.finish)

    def _reset(self) -> None:
        """Without the thread and what it has yet to write: a forked process has neither."""
        self._changed = threading.Condition()  # a signal's handler may write while its thread holds it
        self._line = ""
        self._kept = deque[bytes]()
        self._kept_size = self._lost = 0
        self._stalled = self._finished = False
        self._problem: OSError | None = None
        self._writer: threading.Thread | None = None

    @property
    def is_stalled(self) -> bool:
        """Whether nobody takes what is written."""
        return self._stalled

    @property
    def problem(self) -> OSError | None:
        """Why the last line could not be written, such as a full disk; None where it could, or waits."""
        return self._problem

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
        """Write whole lines; the rest of the last one comes with what ends it, or with a flush."""
        with self._changed:
            self._line += text
            end = self._line.rfind("\n") + 1
            lines, self._line = self._line[:end], self._line[end:]
            self._put(lines)
        return len(text)

    def flush(self) -> None:
        """Write what is left of a line."""
        with self._changed:
            rest, self._line = self._line, ""
            self._put(rest)

    def finish(self) -> None:
        """Wait for what is kept to be taken, for at most a second, where it can be."""
        with self._changed:
            self._finished = True  # threads do not start any more
            self._changed.wait_for(lambda: not self._stalled or self._problem, _PATIENCE_S)
            if self._kept:  # whatever else writes there at the end of the process would wait for ever
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)

    def _put(self, text: str) -> None:
        if not text:
            return
        data = text.encode(self.encoding, self._errors)
        if self._stalled and self._kept_size + len(data) > _MOST_KEPT:
            self._lost += max(data.count(b"\n"), 1)
            return
        self._kept.append(data)
        self._kept_size += len(data)
        self._changed.notify_all()
        if not self._has_writer() or not (self._stalled or self._is_taken()):
            self._stalled = True

    def _has_writer(self) -> bool:
        """Whether there is a thread that writes; there is one from the first line on."""
        if (self._writer is None or not self._writer.is_alive()) and not self._finished:
            self._writer = threading.Thread(target=self._write_on, name="stderr", daemon=True)
            try:
                self._writer.start()
            except RuntimeError:  # the system has none left
                self._writer = None
        return self._writer is not None

    def _is_taken(self) -> bool:
        self._changed.wait_for(lambda: self._stalled or not self._kept, _PATIENCE_S)
        return not self._kept

    def _write_on(self) -> None:
        while True:
            with self._changed:
                if not self._kept and not self._lost:
                    self._stalled = False
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: self._kept)
                data = self._kept[0][:_CHUNK] if self._kept else b""
                lost = 0 if data else self._lost
                self._lost -= lost
            if data:
                self._write(data)
            else:
                self.on_lost(lost)  # it writes, perhaps under a lock of its own

    def _write(self, data: bytes) -> None:
        """Write what is next, and wait for a moment where it cannot be; no lock is held meanwhile."""
        count, problem = 0, None
        try:
            count = os.write(self._descriptor, data)
        except BlockingIOError:  # somebody has made it so
            _wait_for_room(self._descriptor)
        except OSError as error:
            problem = error
        with self._changed:
            self._problem = problem
            self._stalled |= problem is not None
            left = self._kept.popleft()[count:]
            self._kept_size -= count
            if left:
                self._kept.appendleft(left)
            self._changed.notify_all()
        if problem is not None:
            time.sleep(_LOOK_S)

    def _say_lost(self, lines: int) -> None:
        self.write(f"{lines} lines were lost here: nobody took them\n")


def write_last(text: str) -> None:
    """Write what a process says last to standard error; wait for at most a second for it to be taken.

    A signal's handler may call it: it takes no lock that the code it interrupts may hold.
    """
    written = allocate_lock()
    written.acquire()
    with suppress(RuntimeError):  # the system has no thread left
        start_new_thread(_write_once, (text.encode(), written.release))
        written.acquire(timeout=_PATIENCE_S)


def _write_once(data: bytes, done: Callable[[], None]) -> None:
    with suppress(OSError):
        os.write(2, data)
    done()


def _wait_for_room(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll(_LOOK_S * 1000.0)
