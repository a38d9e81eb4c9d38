"""A detector: selects rows for a model, prepares its inputs, and decides what it may learn."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors import input_guard
from detectors.detector_settings import DetectorSettings
from detectors.event_columns import KIND_NAMES, Columns, State
from detectors.features.names import UnknownFeatureError, parse_feature
from detectors.fields import FIELDS, Shape
from detectors.kernels import kernel
from detectors.models import QUARANTINED, ModelError, build_model
from detectors.models.model import ModelStateError
from detectors.work_watch import inside

_CONTROL = "control"
_TREES = frozenset({"HalfSpaceTrees", "river.anomaly.HalfSpaceTrees", "river.anomaly.hst.HalfSpaceTrees"})


@dataclass(frozen=True, slots=True, eq=False)
class DetectorScores:
    """A detector's scores for a batch.

    Parameters
    ----------
    rows
        intp[m], the rows of the batch that were scored, in order.
    score
        float64[m], NaN unless the row's instrument is ready and the row has an input.
    status
        int8[m], 0 warming, 1 ready, 2 quarantined (`STATUS_NAMES`), before the row was learnt.
    """

    rows: NDArray[np.intp]
    score: NDArray[np.float64]
    status: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Control:
    """A control input that a detector obeyed.

    Parameters
    ----------
    number
        Its number among all control inputs, 0 before the first.
    reason
        Why the detector is quarantined as a whole, None if it is not.

    Examples
    --------
    >>> Control.of(Control(3, "it never returned").state())
    Control(number=3, reason='it never returned')
    >>> Control().state(), Control.of({})
    ({}, Control(number=0, reason=None))
    """

    number: int = 0
    reason: str | None = None

    def state(self) -> State:
        """An exact copy; nothing before the first control input."""
        if not self.number:
            return {}
        document = json.dumps([self.number, self.reason])
        return {_CONTROL: np.frombuffer(document.encode(), np.uint8).copy()}

    @classmethod
    def of(cls, state: State) -> Control:
        """The control input that a detector's state holds."""
        return cls(*json.loads(state[_CONTROL].tobytes())) if _CONTROL in state else cls()


class Detector:
    """A model for every instrument of a task, with scaled inputs and guarded learning.

    Parameters
    ----------
    name
        The detector's name in the configuration.
    settings
        Its settings.

    Raises
    ------
    ModelError
        When it cannot be built; `path` names the setting at fault.

    Examples
    --------
    >>> settings = DetectorSettings(model="RobustZ", features=["return_bps_10s", "size"])
    >>> tape = Detector("tape", settings)
    >>> tape.features, sorted(tape.fields), sorted(tape.on)
    (('return_bps_10s',), ['size'], [0])
    """

    def __init__(self, name: str, settings: DetectorSettings) -> None:
        self._name = name
        self._kinds = frozenset(KIND_NAMES.index(kind) for kind in settings.on)
        self._is_scored = np.array([kind in self._kinds for kind in range(len(KIND_NAMES))], np.bool_)
        inputs = [_input(feature, ("features", i)) for i, feature in enumerate(settings.features)]
        if settings.target is not None:
            inputs.append(_input(settings.target, ("target",)))
        self._inputs = tuple(inputs)
        self._width = len(settings.features)
        self._settings = settings
        self._n_slots = 0
        self._control = Control()
        self._begin()
        self._version = _version(settings, [source.spec for source in inputs], self._model.version)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._name

    @property
    def features(self) -> tuple[str, ...]:
        """The features it needs from a `FeatureSet`, its target included."""
        return tuple(source.name for source in self._inputs if not source.is_field)

    @property
    def fields(self) -> frozenset[str]:
        """The event fields it uses directly."""
        return frozenset(source.name for source in self._inputs if source.is_field)

    @property
    def on(self) -> frozenset[int]:
        """The kinds of rows that it scores."""
        return self._kinds

    @property
    def version(self) -> str:
        """A short hash that changes whenever the same events could give different scores."""
        return self._version

    @property
    def control(self) -> Control:
        """The last control input that it obeyed: whether it is quarantined as a whole, and why."""
        return self._control

    def obey(self, control: Control) -> None:
        """Quarantine the whole detector, or lift that; either way it begins anew for every instrument.

        While it is quarantined its model is not called: its rows have no score and the status quarantined.
        """
        with inside(self._name, self._version):
            self._begin()
        self._control = control

    def _begin(self) -> None:
        squashed = _squashes(self._settings)
        self._guard = input_guard.Guard(
            [source.shape for source in self._inputs],
            [squashed and i < self._width for i in range(len(self._inputs))],
            self._settings.wild,
        )
        self._model = build_model(self._settings)
        self.grow(self._n_slots)

    def grow(self, n_slots: int) -> None:
        """Make room for `n_slots` slots."""
        self._n_slots = max(n_slots, self._n_slots)
        self._guard.grow(n_slots)
        self._model.grow(n_slots)

    def step(self, columns: Columns, features: Mapping[str, NDArray[np.float64]]) -> DetectorScores:
        """Score the rows of its kinds, in order, and learn those that may be learnt.

        Parameters
        ----------
        columns
            The batch; room is made for its `n_slots`.
        features
            float64[n] by name, at least those named in `features`.
        """
        self.grow(columns.n_slots)
        rows = self._is_scored.take(columns.kind).nonzero()[0]
        if self._control.reason is not None:
            return DetectorScores(rows, np.full(len(rows), np.nan), np.full(len(rows), QUARANTINED, np.int8))
        slot = columns.slot.take(rows)
        raw = np.empty((len(rows), len(self._inputs)))
        for position, source in enumerate(self._inputs):
            column = columns.fields.get(source.name) if source.is_field else features[source.name]
            raw[:, position] = np.nan if column is None else column.take(rows)
        prepared, learn = self._guard.step(slot, raw)
        x = np.ascontiguousarray(prepared[:, : self._width])
        has_target = len(self._inputs) > self._width
        y = prepared[:, self._width].copy() if has_target else np.full(len(rows), np.nan)
        with inside(self._name, self._version):
            score, status = self._model.step(slot, x, y, learn)
        _without_inputs(x, score)
        return DetectorScores(rows, score, status)

    def rebase(self, slot: int, to: int) -> None:
        """Step one slot back to `to`, in ns, since its clock was wrong: no time of it stays later."""
        self._guard.rebase(slot, to)
        self._model.rebase(slot, to)

    def forget(self, slot: int) -> None:
        """Make one slot as it was before its first row, to the bit: another instrument takes its place.

        Counts of rows by fate stay, since they are the task's.
        """
        self._guard.forget(slot)
        with inside(self._name, self._version):
            self._model.forget(slot)

    def counters(self) -> dict[str, int]:
        """Rows learnt, or not learnt and why (`input_guard.COUNTERS`), and quarantined instruments."""
        return {**self._guard.counters(), "quarantined": len(self._model.quarantined())}

    def quarantined(self) -> Mapping[int, str]:
        """The reason for each quarantined instrument, by slot."""
        return self._model.quarantined()

    def state(self) -> State:
        """An exact copy of the state.

        Raises
        ------
        ModelStateError
            When the model's state cannot be copied.
        """
        guard = {f"guard/{name}": array for name, array in self._guard.state().items()}
        try:
            with inside(self._name, self._version):
                model = {f"model/{name}": array for name, array in self._model.state().items()}
        except ModelStateError as error:
            raise ModelStateError(error.reason, self._name, self._version) from None
        return {**guard, **model, **self._control.state()}

    def restore(self, state: State) -> None:
        """Continue from the `state()` of a detector of the same version."""
        self._control = Control.of(state)
        self._guard.restore(_under("guard/", state))
        self._model.restore(_under("model/", state))


@kernel
def _without_inputs(x, score):  # type: ignore[no-untyped-def]
    # A row without any input has no score.
    for row in range(x.shape[0]):
        missing = 0
        for j in range(x.shape[1]):
            missing += math.isnan(x[row, j])
        if missing == x.shape[1]:
            score[row] = np.nan


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    is_field: bool
    shape: Shape
    spec: str


def _input(name: str, path: tuple[str | int, ...]) -> _Input:
    if name in FIELDS:
        return _Input(name, True, FIELDS[name].shape, name)
    try:
        feature = parse_feature(name)
    except UnknownFeatureError as error:
        raise ModelError(str(error), path) from None
    return _Input(name, False, feature.shape, feature.spec)


def _squashes(settings: DetectorSettings) -> bool:
    if settings.inputs is None:
        return isinstance(settings.model, str) and settings.model in _TREES
    return settings.inputs == "squashed"


def _version(settings: DetectorSettings, specs: list[str], model: str) -> str:
    parts = {"settings": settings.spec, "inputs": specs, "guard": input_guard.VERSION, "model": model}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _under(prefix: str, state: State) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
