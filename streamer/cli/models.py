"""`tapewatch models`: the state of each detector in each log, and lifting a quarantine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alerts.receivers.safe_console import LineTable
from alerts.suggestions import did_you_mean
from streamer.cli.options import DEFAULT_CONFIG, Config, Json, load_config
from streamer.cli.output import out, out_json, say
from streamer.cli.people import login_name
from streamer.errors import UsageError
from streamer.messages.logs import name_of
from streamer.messages.records import Partition

if TYPE_CHECKING:
    from streamer.config.settings import Settings
    from streamer.messages.control_inputs import ControlInput

_ACTIONS = ("lift",)
_COLUMNS = ("detector", "model", "log", "state", "reason")


def models(
    action: Annotated[
        str | None, typer.Argument(help="`lift` ends a quarantine.", show_default=False)
    ] = None,
    detector: Annotated[str | None, typer.Argument(help="Whose.", show_default=False)] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Who lifts it; by default your login name.", show_default=False)
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """List each detector's state in each log, or lift the quarantine of one.

    A detector whose model never returned, or ended the process again and again, is quarantined as a whole, in
    every log: its model is not called, its scores are missing, and all else goes on. That ends when its
    specification or its code changes, or when you lift it; then it warms up anew. A running daemon journals a
    lift within a second or two, in each log. A model that failed for one instrument is out of use for that
    instrument only, until its detector changes.

    States are those of the daemon's last checkpoint.

    Examples: `tapewatch models`, `tapewatch models lift tape`
    """
    from streamer.notify.clock import SystemClock
    from streamer.store.control_inputs import StoreControls
    from streamer.store.database import open_store
    from streamer.store.queries import task_statuses

    settings = load_config(config).settings
    _require_known(action, detector, settings)
    database = open_store(settings.store, create=False)
    try:
        controls = StoreControls(database)
        if detector is not None:
            lifted = controls.lift(detector, author=by or login_name(), now=SystemClock().now())
            say(
                f"{detector} is lifted: it warms up anew in every log, now or at the next start"
                if lifted
                else f"{detector} is not quarantined as a whole"
            )
            return
        _list(list(_states(settings, task_statuses(database), controls.quarantined())), as_json)
    finally:
        database.close()


def _require_known(action: str | None, detector: str | None, settings: Settings) -> None:
    if action is None:
        return
    if action not in _ACTIONS:
        raise UsageError(f"there is no action '{action}'{did_you_mean(action, list(_ACTIONS))}: give lift")
    if detector is None:
        raise UsageError("name the detector: tapewatch models lift NAME")
    if detector not in settings.detectors:
        names = list(settings.detectors)
        known = did_you_mean(detector, names) or f": there are {', '.join(names) or 'none'}"
        raise UsageError(f"there is no detector '{detector}' in the configuration{known}")


def _states(
    settings: Settings, statuses: Sequence[Mapping[str, Any]], quarantined: Mapping[str, ControlInput]
) -> Iterator[dict[str, str]]:
    from streamer.pipeline.detector_states import model_name

    for name, detector in settings.detectors.items():
        known = {"detector": name, "model": model_name(detector.model)}
        control = quarantined.get(name)
        if not statuses:
            reason = "" if control is None else control.reason
            yield {
                **known,
                "log": "",
                "state": "quarantined" if control else "not at work yet",
                "reason": reason,
            }
        for status in statuses:
            log = name_of(Partition(status["topic"], "", status["partition"]))
            whole = status.get("controlled", {}).get(name)
            if whole is not None:
                state, reason = "quarantined", whole if control else f"{whole} (lifted, not taken up yet)"
            elif control is not None:
                state, reason = "quarantined", f"{control.reason} (not taken up yet)"
            else:
                counts = status["detectors"].get(name, {})
                state = (
                    ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no instrument"
                )
                failed = status["quarantined"].get(name, {})
                reason = "; ".join(f"{instrument}: {why}" for instrument, why in failed.items())
            yield {**known, "log": log, "state": state, "reason": reason}


def _list(states: Sequence[Mapping[str, str]], as_json: bool) -> None:
    if as_json:
        for state in states:
            out_json(state)
        return
    if not states:
        out("no detector is configured")
        return
    table = LineTable(*_COLUMNS)
    for state in states:
        table.add_row(*(state[column] for column in _COLUMNS))
    out(table)
