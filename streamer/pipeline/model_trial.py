"""Tries models in a process of their own before they are trusted here.

Whoever names a model in the configuration names code. It may hang, take all memory or end its process as it
is loaded or built; there it is limited, and the one at fault is told.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from detectors.detector_settings import DetectorSettings
from streamer.errors import TapewatchError
from streamer.pipeline.trial_answers import GarbledAnswerError, answer_in
from streamer.pipeline.trial_process import OUT_OF_MEMORY, too_large

_READY_S = 300.0  # to start Python and load numpy and River, on a machine that does much else
_LOOK_S = 0.5
_ONE_THREAD = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DOING = {"import": "loading its module", "build": "building it", "measure": "scoring a few events"}
_MUST_STAY = "a model must not end its process, nor crash it"
_MUST_KEEP_OFF = "wrote to a file descriptor that it did not open: a model must leave those alone"
_MOST_UNREAD = 1_048_576
_MUST_RETURN = "it must return, and load what takes long elsewhere"


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What a model may take.

    Parameters
    ----------
    import_s
        Seconds to load its modules.
    build_s
        Seconds to build it and try it on a few rows; also to measure its cost.
    memory_bytes
        Memory of the process, other models and libraries included.
    """

    import_s: float = 60.0
    build_s: float = 20.0
    memory_bytes: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of one detector's model.

    Parameters
    ----------
    error, path
        Why it cannot be used, and the place in the detector's settings; None if it can.
    untried
        What it would have done as it was built, and was not let: it may be right, or not. None otherwise.
    kept_from
        What it would have done and was not let, where it can be used all the same; None otherwise.
    failing
        Why it cannot learn even the first of a few made-up rows, None where it can.
    cost_us
        Microseconds per event, where it was measured.
    """

    error: str | None = None
    path: tuple[str | int, ...] = ()
    untried: str | None = None
    kept_from: str | None = None
    failing: str | None = None
    cost_us: float | None = None


class ModelTrial:
    """A trial of detectors' models, which begins at once.

    Parameters
    ----------
    detectors
        By name.
    hands_off
        Let them write no file, start no process and reach no network.
    costs
        Measure what they cost.
    limits
        What they may take.
    without
        Variables of the environment that they must not see, such as those that hold secrets.

    Examples
    --------
    >>> popen = DetectorSettings(model="subprocess.Popen", params={"args": "ls"}, features=["price"])
    >>> with ModelTrial({"tape": popen}, hands_off=True) as trial:
    ...     trial.results()["tape"].error
    'Popen is not an anomaly detector: it has no score_one'
    """

    def __init__(
        self,
        detectors: Mapping[str, DetectorSettings],
        *,
        hands_off: bool = False,
        costs: bool = False,
        limits: TrialLimits | None = None,
        without: Collection[str] = (),
    ) -> None:
        self._waiting = dict(detectors)
        self._hands_off, self._costs = hands_off, costs
        self._limits = limits or TrialLimits()
        self._environ = {name: value for name, value in os.environ.items() if name not in without}
        self._results: dict[str, TrialResult] = {}
        self._process: _Process | None = None
        self._begin()

    def __enter__(self) -> ModelTrial:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def results(self) -> Mapping[str, TrialResult]:
        """Wait for the results, by detector.

        Raises
        ------
        TapewatchError
            When no process can be started for it.
        """
        try:
            while self._process is not None:
                self._follow(self._process)
                self.close()
                self._begin()
        finally:
            self.close()
        return self._results

    def close(self) -> None:
        """End the process, and all that models have started in it."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _begin(self) -> None:
        if self._waiting:
            self._process = _Process(
                {
                    "detectors": {name: each.model_dump(mode="json") for name, each in self._waiting.items()},
                    "hands_off": self._hands_off,
                    "costs": self._costs,
                    "memory_bytes": self._limits.memory_bytes,
                },
                self._environ,
            )

    def _follow(self, process: _Process) -> None:
        """Take what a process answers, up to its end, or to that of the detector that it hangs in."""
        detector, doing = "", ""
        within = {
            "": _READY_S,
            "import": self._limits.import_s,
            "build": self._limits.build_s,
            "measure": self._limits.build_s,
        }
        while True:
            try:
                answer = process.answer(within[doing])
            except TimeoutError:
                if not detector:
                    raise TapewatchError("the process that tries models does not start") from None
                self._fail(detector, f"{_DOING[doing]} took more than {within[doing]:g} s: {_MUST_RETURN}")
                return
            except GarbledAnswerError:
                answer = {}
            if answer is None:
                ended = process.ended()
                if not detector:
                    raise TapewatchError(f"the process that tries models {ended}")
                if process.code() == OUT_OF_MEMORY:
                    self._fail(detector, too_large(self._limits.memory_bytes))
                    return
                self._fail(detector, f"{_DOING[doing]} ended its process, which {ended}: {_MUST_STAY}")
                return
            if not self._is_due(answer, detector):
                if not detector:
                    raise TapewatchError("the process that tries models does not start")
                self._fail(detector, f"{_DOING[doing]} {_MUST_KEEP_OFF}")
                return
            if answer.get("done"):
                return
            detector = answer["detector"]
            doing = answer.get("doing", doing)
            if "error" in answer:
                self._take(detector, answer)
            elif "cost_us" in answer and detector in self._results:
                self._results[detector] = replace(self._results[detector], cost_us=answer["cost_us"])

    def _is_due(self, answer: Mapping[str, Any], detector: str) -> bool:
        """Whether this can be the next answer: a module may have written where answers are."""
        if answer.get("done"):
            return not self._waiting
        if "detector" not in answer:
            return False
        if answer["detector"] == detector:
            return answer.get("doing") != "import"
        return (
            detector not in self._waiting
            and answer["detector"] in self._waiting
            and answer.get("doing") == "import"
        )

    def _take(self, detector: str, answer: Mapping[str, Any]) -> None:
        self._waiting.pop(detector, None)
        error, refused = answer["error"], answer["refused"]
        if error is not None and refused is not None:
            self._results[detector] = TrialResult(untried=refused)
        else:
            self._results[detector] = TrialResult(
                error, tuple(answer["path"]), kept_from=refused, failing=answer["failing"]
            )

    def _fail(self, detector: str, error: str) -> None:
        self._waiting.pop(detector, None)
        self._results[detector] = TrialResult(error, ("model",))


class _Process:
    def __init__(self, request: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        environ = {**environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environ |= dict.fromkeys(_ONE_THREAD, "1")  # each thread takes memory that is no model's
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "streamer.pipeline.trial_process"],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for this process to handle
            )
        except OSError as error:
            raise TapewatchError(f"no process can be started to try models in: {error.strerror}") from error
        self._unread = b""
        if self._popen.stdin is not None:
            with suppress(BrokenPipeError):
                self._popen.stdin.write(json.dumps(request).encode() + b"\n")
                self._popen.stdin.flush()

    def answer(self, within_s: float) -> dict[str, Any] | None:
        """The next answer, None at the end; raises `TimeoutError` where none comes in time.

        Raises `GarbledAnswerError` where something else does.
        """
        until = time.monotonic() + within_s
        output = self._popen.stdout
        if output is None:
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if not selector.select(min(left, _LOOK_S)):
                    if self._popen.poll() is None or selector.select(0):
                        continue
                    return None  # it has ended, and left somebody who holds its output open
                received = os.read(output.fileno(), 65_536)
                if not received:
                    return None
                self._unread += received
                if len(self._unread) > _MOST_UNREAD and b"\n" not in self._unread:
                    raise GarbledAnswerError
        line, self._unread = self._unread.split(b"\n", 1)
        return answer_in(line)

    def code(self) -> int:
        """The code that it exited with, or its signal's number below zero."""
        return self._popen.wait()

    def ended(self) -> str:
        """How it has ended, in words."""
        code = self.code()
        if code >= 0:
            return f"exited with code {code}"
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"

    def end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self._popen.wait()
