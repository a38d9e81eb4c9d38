"""The process of `streamer.pipeline.model_trial`: builds the models that stdin names, one after the other.

It writes a JSON line to what was its stdout before and after each, and ends when stdin does, as it does when
its parent has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from streamer.pipeline.hands_off import Refused, keep_hands_off

OUT_OF_MEMORY = 77
"""The code it exits with where a model has left it no memory to answer with."""

_CPU_S = 600  # a model in a loop of its own that its parent could not end


def main() -> None:
    """Build what stdin asks for."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers = os.dup(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # what models print is no answer
    os.dup2(silence, 2)

    def tell(**answer: Any) -> None:
        os.write(answers, json.dumps(answer).encode() + b"\n")

    names = {name: list(_import_names(settings)) for name, settings in asked["detectors"].items()}
    from detectors.detector_settings import DetectorSettings
    from detectors.models import river_build  # noqa: F401  # before limits

    _import_river(name for each in names.values() for name in each)
    _limit(asked["memory_bytes"])
    refused = keep_hands_off() if asked["hands_off"] else Refused()
    for detector, document in asked["detectors"].items():
        refused.clear()
        settings = DetectorSettings.model_validate(document)
        tell(detector=detector, doing="import")
        for name in names[detector]:
            with suppress(BaseException):  # the build says what is wrong
                importlib.import_module(name.rpartition(".")[0])
        tell(detector=detector, doing="build")
        tell(**_verdict(detector, settings, refused, asked))
        if asked["costs"]:
            _tell_cost(detector, settings, tell)
    tell(done=True)
    os._exit(0)  # whatever models have left running


def _verdict(detector: str, settings: Any, refused: Refused, asked: dict[str, Any]) -> dict[str, Any]:
    from detectors.models import ModelError, build_model

    error: str | None = None
    path: tuple[str | int, ...] = ()
    failing: str | None = None
    try:
        failing = getattr(build_model(settings), "first_failure", None)
    except BaseException as problem:  # noqa: BLE001  # what a model raises is told, whatever it is
        error, path = f"it cannot be built: {type(problem).__name__}", ("model",)
        if isinstance(problem, ModelError):
            error, path = str(problem), problem.path
            if _is_of_memory(problem):
                error = too_large(asked["memory_bytes"])
        if asked["hands_off"]:
            refused.note_limit(problem)
    return {
        "detector": detector,
        "error": error,
        "path": path,
        "refused": refused.first,
        "failing": failing,
    }


def too_large(memory_bytes: int) -> str:
    """What is said of a model that needs more memory than it may have."""
    return f"it takes more than {memory_bytes / 2**30:.1f} GB to build, and every instrument needs one"


def _tell_cost(detector: str, settings: Any, tell: Callable[..., None]) -> None:
    from streamer.pipeline.costs import cost_us

    tell(detector=detector, doing="measure")
    cost = None
    with suppress(BaseException):  # it was built, so this is no fault of the configuration
        cost = cost_us(detector, settings)
    tell(detector=detector, cost_us=cost)


def _is_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _import_names(value: Any) -> Iterator[str]:
    """Every import name in a detector's settings, as they are written."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "model" and isinstance(item, str):
                yield item
            else:
                yield from _import_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from (item,) if isinstance(item, str) and "." in item else _import_names(item)


def _import_river(names: Iterator[str]) -> None:
    """Load what comes with River before anything is limited: it takes a while, and is trusted."""
    for name in names:
        if name.startswith("river."):
            with suppress(ImportError):
                importlib.import_module(name.rpartition(".")[0])


def _limit(memory_bytes: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        bound = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    try:
        main()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
