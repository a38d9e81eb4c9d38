from __future__ import annotations

from typing import Any

import pytest
from decoding.decode_once import NO_TIME, Value, decode, only_reason, reasons

from streamer.decoding.dead_letter_reasons import Reason
from streamer.decoding.event_fields import EVENTS_MAX, RECORD_MAX_BYTES
from streamer.decoding.json_text import MAX_DEPTH

METRIC: dict[str, Any] = {"event_type": "metric", "symbol": "X", "value": 1}

OF_THE_TASK = {"ts_ahead", "too_many_instruments", "wrong_unit", "decoder_error", "damaged_range"}
"""Found where events meet the state (see the task's tests), and the last resort (test_hostile_records.py)."""

CASES: list[tuple[str, Value, dict[str, Any]]] = [
    ("null_value", None, {}),
    ("too_large", b" " * (RECORD_MAX_BYTES + 1), {}),
    ("too_many_events", [{}] * (EVENTS_MAX + 1), {}),
    ("bad_utf8", b'{"event_type": "metric", "symbol": "\xff"}', {}),
    ("bad_json", b"{", {}),
    ("too_deep", "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), {}),
    ("not_an_object", "5", {}),
    ("unknown_kind", {**METRIC, "event_type": "tick"}, {}),
    ("missing_field", {**METRIC, "value": None}, {}),
    ("wrong_type", {**METRIC, "value": "1"}, {}),
    ("not_finite", b'{"event_type": "metric", "symbol": "X", "value": -Infinity}', {}),
    ("out_of_bounds", {**METRIC, "value": 1e300}, {}),
    ("unknown_value", {"event_type": "status", "symbol": "X", "state": "open"}, {}),
    ("no_time", METRIC, {"timestamp": NO_TIME}),
    ("no_symbol", {**METRIC, "symbol": None}, {}),
    ("no_venue", METRIC, {"venue": None}),
]


@pytest.mark.parametrize(("reason", "value", "surroundings"), CASES, ids=[case[0] for case in CASES])
def test_each_reason_can_be_reached(reason: str, value: Value, surroundings: dict[str, Any]) -> None:
    assert only_reason("tapewatch", value, **surroundings)[0] == reason


def test_every_reason_is_among_the_cases() -> None:
    assert {case[0] for case in CASES} | OF_THE_TASK == {reason.value for reason in Reason}


def test_every_reason_is_explained_in_one_line() -> None:
    for reason in Reason:
        assert 10 < len(reason.explanation) < 100
        assert "\n" not in reason.explanation


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH + 1])
@pytest.mark.parametrize("decoy", ["", "]" * 500, "[" * 500, '\\"[[['])
def test_depth_counts_brackets_and_not_texts(depth: int, decoy: str) -> None:
    text = f'{{"event_type": "metric", "symbol": "X", "value": 1, "t": "{decoy}", "n": NESTED}}'
    decoded = decode("tapewatch", text.replace("NESTED", "[" * depth + "]" * depth))
    assert [reason for _, _, reason in reasons(decoded)] == ([] if depth < MAX_DEPTH else ["too_deep"])
    assert len(decoded.batch) == (depth < MAX_DEPTH)


def test_details_stay_short() -> None:
    for change in ({"value": "9" * 100_000}, {"value": [[1] * 50] * 50}, {"symbol": {"a" * 500: 1}}):
        assert len(only_reason("tapewatch", {**METRIC, **change})[1]) < 120
