"""A standard error that nobody reads: `tapewatch run` neither waits for it nor is kept from its end by it."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.alert_bodies import delivery
from rich.console import Console

from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.receiver import PermanentError, RetryableError
from streamer.app.unblocked_output import UnblockedOutput

LINE = "x" * 99


def piped() -> tuple[int, UnblockedOutput]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 8192)
    return read, UnblockedOutput(os.fdopen(write, "w"))


def all_of(read: int, *, until: str) -> list[str]:
    found = b""
    while until.encode() not in found:
        assert select.select([read], [], [], 10)[0]
        found += os.read(read, 1 << 16)
    return found.decode().splitlines()


def test_lines_that_nobody_takes_are_kept_in_order_and_those_that_do_not_fit_are_counted() -> None:
    read, output = piped()
    output.write("taken at once\n")
    assert os.read(read, 100) == b"taken at once\n"
    began = time.monotonic()
    for number in range(20_000):
        print(f"{number} {LINE}", file=output)
    assert output.is_stalled
    assert time.monotonic() - began < 10
    *lines, told = all_of(read, until="lost here")
    kept = len(lines)
    assert [line.split()[0] for line in lines] == list(map(str, range(kept)))
    assert told == f"{20_000 - kept} lines were lost here: nobody took them"
    output.finish()
    output.write("taken again\n")
    assert os.read(read, 100) == b"taken again\n"


def test_the_console_receiver_tries_again_later_what_nobody_takes() -> None:
    read, output = piped()
    output.write(f"{LINE}\n" * 200)
    receiver = ConsoleReceiver(Console(file=output))
    with pytest.raises(RetryableError, match="console_stalled"):
        receiver.deliver(delivery(), lambda *_: None)
    output.write("end\n")
    all_of(read, until="end\n")
    output.finish()
    assert receiver.deliver(delivery(), lambda *_: None)


def test_a_terminal_that_says_it_takes_some_holds_nobody_up() -> None:
    """It has less room than a line, and yet more than none."""
    master, slave = os.openpty()
    output = UnblockedOutput(os.fdopen(slave, "w"))
    numbers = range(300)
    for number in numbers:
        output.write(f"{number} {LINE}{LINE}\n")
    assert output.is_stalled
    output.write("end\n")
    assert [line.split()[0] for line in all_of(master, until="end\r\n")] == [*map(str, numbers), "end"]


def test_what_cannot_be_written_raises_nothing_and_is_written_once_it_can(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output = UnblockedOutput(fifo.open("w"))
    output.write("one\n")
    assert all_of(read, until="one") == ["one"]
    os.close(read)
    output.write("two\n")
    with pytest.raises(PermanentError, match="console_closed"):
        ConsoleReceiver(Console(file=output)).deliver(delivery(), lambda *_: None)
    read = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    output.write("three\n")
    assert all_of(read, until="three") == ["two", "three"]


def test_the_console_receiver_tries_again_where_the_disk_is_full() -> None:
    output = UnblockedOutput(os.fdopen(os.open("/dev/full", os.O_WRONLY), "w"))
    receiver = ConsoleReceiver(Console(file=output))
    for _ in range(2):
        with pytest.raises(RetryableError, match="console_full"):
            receiver.deliver(delivery(), lambda *_: None)


def test_a_process_ends_though_nobody_reads_its_last_lines() -> None:
    """The traceback of a bug still comes where somebody does."""
    program = (
        "import sys\nfrom streamer.app.unblocked_output import UnblockedOutput\n"
        "sys.stderr = UnblockedOutput(sys.stderr)\n"
        "sys.stderr.write(int(sys.argv[1]) * 'line\\n')\nraise KeyError('bug')"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run([*command, "2"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr.startswith("line\nline\nTraceback")
    assert done.stderr.endswith("KeyError: 'bug'\n")
    read, write = os.pipe()
    assert subprocess.run([*command, "100000"], stderr=write, check=False, timeout=60).returncode == 1
    os.close(read)


HELD = """
import ctypes, sys, threading, time
import numpy as np
from streamer.app.held_guard import prepare_held_guard, start_held_guard
from streamer.store.work_file import STOPPED

def deep(calls):
    deep(calls - 1) if calls else time.sleep(99)

prepare_held_guard()
for _ in range(12):
    threading.Thread(target=deep, args=(20,), daemon=True).start()
start_held_guard(np.zeros(STOPPED + 1, np.int64), 1)
ctypes.PyDLL(None).sleep(60)  # without giving the GIL back
"""


def test_a_process_that_is_held_ends_though_nobody_takes_its_stacks() -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    assert (
        subprocess.run([sys.executable, "-c", HELD], stderr=write, check=False, timeout=50).returncode == 134
    )
    os.close(write)
    assert os.read(read, 4096).startswith(b"Fatal Python error: Aborted")
