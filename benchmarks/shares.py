"""Row f: what Full's time goes into."""

from __future__ import annotations

from collections import defaultdict

from alerts.episodes import Episodes
from alerts.rule_evaluation import Evaluation
from alerts.rules import Rule
from benchmarks.bench import Bench, Workload
from benchmarks.contest import Taken
from benchmarks.figures import Figure, must
from benchmarks.full import fold
from benchmarks.machine import WORK_CORE, pinned
from benchmarks.stopwatch import Place, Stopwatch
from detectors.calibration import build_calibrator
from detectors.detector import Detector
from detectors.features import FeatureSet
from streamer.pipeline.checkpointing import Checkpointer
from streamer.pipeline.drifts import Drifts
from streamer.pipeline.report import Reporter
from streamer.store.ledger import Ledger

PARTS = (
    "decode",
    "features",
    "model",
    "rarity",
    "rules and episodes",
    "drift",
    "store and checkpoints",
    "rest",
)
TOGETHER = ("rarity", "rules and episodes", "drift")
ASKED = 30.0


def measure(bench: Bench, taken: Taken) -> list[Figure]:
    """The share of every part of Full's time, and those of rarity, drift and rules together."""
    del taken
    found: list[Figure] = []
    for workload in (bench.made, bench.captured):
        shares, us = _shares(bench, workload)
        together = sum(shares[part] for part in TOGETHER)
        found.append(
            Figure(f"{_SHOWN[workload.name]}: rarity, drift and rules together", together, "%", most=ASKED)
        )
        found += [
            Figure(f"{_SHOWN[workload.name]}: {part}", shares[part], "%", note=f"{us[part]:.2f} us an event")
            for part in PARTS
        ]
    return found


_SHOWN = {"made": "made market", "captured": "captures"}


def _shares(bench: Bench, workload: Workload) -> tuple[dict[str, float], dict[str, float]]:
    places = _places(bench)
    watch = Stopwatch()
    with pinned(WORK_CORE), watch.on(places):
        folded = fold(bench.config, bench.plan, workload.partitions, workload.chunks)
    seconds: dict[str, float] = defaultdict(float, watch.seconds)
    seconds["rest"] = folded.seconds - sum(seconds.values())
    must(all(watch.calls[part] for part in PARTS[:-1]), f"a part was never called: {dict(watch.calls)}")
    must(seconds["rest"] > 0, "parts took longer than the whole")
    shares = {part: 100 * seconds[part] / folded.seconds for part in PARTS}
    return shares, {part: 1e6 * seconds[part] / folded.records for part in PARTS}


def _places(bench: Bench) -> list[Place]:
    formats = {type(feed.format) for feed in bench.plan.feeds}
    return [
        *((kind, "decode", "decode") for kind in formats),
        (FeatureSet, "step", "features"),
        (Detector, "step", "model"),
        (type(build_calibrator()), "step", "rarity"),
        (Evaluation, "hold", "rules and episodes"),
        (Rule, "severities", "rules and episodes"),
        (Episodes, "step", "rules and episodes"),
        (Reporter, "report", "rules and episodes"),
        (Reporter, "near_miss", "rules and episodes"),
        (Drifts, "step", "drift"),
        (Ledger, "commit", "store and checkpoints"),
        (Checkpointer, "work", "store and checkpoints"),
        (Checkpointer, "take_now", "store and checkpoints"),
    ]
