"""The state of each watched name: active, warming or inactive, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts.one_shot import DRIFT
from streamer.pipeline.compile import fields_of
from streamer.pipeline.plan import Plan
from streamer.pipeline.rule_states import RuleState


def drift_states(plan: Plan, statuses: Sequence[Mapping[str, Any]]) -> list[RuleState]:
    """The state of every watched name, in order, as `drift: NAME`.

    Parameters
    ----------
    plan
        What is watched for drift.
    statuses
        The last status of each task in the store; empty before the first run.
    """
    provided: set[str] = set()
    for feed in plan.feeds:
        provided = provided.union(*feed.format.provides.values())
    states = []
    for watch in plan.drift.watches:
        needed = () if watch.source == "alerts" else fields_of([watch.name], plan.detectors)
        missing = [field for field in needed if field not in provided]
        name = f"{DRIFT}: {watch.name}"
        if missing:
            states.append(RuleState(name, "inactive", f"missing {', '.join(missing)}"))
        else:
            # a status of another configuration or an older version has no such key
            counts = [status.get("drifts", {}).get(watch.name) for status in statuses]
            states.append(_state(name, [each for each in counts if each], plan.drift.per_instrument))
    return states


def _state(name: str, counts: Sequence[Mapping[str, int]], per_instrument: bool) -> RuleState:
    if not counts:
        return RuleState(name, "warming", "the daemon has not consumed anything yet")
    watched, series, drifts = (sum(each[key] for each in counts) for key in ("watched", "series", "drifts"))
    of = "instrument" if per_instrument else "partition"
    notes = []
    if watched < series or not series:
        notes.append(f"reference complete for {watched} of {series} {of}{'' if series == 1 else 's'}")
    if drifts:
        notes.append(f"{drifts} drift{'' if drifts == 1 else 's'} so far")
    return RuleState(name, "active" if watched else "warming", "; ".join(notes))
