"""A seeded market of a dozen instruments with planted anomalies, which are the ground truth of the demo."""

from streamer.sources.simulator.anomalies import KINDS, rules_for
from streamer.sources.simulator.anomaly import Anomaly
from streamer.sources.simulator.instruments import INSTRUMENTS, VENUE, Spec
from streamer.sources.simulator.simulator_source import OPENS_NS, TOPIC, SimulatorSource

__all__ = [
    "INSTRUMENTS",
    "KINDS",
    "OPENS_NS",
    "TOPIC",
    "VENUE",
    "Anomaly",
    "SimulatorSource",
    "Spec",
    "rules_for",
]
