"""Ends the process where no Python code can run any more: a call never gives Python's lock (the GIL) back.

Python's own timer for that, `faulthandler.dump_traceback_later`, goes by a clock that runs on while a process
is stopped (SIGSTOP, a debugger, `docker pause`), and would end it as soon as it goes on. So a compiled
function that needs no GIL looks once a second whether Python code still runs. It counts its looks, and a
stopped process looks at nothing.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading

import numpy as np
from numba.core import types
from numba.core.typing import signature
from numpy.typing import NDArray

from detectors.kernels import kernel
from streamer.store.work_file import BEATS, ENDED, HELD, STOPPED

_LOOK_US = 1_000_000

_usleep = types.ExternalFunction("usleep", signature(types.int32, types.uint32))
_getpid = types.ExternalFunction("getpid", signature(types.int32))
_kill = types.ExternalFunction("kill", signature(types.int32, types.int32, types.int32))
_exit = types.ExternalFunction("_exit", signature(types.void, types.int32))

_ABORT = int(signal.SIGABRT)
_ABORTED = 128 + _ABORT  # the exit code of shells for a process that was aborted
_STACKS_WITHIN = 3  # looks


@kernel
def _watch(numbers, looks):  # type: ignore[no-untyped-def]
    seen, missed = numbers[BEATS], 0
    while numbers[STOPPED] == 0:
        _usleep(_LOOK_US)  # type: ignore[call-overload]
        if numbers[BEATS] != seen:
            seen, missed = numbers[BEATS], 0
        else:
            missed += 1
        if missed >= looks:
            numbers[ENDED] = HELD
            # another thread writes the stacks, and ends the process
            _kill(_getpid(), _ABORT)  # type: ignore[call-overload]
            for _ in range(_STACKS_WITHIN):
                _usleep(_LOOK_US)  # type: ignore[call-overload]
            # nobody takes them, or it is the first process of a container
            _exit(_ABORTED)  # type: ignore[call-overload]


def prepare_held_guard() -> None:
    """Load or compile the function that looks."""
    numbers = np.ones(STOPPED + 1, np.int64)
    _watch(numbers, 1)


def start_held_guard(numbers: NDArray[np.int64], looks: int) -> None:
    """Abort, with the stacks of all threads on standard error, once so many looks in a row saw no beat.

    Where nobody takes the stacks, it ends without them after 3 seconds, with the exit code 134.

    Parameters
    ----------
    numbers
        int64, shared with `streamer.store.work_file.WorkFile`; it ends once `STOPPED` is set there.
    looks
        How many, one a second.
    """
    if sys.stderr is not None and not faulthandler.is_enabled():
        faulthandler.enable()  # writes the stacks when the process aborts, and where it crashes

    def run() -> None:
        # a signal would cut its sleep short; they are for the other threads
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _watch(numbers, looks)

    threading.Thread(target=run, name="held-guard", daemon=True).start()
