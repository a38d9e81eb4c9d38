"""The control inputs of detectors in a running daemon: looked up now and then, and handed to every log."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog

from alerts.clock import Clock
from streamer.pipeline.detector_models import built
from streamer.pipeline.plan import Plan
from streamer.pipeline.runner import Runner
from streamer.store.control_inputs import StoreControls

log = structlog.get_logger()

_LOOK_S = 1.0


class ControlDesk:
    """Keeps the logs of a daemon in line with the control inputs in its store.

    Parameters
    ----------
    controls
        The store's.
    clock
        Wall-clock time.
    """

    def __init__(self, controls: StoreControls, clock: Clock) -> None:
        self.controls = controls
        self._clock = clock
        self._next_look_at = 0.0

    def settle(self, plan: Plan) -> None:
        """Lift the quarantine of detectors that the plan has with another specification, or other code."""
        quarantined = self.controls.quarantined()
        versions = {
            name: built(name, settings).version
            for name, settings in plan.detectors.items()
            if name in quarantined
        }
        for name in self.controls.settle(versions, self._clock.now()):
            log.info("quarantine lifted, the detector has changed", detector=name)
        self.controls.refresh()
        for name, control in self.controls.quarantined().items():
            if name in plan.detectors:
                log.warning("detector is quarantined", detector=name, reason=control.reason)

    def work(self, runners: Iterable[Runner]) -> None:
        """Look for new control inputs, at most once a second; every live log obeys them."""
        if time.monotonic() < self._next_look_at:
            return
        self._next_look_at = time.monotonic() + _LOOK_S
        self.controls.refresh()
        for runner in runners:
            runner.obey_controls()
