"""Standard output and standard error as they may be: full, closed, or of a character set that lacks some."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from streamer.cli.plain_lines import say_plainly

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def whole_output() -> Iterator[None]:
    """Run a command; what cannot be written to standard output is told in one line, with exit code 1.

    What its character set lacks is written by its number.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):  # None where the process was started without one
        yield
        return
    descriptor = _Descriptor(sys.stdout.fileno(), "w", closefd=False)
    sys.stdout = _over(descriptor, sys.stdout)
    try:
        yield
    except (SystemExit, OSError) as error:
        problem = _unwritten(sys.stdout, descriptor)
        if problem is None:
            raise
        unread = isinstance(problem, BrokenPipeError)
        if not unread:
            say_plainly(f"cannot write to standard output: {problem.strerror}")
        elif not isinstance(error, SystemExit):
            raise
        code = error.code if isinstance(error, SystemExit) else None
        if isinstance(error.__context__, BrokenPipeError):  # it says no more than that
            code = None
        raise SystemExit(code or not unread) from error


def unheard_output(stream: TextIO) -> TextIO:
    """A stream like this one, of standard error, for commands: it raises nothing.

    What cannot be written to it is for nobody: it changes neither the work nor the exit code.
    """
    return _over(_Unheard(stream.fileno(), "w", closefd=False), stream, _UnheardText)


def end_unread(stream: TextIO | None) -> None:
    """From now on a command ends by `UnreadOutputError` where nobody reads anything of it any more.

    That is where standard error and standard output are one pipe, and its reader has gone.
    """
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _Unheard):
        raw.ends = True


def _over(
    descriptor: _Descriptor, stream: TextIO, kind: type[io.TextIOWrapper] = io.TextIOWrapper
) -> io.TextIOWrapper:
    return kind(
        io.BufferedWriter(descriptor),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=getattr(stream, "write_through", False),
    )


def _unwritten(output: TextIO, descriptor: _Descriptor) -> OSError | None:
    """Why what was printed cannot be written, None where it is; then nothing else is written there."""
    with suppress(OSError):
        output.flush()
    if descriptor.problem is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor.fileno())
    return descriptor.problem


class UnreadOutputError(BrokenPipeError):
    """The reader of what a command prints has gone, so there is nothing left for it to do."""


class _Descriptor(io.FileIO):
    """Remembers why it could not be written to: an error does not say whose it is."""

    problem: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self.problem = UnreadOutputError(*error.args)
            raise self.problem from error
        except OSError as error:
            self.problem = error
            raise


class _Unheard(_Descriptor):
    ends = False

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            unread = isinstance(error, UnreadOutputError) and os.path.sameopenfile(1, self.fileno())
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if unread and self.ends:
                raise
            return memoryview(data).nbytes


class _UnheardText(io.TextIOWrapper):
    @property
    def problem(self) -> OSError | None:
        """Why something could not be written, for whom it matters."""
        raw = getattr(self.buffer, "raw", None)
        return raw.problem if isinstance(raw, _Unheard) else None
