"""The shipped Binance example, with what a benchmark changes in it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from streamer.config.file import ConfigFile
from streamer.config.load import load_text
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.plan import Plan

EXAMPLE = Path(__file__).parents[1] / "examples" / "binance.yaml"

DRIFT = ["return_bps_10s", "tape.score", "alert_rate"]
"""What is watched for drift where the example watches nothing: everything is on."""

Document = dict[str, Any]


def document(change: Callable[[Document], None] = lambda _: None) -> str:
    """The example as YAML: drift on, a checkpoint every second so that short runs have some.

    Parameters
    ----------
    change
        Changes more.
    """
    yaml = YAML(typ="safe")
    found: Document = yaml.load(EXAMPLE.read_text())
    found.setdefault("drift", {"watch": DRIFT})
    found.setdefault("checkpoint", {"every": "1s"})
    found["serve"] = {"address": "off"}
    change(found)
    out = io.StringIO()
    yaml.dump(found, out)
    return out.getvalue()


def configuration(change: Callable[[Document], None] = lambda _: None) -> ConfigFile:
    """`document`, loaded."""
    return load_text(document(change), "benchmark.yaml")


def plan(change: Callable[[Document], None] = lambda _: None) -> Plan:
    """`document`, compiled."""
    return compile_plan(configuration(change))


def service_document(
    folder: Path,
    bootstrap: str,
    topic: str,
    receiver: Document | None = None,
    change: Callable[[Document], None] = lambda _: None,
) -> Path:
    """A file for `tapewatch run`: one topic from its beginning, store and alerts in a folder.

    Parameters
    ----------
    folder
        Where everything is kept.
    bootstrap, topic
        The broker, and what is read.
    receiver
        Who gets the alerts; a file where absent.
    change
        Changes more.
    """

    def changed(found: Document) -> None:
        kafka = {"bootstrap": bootstrap, "group": f"g-{topic}-{folder.name}", "start": "earliest"}
        found["source"]["kafka"].update(kafka)
        found["source"]["topics"] = [{"match": topic, "format": "binance", "venue": "binance"}]
        found["store"] = str(folder / "tapewatch.db")
        found["receivers"] = {"all": receiver or {"file": {"path": str(folder / "alerts.jsonl")}}}
        found["route"] = {"to": ["all"]}
        change(found)

    path = folder / "tapewatch.yaml"
    path.write_text(document(changed))
    return path
