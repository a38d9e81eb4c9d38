"""Build a River model, or a user's own one, from its import name and parameters."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pickle
import random
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from detectors.detector_settings import DetectorSettings, ModelStep
from detectors.models.model import ModelError
from detectors.models.model_failure import failure, failure_text, printable

Path = tuple[str | int, ...]

REFUSED: Mapping[str, str] = {
    "river.sketch.counter.Counter": "it depends on hash(), which differs between processes",
    "river.sketch.set.Set": "it depends on hash(), which differs between processes",
    "river.rules.amrules.AMRules": "it depends on hash(), which differs between processes",
    "river.compose.select.Select": (
        "it iterates over a set of names, whose order differs between processes; "
        "list only the features you want instead"
    ),
}
"""Parts of River whose results depend on more than their inputs, and why."""

METHODS = ("score_one", "learn_one")
"""What a class needs to be a model."""

_PART_METHODS = (*METHODS, "transform_one", "predict_one", "predict_proba_one", "update")
"""Any of these makes a class a part of a model; River's own classes need none."""

_IMPORT_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_SOURCE_FILE = re.compile(r"(?:.*[/\\])?([^\W\d]\w*)\.py(?::+([^\W\d]\w*))?")
_MOST_LISTED = 8
_ORDER_FREE_SETS = frozenset({"river.compose.select.Discard"})  # used for membership tests only


def build(settings: DetectorSettings) -> Any:
    """Build and seed the model that a detector's settings describe; its inputs alone determine its scores.

    Raises
    ------
    ModelError
        When it cannot be imported or built, is not an anomaly detector, or is not deterministic.
    """
    seed = settings.params.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise ModelError("seed must be a whole number", ("params", "seed"))
    if isinstance(settings.model, str):
        cls = _import_class(settings.model, ("model",))
        _require_methods(cls)
        params = dict(settings.params)
        if "seed" not in _parameters(cls, settings.model, ("model",)):
            params.pop("seed", None)
        model = _instantiate(cls, settings.model, params, seed, ("params",))
    else:
        model = _pipeline(settings.model, seed, ("model",))
    _require_methods(last_step(model))
    _refuse_parts(model)
    _seed_parts(model, seed)
    return _isolated_copy(model)


def last_step(model: Any) -> Any:
    """The part of a model that scores: a pipeline's last step, or the model itself."""
    return getattr(model, "_last_step", model)


def parts(model: Any) -> Iterator[Any]:
    """Every object that a model consists of, itself first, each once, in a fixed order."""
    seen: set[int] = set()
    pending = [model]
    while pending:
        part = pending.pop()
        if id(part) in seen or isinstance(part, (type, str, bytes, int, float, np.ndarray)):
            continue
        if inspect.isroutine(part) or inspect.ismodule(part):
            continue
        seen.add(id(part))
        yield part
        pending.extend(reversed(list(_children(part))))


def class_name(part: object) -> str:
    """The full name of an object's class."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _children(part: Any) -> Iterable[Any]:
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


def _import_class(name: str, path: Path) -> type:
    """The class of an import name: only its module's own code runs."""
    if not _IMPORT_NAME.fullmatch(name):
        raise ModelError(f"{name!r} is not an import name: {_import_hint(name)}", path)
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ModelError(f"cannot import {name!r}: {_not_found(error, module_name)}", path) from None
    except SyntaxError as error:
        place = printable(f"{error.filename}:{error.lineno}")
        raise ModelError(f"cannot import {name!r}: {place} is not Python: {error.msg}", path) from None
    except ImportError as error:
        raise ModelError(f"cannot import {name!r}: {failure_text(error)}", path) from None
    except BaseException as error:  # a module may raise anything
        raise ModelError(
            f"cannot import {name!r}: its module fails as it is loaded: {failure(error)}", path
        ) from error
    imported = getattr(module, attribute, None)
    if imported is None:
        raise ModelError(f"{module_name} has no {attribute!r}{_class_hint(module, attribute)}", path)
    if not inspect.isclass(imported):
        raise ModelError(f"{name!r} is not a class: name one with {' and '.join(METHODS)}", path)
    return imported


def _import_hint(name: str) -> str:
    file = _SOURCE_FILE.fullmatch(name)
    if file is not None:
        module, cls = file[1], file[2] or "CLASS"
        return f"write {module}.{cls}, and put the folder of {module}.py on PYTHONPATH"
    return "write the module and the class with a dot between them, such as own.Mine"


def _not_found(error: ModuleNotFoundError, module_name: str) -> str:
    missing = error.name or module_name
    text = f"No module named {missing!r}"
    if missing != module_name and not module_name.startswith(f"{missing}."):
        return f"{text}, which {module_name} imports: install it"
    return f"{text}: install it, or put the folder that holds it on PYTHONPATH"


def _class_hint(module: ModuleType, attribute: str) -> str:
    close = difflib.get_close_matches(attribute, dir(module), n=1)
    if close:
        return f" (did you mean '{module.__name__}.{close[0]}'?)"
    classes = [name for name, value in vars(module).items() if _is_own_class(value, module)]
    return f": its classes are {', '.join(classes[:_MOST_LISTED])}" if classes else ": it has no class"


def _is_own_class(value: object, module: ModuleType) -> bool:
    return inspect.isclass(value) and value.__module__ == module.__name__


def _require_methods(model: object) -> None:
    name = model.__name__ if isinstance(model, type) else type(model).__name__
    for method in METHODS:
        if not callable(getattr(model, method, None)):
            raise ModelError(f"{name} is not an anomaly detector: it has no {method}", ("model",))


def _require_part(cls: type, name: str, path: Path) -> None:
    """Refuse to build what no model consists of, such as a process or a thread."""
    if cls.__module__.partition(".")[0] == "river":
        return
    if not any(callable(getattr(cls, method, None)) for method in _PART_METHODS):
        listed = ", ".join(_PART_METHODS)
        raise ModelError(f"{name!r} is not a part of a model: it has none of {listed}", path)


def _parameters(cls: type, name: str, path: Path) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(cls).parameters
    except BaseException as error:  # a class may have a signature of its own making
        raise ModelError(f"the parameters of {name} are not known: {failure_text(error)}", path) from error


def _instantiate(cls: type, name: str, params: Mapping[str, Any], seed: int, path: Path) -> Any:
    accepted = _parameters(cls, name, path)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for param in params:
        if param not in accepted and not takes_any:
            close = difflib.get_close_matches(param, accepted, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ModelError(f"{name} has no parameter {param!r}{hint}", (*path, param))
    values = {key: _value(value, seed, (*path, key)) for key, value in params.items()}
    if "seed" in accepted and values.get("seed") is None:
        values["seed"] = seed
    try:
        return cls(**values)
    except BaseException as error:  # a constructor may raise anything
        raise ModelError(f"{name} cannot be built: {failure_text(error)}", path) from error


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
        return _instantiate(_part(step, path), step, {}, seed, path)
    name, params = (
        (step.model, step.params)
        if isinstance(step, ModelStep)
        else (step["model"], step.get("params") or {})
    )
    if not isinstance(name, str):
        raise ModelError("model must be an import name", (*path, "model"))
    if not isinstance(params, Mapping):
        raise ModelError("params must be a mapping", (*path, "params"))
    return _instantiate(_part(name, (*path, "model")), name, params, seed, (*path, "params"))


def _part(name: str, path: Path) -> type:
    cls = _import_class(name, path)
    _require_part(cls, name, path)
    return cls


def _pipeline(steps: Sequence[str | ModelStep | Mapping[str, Any]], seed: int, path: Path) -> Any:
    from river.compose import Pipeline

    return Pipeline(*(_step(step, seed, (*path, index)) for index, step in enumerate(steps)))


def _refuse_parts(model: Any) -> None:
    for part in parts(model):
        reason = REFUSED.get(class_name(part))
        if reason is not None:
            raise ModelError(f"{type(part).__name__} is not deterministic: {reason}", ("model",))


def _seed_parts(model: Any, seed: int) -> None:
    """Seed parts that constructors made with a random seed."""
    fresh: dict[int, Any] = {}
    for part in list(parts(model)):
        if not hasattr(part, "__dict__"):
            continue
        attributes = vars(part)
        if attributes.get("seed", seed) is not None:
            continue
        for name, value in list(attributes.items()):
            if isinstance(value, random.Random):
                attributes[name] = fresh.setdefault(id(value), random.Random(seed))  # noqa: S311  # no secret
            elif isinstance(value, np.random.RandomState):
                attributes[name] = fresh.setdefault(id(value), np.random.RandomState(seed))
            elif isinstance(value, np.random.Generator):
                attributes[name] = fresh.setdefault(id(value), np.random.default_rng(seed))
        attributes["seed"] = seed


def _isolated_copy(model: Any) -> Any:
    """A copy that shares nothing with other models, not even a constructor's default arguments."""
    try:
        return pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    except BaseException as error:  # pickling may raise anything
        raise ModelError(f"it cannot be stored in a checkpoint: {failure_text(error)}", ("model",)) from error


def part_with_unordered_set(model: Any) -> str | None:
    """The class of a part that holds a set of names; None if there is none.

    Iterating over such a set gives another order, and with it another sum, in another process.
    """
    for part in parts(model):
        if not hasattr(part, "__dict__") or class_name(part) in _ORDER_FREE_SETS:
            continue
        for value in vars(part).values():
            if isinstance(value, (set, frozenset)) and any(not isinstance(item, int) for item in value):
                return type(part).__name__
    return None
