"""A trial of a model before it is trusted: two copies of it must say the same."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from detectors.models.model import ModelError
from detectors.models.river_build import unordered
from detectors.models.river_calls import Calls, failure

_ROWS = 48
_PICKLED_AT = 24


def tried(blob: bytes, features: Sequence[str], calls: Calls) -> None:
    """Run two copies of a model over the same made-up rows, one through a pickle half way.

    Raises
    ------
    ModelError
        When they differ: then no replay could be the same as the live run.
    """
    once, _ = _run(blob, features, calls, pickled=False)
    again, model = _run(blob, features, calls, pickled=True)
    if once != again:
        raise ModelError(
            "it cannot be made deterministic: two copies of it scored the same rows differently", ("model",)
        )
    keeper = unordered(model)
    if keeper is not None:
        raise ModelError(
            f"it cannot be made deterministic: {keeper} keeps a set of names, "
            "whose order differs from process to process (use a dict or a list)",
            ("model",),
        )


def _run(blob: bytes, features: Sequence[str], calls: Calls, *, pickled: bool) -> tuple[list[str], Any]:
    model = pickle.loads(blob)  # noqa: S301  # our own bytes
    said: list[str] = []
    state = 12345
    for row in range(_ROWS):
        if pickled and row == _PICKLED_AT:
            model = _through_pickle(model)
        x: dict[str, float] = {}
        for name in (*features, "target"):
            state = (1103515245 * state + 12345) % 2**31
            x[name] = state / 2**31
        y = x.pop("target")
        if row > 0:
            said.append(_said(model, x, y, calls))
        try:
            calls.learn(model, x, y)
        except BaseException as error:  # noqa: BLE001  # a model may dislike made-up rows; see failure()
            said.append(failure(error))
            break
    return said, model


def _said(model: Any, x: dict[str, float], y: float, calls: Calls) -> str:
    try:
        return repr(calls.score(model, x, y))
    except BaseException as error:  # noqa: BLE001  # many a model cannot score yet; see failure()
        return failure(error)


def _through_pickle(model: Any) -> Any:
    try:
        return pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    except Exception as error:  # whatever a part has against being pickled
        raise ModelError(
            f"it cannot be kept in a checkpoint once it has learnt: {error}", ("model",)
        ) from error
