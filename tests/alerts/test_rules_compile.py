"""Rules: what they are evaluated on, how much they matter, what they are called, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from alerts_market import MARKET, ORDER, QUOTE, TIMER, TRADE
from numpy.typing import NDArray

from alerts.language.errors import ExpressionError
from alerts.language.expression_columns import ExpressionColumns
from alerts.rule_settings import RuleSettings
from alerts.rules import Rule, compile_rule, rows_of


def rule(**said: object) -> Rule:
    return compile_rule("big", RuleSettings.model_validate({"when": "size > 100", **said}), MARKET)


def evaluate(
    chosen: Rule, columns: ExpressionColumns, kind: NDArray[np.int8]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    evaluated = rows_of(chosen.kinds, kind)
    return evaluated, chosen.holds(columns, evaluated)


def test_is_evaluated_where_its_fields_are_and_held_where_it_is_true() -> None:
    kind = np.array([TRADE, TRADE, TRADE, QUOTE, ORDER, TIMER], np.int8)
    size = np.array([500.0, 5.0, np.nan, 500.0, 500.0, 500.0])
    evaluated, held = evaluate(rule(), ExpressionColumns({"size": size}, {}, (), 6), kind)
    assert evaluated.tolist() == [True, True, True, False, True, False]
    assert held.tolist() == [True, False, False, False, True, False]


def test_kinds_can_be_chosen() -> None:
    chosen = rule(when="silence_s > 30s", on="timer")
    columns = ExpressionColumns({"silence_s": np.array([60.0, 60.0, 10.0])}, {}, (), 3)
    evaluated, held = evaluate(chosen, columns, np.array([TRADE, TIMER, TIMER], np.int8))
    assert evaluated.tolist() == [False, True, True]
    assert held.tolist() == [False, True, False]
    assert rule(when="size > 1", on=["trade", "order"]).kinds == {TRADE, ORDER}


@pytest.mark.parametrize(("new", "old"), [("timer", "tick"), (["trade", "timer"], ["trade", "tick"])])
def test_tick_means_timer(new: object, old: object) -> None:
    timer, tick = rule(when="silence_s > 30s", on=new), rule(when="silence_s > 30s", on=old)
    assert (timer.version, timer.kinds, timer.summary) == (tick.version, tick.kinds, tick.summary)
    assert timer.settings.model_dump(mode="json") == tick.settings.model_dump(mode="json")
    assert "timer" not in timer.summary["on"]  # what is stored keeps its word


def test_a_batch_without_any_of_its_kinds_is_no_evaluation() -> None:
    columns = ExpressionColumns({"size": np.array([500.0])}, {}, (), 1)
    evaluated, held = evaluate(rule(), columns, np.array([QUOTE], np.int8))
    assert (evaluated.tolist(), held.tolist()) == ([False], [False])


def test_severity_is_the_highest_whose_condition_is_true() -> None:
    graded = rule(severity="info", escalate={"critical": "notional > 1M", "warning": "size > 200"})
    size = np.array([150.0, 300.0, 150.0, 300.0, 50.0])
    notional = np.array([0.0, 0.0, 2e6, 2e6, 2e6])
    columns = ExpressionColumns({"size": size, "notional": notional}, {}, (), 5)
    _, held = evaluate(graded, columns, np.zeros(5, np.int8))
    severity = graded.severities(columns)
    assert held.tolist() == [True, True, True, True, False]
    assert severity[held].tolist() == [0, 1, 2, 2]
    assert severity.dtype == np.int8


def test_names_everything_it_needs_once() -> None:
    said = rule(
        when="size > 50 * size_mean_1h",
        severity="info",
        escalate={"warning": "notional > 1M"},
        text="{symbol} at {venue}: {price} x {size}",
    )
    assert said.names == ("size", "size_mean_1h", "notional", "symbol", "venue", "price")


def test_says_its_text_or_else_its_condition() -> None:
    values = {"size": 512.0, "symbol": "BTCUSDT"}
    assert rule(text="{symbol}: {size:.1f}").render(values) == "BTCUSDT: 512.0"
    assert rule().render(values) == "size (512) > 100"


def test_summary_says_all_that_decides() -> None:
    said = rule(**{"for": "3 of 5", "severity": "info", "escalate": {"critical": "size > 200"}})
    assert said.summary == {
        "when": "size > 100",
        "on": ["trade", "order"],
        "for": "3 of 5",
        "clear": "60s",
        "severity": "info",
        "escalate": {"critical": "size > 200"},
        "text": None,
    }


def test_the_version_is_of_what_it_detects_not_of_how_it_is_written() -> None:
    base = rule(when="size > 250k and price > 1").version
    assert rule(when="(size>250k)  and\nprice > 1.0").version == base
    assert rule(when="size > 250k and price > 1", text="{size}", why="because").version == base
    assert rule(when="size > 250k and price > 1", **{"for": "1 of 1"}).version == base


@pytest.mark.parametrize(
    "changed",
    [
        {"when": "size > 101"},
        {"when": "size >= 100"},
        {"on": "trade"},
        {"for": "2 of 3"},
        {"for": "10s"},
        {"clear": "61s"},
        {"severity": "critical"},
        {"escalate": {"critical": "size > 200"}},
    ],
    ids=str,
)
def test_the_version_changes_with_what_it_detects(changed: dict[str, object]) -> None:
    assert rule(**changed).version != rule().version


def test_the_version_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "from alerts_market import MARKET; from alerts.rules import compile_rule;"
        "from alerts.rule_settings import RuleSettings;"
        "s = RuleSettings(when='price > 1 and symbol == \"x\"', escalate={'critical': 'size > 5'});"
        "print(compile_rule('r', s, MARKET).version)"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    versions = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(versions) == 1


REFUSED = [
    ({"when": "sise > 1"}, ("when",), "1:1: unknown name 'sise' (did you mean 'size'?)"),
    (
        {"escalate": {"critical": "size > 1s"}},
        ("escalate", "critical"),
        "1:1: cannot compare 'size' (a number) with '1s' (a duration)",
    ),
    (
        {"escalate": {"critical": "bid_price > 1"}},
        ("escalate", "critical"),
        "1:1: 'bid_price' is never on trade, order events, only on quote",
    ),
    ({"on": "timer"}, ("when",), "1:1: 'size' is never on timer events, only on trade, order"),
    ({"text": "{sise}"}, ("text",), "1:2: unknown name 'sise' (did you mean 'size'?)"),
]


@pytest.mark.parametrize(("said", "path", "message"), REFUSED, ids=[str(said) for said, _, _ in REFUSED])
def test_says_which_setting_is_wrong(said: dict[str, object], path: tuple[str, ...], message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rule(**said)
    assert (caught.value.path, str(caught.value)) == (path, message)
