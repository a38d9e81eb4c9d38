"""Making a River model, or one of a user's own, of its import name and parameters."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pickle
import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from detectors.detector_settings import DetectorSettings, ModelStep
from detectors.models.model import ModelError

Path = tuple[str | int, ...]

REFUSED: Mapping[str, str] = {
    "river.sketch.counter.Counter": "it goes by hash(), which differs from process to process",
    "river.sketch.set.Set": "it goes by hash(), which differs from process to process",
    "river.rules.amrules.AMRules": "it goes by hash(), which differs from process to process",
    "river.compose.select.Select": (
        "it goes through a set of names, whose order differs from process to process; "
        "list only the wanted features instead"
    ),
}
"""Parts of River whose results depend on more than what they were given, and why."""

_ORDER_FREE_SETS = frozenset({"river.compose.select.Discard"})  # only ever asked what they contain


def build(settings: DetectorSettings) -> Any:
    """The model that a detector's settings describe, seeded, its scores decided by its inputs alone.

    Raises
    ------
    ModelError
        When it cannot be imported or made, is no anomaly detector, or cannot be made deterministic.
    """
    seed = settings.params.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ModelError("seed must be a whole number", ("params", "seed"))
    if isinstance(settings.model, str):
        cls = _imported(settings.model, ("model",))
        params = dict(settings.params)
        if "seed" not in _parameters(cls):
            params.pop("seed", None)
        model = _made(cls, settings.model, params, seed, ("params",))
    else:
        model = _pipeline(settings.model, seed, ("model",))
    for method in ("score_one", "learn_one"):
        if not callable(getattr(last_step(model), method, None)):
            raise ModelError(
                f"{type(last_step(model)).__name__} is no anomaly detector: no {method}", ("model",)
            )
    _refuse_parts(model)
    _seed_parts(model, seed)
    return _alone(model)


def last_step(model: Any) -> Any:
    """The part of a model that scores: a pipeline's last step, or the model itself."""
    return getattr(model, "_last_step", model)


def parts(model: Any) -> Iterator[Any]:
    """Every object that a model is made of, itself first, in a fixed order, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, (type, str, bytes, int, float, np.ndarray)):
            continue
        if inspect.isroutine(part) or inspect.ismodule(part):
            continue
        seen.add(id(part))
        yield part
        waiting.extend(reversed(list(_within(part))))


def class_name(part: object) -> str:
    """The full name of an object's class."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _within(part: Any) -> Iterable[Any]:
    if isinstance(part, Mapping):
        yield from part.values()
    elif isinstance(part, (list, tuple, set, frozenset, deque)):
        yield from part
    if hasattr(part, "__dict__"):
        yield from vars(part).values()
    for cls in type(part).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(part, name):
                yield getattr(part, name)


def _imported(name: str, path: Path) -> type:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ModelError(f"cannot import {name!r}: {error}", path) from None
    found = getattr(module, attribute, None)
    if found is None:
        close = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f" (did you mean '{module_name}.{close[0]}'?)" if close else ""
        raise ModelError(f"{module_name} has no {attribute!r}{hint}", path)
    if not inspect.isclass(found):
        raise ModelError(f"{name!r} is not a class", path)
    return found


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters


def _made(cls: type, name: str, params: Mapping[str, Any], seed: int, path: Path) -> Any:
    accepted = _parameters(cls)
    anything = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for given in params:
        if given not in accepted and not anything:
            close = difflib.get_close_matches(given, accepted, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ModelError(f"{name} has no parameter {given!r}{hint}", (*path, given))
    values = {key: _value(value, seed, (*path, key)) for key, value in params.items()}
    if "seed" in accepted and values.get("seed") is None:
        values["seed"] = seed
    try:
        return cls(**values)
    except Exception as error:  # whatever a class has against its parameters
        raise ModelError(f"{name} cannot be made: {error}", path) from error


def _value(value: Any, seed: int, path: Path) -> Any:
    if _is_step(value):
        return _step(value, seed, path)
    if isinstance(value, list):
        if value and all(_is_step(item) for item in value):
            return _pipeline(value, seed, path)
        return [_value(item, seed, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _value(item, seed, (*path, key)) for key, item in value.items()}
    return value


def _is_step(value: Any) -> bool:
    return isinstance(value, dict) and "model" in value and set(value) <= {"model", "params"}


def _step(step: str | ModelStep | Mapping[str, Any], seed: int, path: Path) -> Any:
    if isinstance(step, str):
        return _made(_imported(step, path), step, {}, seed, path)
    name, params = (
        (step.model, step.params)
        if isinstance(step, ModelStep)
        else (step["model"], step.get("params") or {})
    )
    if not isinstance(name, str):
        raise ModelError("model must be an import name", (*path, "model"))
    if not isinstance(params, Mapping):
        raise ModelError("params must be a mapping", (*path, "params"))
    return _made(_imported(name, (*path, "model")), name, params, seed, (*path, "params"))


def _pipeline(steps: Sequence[str | ModelStep | Mapping[str, Any]], seed: int, path: Path) -> Any:
    from river.compose import Pipeline

    return Pipeline(*(_step(step, seed, (*path, index)) for index, step in enumerate(steps)))


def _refuse_parts(model: Any) -> None:
    for part in parts(model):
        reason = REFUSED.get(class_name(part))
        if reason is not None:
            raise ModelError(f"{type(part).__name__} cannot be made deterministic: {reason}", ("model",))


def _seed_parts(model: Any, seed: int) -> None:
    """Give whatever was left to chance the seed: parts that a constructor made by itself."""
    fresh: dict[int, Any] = {}
    for part in list(parts(model)):
        if not hasattr(part, "__dict__"):
            continue
        held = vars(part)
        if held.get("seed", seed) is not None:
            continue
        for name, value in list(held.items()):
            if isinstance(value, random.Random):
                held[name] = fresh.setdefault(id(value), random.Random(seed))  # noqa: S311  # no secret
            elif isinstance(value, np.random.RandomState):
                held[name] = fresh.setdefault(id(value), np.random.RandomState(seed))
            elif isinstance(value, np.random.Generator):
                held[name] = fresh.setdefault(id(value), np.random.default_rng(seed))
        held["seed"] = seed


def _alone(model: Any) -> Any:
    """A copy that shares nothing, not even a constructor's default arguments, with any other."""
    try:
        return pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    except Exception as error:  # whatever a part has against being pickled
        raise ModelError(f"it cannot be kept in a checkpoint: {error}", ("model",)) from error


def unordered(model: Any) -> str | None:
    """The class of a part that keeps a set of names, None where there is none.

    Going through such a set gives another order in another process, and with it another sum.
    """
    for part in parts(model):
        if not hasattr(part, "__dict__") or class_name(part) in _ORDER_FREE_SETS:
            continue
        for value in vars(part).values():
            if isinstance(value, (set, frozenset)) and any(not isinstance(item, int) for item in value):
                return type(part).__name__
    return None
