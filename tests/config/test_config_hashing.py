"""The hash covers what decides detection, and nothing else; the document gives the settings back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.config.hashing import canonical, detect_document, hash_of, settings_from_detect
from streamer.config.load import load, load_text
from streamer.messages.batch import Kind
from streamer.pipeline.compile import compile_document, compile_plan

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
TEXT = """\
source:
  kafka: {bootstrap: "localhost:9092", group: one}
  topics:
    - {match: "spot.*", format: binance, venue: binance}
store: a.db
detectors:
  tape: {model: HalfSpaceTrees, features: [size, price], params: {n_trees: 10, seed: 1}}
rules:
  extends: [crypto]
  big: {when: size > 5, clear: 10s, why: to see}
receivers: {a: {console: {}}}
engine: {batch_size: 500, ticks: 1s, max_ahead: 1m, max_instruments: 100, flood: 10}
"""


def hash_of_text(text: str) -> str:
    return hash_of(detect_document(load_text(text).settings))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("localhost:9092", "other:9092"),
        ("group: one", "group: two"),
        ("a.db", "b.db"),
        ("batch_size: 500", "batch_size: 7"),
        ("ticks: 1s", "ticks: off"),
        ("{a: {console: {}}}", "{a: {file: {path: x}}}"),
        ("why: to see", "why: for another reason"),
        ("clear: 10s", "'clear': '10s'"),
        ("n_trees: 10, seed: 1", "seed: 1, n_trees: 10"),
        ("store: a.db", "log: {level: debug}"),
        ("store: a.db", "drift: {severity: critical}"),
    ],
)
def test_what_does_not_decide_detection(old: str, new: str) -> None:
    assert old in TEXT
    assert hash_of_text(TEXT.replace(old, new)) == hash_of_text(TEXT)


def test_on_timer_is_stored_as_on_tick_and_so_detects_the_same() -> None:
    tick, timer = (TEXT.replace("size > 5", f"silence_s > 5s, on: {word}") for word in ("tick", "timer"))
    old, new = (detect_document(load_text(text).settings) for text in (tick, timer))
    assert canonical(new) == canonical(old)
    assert '"on":["tick"]' in canonical(new)
    assert hash_of_text(timer) == hash_of_text(tick) != hash_of_text(TEXT)
    plan = compile_document(canonical(old))
    (rule,) = (rule for rule in plan.rules if rule.name == "big")
    assert (rule.kinds, plan.config_hash) == ({Kind.TIMER}, hash_of_text(timer))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("spot.*", "perp.*"),
        ("format: binance", "format: tapewatch"),
        ("venue: binance", "venue: other"),
        ("seed: 1", "seed: 2"),
        ("[size, price]", "[price, size]"),
        ("extends: [crypto]", "extends: []"),
        ("size > 5", "size > 6"),
        ("clear: 10s", "clear: 11s"),
        ("clear: 10s", "severity: info"),
        ("max_ahead: 1m", "max_ahead: 2m"),
        ("max_instruments: 100", "max_instruments: 101"),
        ("flood: 10", "flood: 11"),
        ("receivers:", "drift: {watch: [mid]}\nreceivers:"),
    ],
)
def test_what_decides_detection(old: str, new: str) -> None:
    assert old in TEXT
    assert hash_of_text(TEXT.replace(old, new)) != hash_of_text(TEXT)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_document_gives_the_plan_back(path: Path) -> None:
    settings = load(path).settings
    document = json.loads(json.dumps(detect_document(settings)))
    again = settings_from_detect(document)
    assert detect_document(again) == detect_document(settings)
    assert hash_of(detect_document(again)) == hash_of(detect_document(settings))
    assert list(again.rules.enabled) == list(settings.rules.enabled)
    assert list(again.detectors) == list(settings.detectors)


def test_what_is_watched_for_drift_comes_back_from_the_document() -> None:
    watching = load_text(TEXT + "drift: {watch: [mid, tape.score], per_instrument: true, severity: info}\n")
    document = json.loads(json.dumps(detect_document(watching.settings)))
    assert settings_from_detect(document).drift == watching.settings.drift
    assert "drift" not in detect_document(load_text(TEXT).settings)


def test_document_of_another_version_is_refused() -> None:
    document = detect_document(load_text(TEXT).settings)
    with pytest.raises(ValueError, match="version 99"):
        settings_from_detect({**document, "version": 99})


def test_the_plan_carries_the_hash() -> None:
    config = load_text(TEXT)
    plan = compile_plan(config)
    assert plan.config_hash == hash_of(detect_document(config.settings))
    assert plan.document == canonical(detect_document(config.settings))


@pytest.mark.parametrize("seed", ["1", "4711"])
def test_hash_does_not_depend_on_the_process(seed: str) -> None:
    code = (
        "import sys; from streamer.config.hashing import detect_document, hash_of;"
        " from streamer.config.load import load;"
        " print(hash_of(detect_document(load(sys.argv[1]).settings)))"
    )
    binance = next(path for path in EXAMPLES if path.stem == "binance")
    ran = subprocess.run(
        [sys.executable, "-c", code, str(binance)],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(binance.parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == hash_of(detect_document(load(binance).settings))
