"""A trial of a model before it is used: two copies of it must give the same scores."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from detectors.models.model import ModelError
from detectors.models.model_failure import failure, failure_text
from detectors.models.river_build import part_with_unordered_set
from detectors.models.river_calls import Calls

_ROWS = 48
_PICKLED_AT = 24


def check_by_trial(blob: bytes, features: Sequence[str], calls: Calls) -> str | None:
    """Run two copies of a model over the same synthetic rows, and pickle one of them half way.

    Returns
    -------
    str or None
        Why the model cannot learn even the first row, None where it can. Other rows may please it.

    Raises
    ------
    ModelError
        When they differ: a replay would differ from the live run.
    """
    once, _ = _run(blob, features, calls, pickled=False)
    again, model = _run(blob, features, calls, pickled=True)
    if once != again:
        raise ModelError(
            "it is not deterministic: two copies of it scored the same rows differently", ("model",)
        )
    holder = part_with_unordered_set(model)
    if holder is not None:
        raise ModelError(
            f"it is not deterministic: {holder} holds a set of names, "
            "whose order differs between processes (use a dict or a list)",
            ("model",),
        )
    return once[0] if len(once) == 1 else None


def _run(blob: bytes, features: Sequence[str], calls: Calls, *, pickled: bool) -> tuple[list[str], Any]:
    model = pickle.loads(blob)  # noqa: S301  # our own bytes
    outcomes: list[str] = []
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
            outcomes.append(_outcome(model, x, y, calls))
        try:
            calls.learn(model, x, y)
        except BaseException as error:  # noqa: BLE001  # a model may fail on synthetic rows; see failure()
            outcomes.append(failure(error))
            break
    return outcomes, model


def _outcome(model: Any, x: dict[str, float], y: float, calls: Calls) -> str:
    try:
        return repr(calls.score(model, x, y))
    except BaseException as error:  # noqa: BLE001  # many models cannot score yet; see failure()
        return failure(error)


def _through_pickle(model: Any) -> Any:
    try:
        return pickle.loads(pickle.dumps(model))  # noqa: S301  # our own bytes
    except BaseException as error:  # pickling may raise anything
        raise ModelError(
            f"it cannot be stored in a checkpoint once it has learnt: {failure_text(error)}", ("model",)
        ) from error
