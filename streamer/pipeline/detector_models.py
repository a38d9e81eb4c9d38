"""Whether the models of a configuration can be built: here, elsewhere first, or elsewhere alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from detectors.detector import Detector
from detectors.detector_settings import DetectorSettings
from detectors.models import ModelError, is_compiled
from streamer.errors import UsageError
from streamer.pipeline.model_trial import ModelTrial, TrialResult

ModelCheck = Callable[[Mapping[str, DetectorSettings]], Mapping[str, TrialResult]]
"""Checks the models of detectors, by name."""


class UnbuildableDetectorError(UsageError):
    """A detector cannot be built any more, though its configuration was checked.

    Parameters
    ----------
    name
        The detector.
    cause
        Why.
    """

    def __init__(self, name: str, cause: ModelError) -> None:
        self.path: tuple[str | int, ...] = ("detectors", name, *cause.path)
        self.problem = str(cause)
        super().__init__(f"detectors.{name}: {cause}")


def built(name: str, settings: DetectorSettings) -> Detector:
    """The detector.

    Raises
    ------
    UnbuildableDetectorError
        When it cannot be built.
    """
    try:
        return Detector(name, settings)
    except ModelError as error:
        raise UnbuildableDetectorError(name, error) from error


def built_here(detectors: Mapping[str, DetectorSettings]) -> dict[str, TrialResult]:
    """Build every model in this process."""
    results = {}
    for name, settings in detectors.items():
        try:
            Detector(name, settings)
        except ModelError as error:
            results[name] = TrialResult(str(error), error.path)
        else:
            results[name] = TrialResult()
    return results


def foreign(detectors: Mapping[str, DetectorSettings]) -> dict[str, DetectorSettings]:
    """The detectors whose models are named by import name."""
    return {name: settings for name, settings in detectors.items() if not is_compiled(settings)}


def tried_first(detectors: Mapping[str, DetectorSettings]) -> dict[str, TrialResult]:
    """Build every model in this process, those of import names in another one before.

    It costs nothing where all models are compiled ones.
    """
    with ModelTrial(foreign(detectors)) as trial:
        tried = trial.results()
    usable = {name: each for name, each in detectors.items() if name not in tried or not tried[name].error}
    return {**tried, **built_here(usable)}


def tried_only(trial: ModelTrial) -> ModelCheck:
    """A check that builds compiled models here, and others only in a trial that has begun with them."""

    def check(detectors: Mapping[str, DetectorSettings]) -> dict[str, TrialResult]:
        compiled = {name: each for name, each in detectors.items() if is_compiled(each)}
        tried = trial.results() if len(compiled) < len(detectors) else {}
        return {**built_here(compiled), **{name: tried[name] for name in detectors if name not in compiled}}

    return check
