"""Compiles, or loads, the kernels that the shipped configurations need, before tests run at the same time.

Otherwise each of their processes would compile the same ones at its start.
"""

from __future__ import annotations

from pathlib import Path

from streamer.config.load import load, load_text
from streamer.demo.configuration import DEMO_CONFIG
from streamer.pipeline.compile import compile_plan
from streamer.pipeline.warmup import warm_up

EXAMPLES = Path(__file__).parents[1] / "examples"


def main() -> None:
    documents = [load_text(DEMO_CONFIG), *(load(path) for path in sorted(EXAMPLES.glob("*.yaml")))]
    for document in documents:
        warm_up(compile_plan(document))


if __name__ == "__main__":
    main()
