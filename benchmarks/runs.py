"""Runs whose events a second are compared: Full, the bare loop, peers, clients, a replay; all checked."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.bare import Looped, bare, symbols_of
from benchmarks.bench import Bench, Workload
from benchmarks.configuration import document, service_document
from benchmarks.contest import Run
from benchmarks.figures import must
from benchmarks.full import Folded, fold, fold_source
from benchmarks.joined import JoinedMemory, dealt, in_polls
from benchmarks.machine import WORK_CORE, pinned
from benchmarks.process import ROOT, run_worker
from benchmarks.workload import Stream
from streamer.messages.records import Chunk

NO_PEERS = "not run: peers are not installed (make bench installs them)"
_SUMMARY = re.compile(r"([\d,]+) records in [\d.]+ s \(([\d,]+) per second\)")
_POLLED = 0.3
"""The share of the topic that plain polling reads: it takes long."""


class Throughput:
    """Every run by name; what it found in the first round it must find again in each.

    Parameters
    ----------
    bench
        What they share.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._folded: dict[str, Folded] = {}
        self._looped: dict[str, Looped] = {}
        self.all: dict[str, Run] = {
            "full, made": lambda: self._full(bench.made),
            "full, captured": lambda: self._full(bench.captured),
            "full, joined": self._full_joined,
            "bare, made": lambda: self._bare(bench.made),
            "bare, captured": lambda: self._bare(bench.captured),
            "quix": self._quix,
            "bytewax": self._bytewax,
            "service": self._service,
            "poll": self._poll,
            "confluent": self._confluent,
            "replay": lambda: self._replay(self._replayed),
            "replay, merged": lambda: self._replay(self._dealt),
        }

    @property
    def missing(self) -> dict[str, str]:
        """Runs that cannot be made here, and why."""
        if self._bench.peers is not None:
            return {}
        return dict.fromkeys(("quix", "bytewax", "confluent"), NO_PEERS)

    def prepare(self, names: list[str]) -> None:
        """Make what these runs need, so that no round has to."""
        needs: dict[str, Callable[[], object]] = {
            "full, made": lambda: self._bench.made,
            "full, captured": lambda: self._bench.captured,
            "full, joined": lambda: (self._joined, self._expected),
            "bare, made": lambda: self._bench.made,
            "bare, captured": lambda: self._bench.captured,
            "quix": lambda: (self._bench.sample_topic, self._sample_file),
            "bytewax": lambda: self._sample_file,
            "service": lambda: (self._bench.topic, self._expected),
            "poll": lambda: self._bench.topic,
            "confluent": lambda: self._bench.topic,
            "replay": lambda: (self._replayed, self._expected),
            "replay, merged": lambda: (self._dealt, self._expected),
        }
        _ = self._bench.plan
        for name in names:
            needs[name]()

    def folded(self, name: str) -> Folded:
        """What Full made of a workload."""
        return self._folded[name]

    @cached_property
    def _expected(self) -> Folded:
        """What Full makes of the made market, to compare others with."""
        if "made" not in self._folded:
            self._full(self._bench.made)
        return self._folded["made"]

    @cached_property
    def _joined(self) -> tuple[list[Stream], list[list[Chunk]]]:
        """The made market dealt out to three topics, and what polls bring of them."""
        (stream,) = self._bench.made.streams
        streams = dealt(stream)
        return streams, in_polls(streams)

    @cached_property
    def _sample_file(self) -> Path:
        path = self._bench.new_folder() / "sample"
        path.write_bytes(b"\n".join(self._bench.made.sample) + b"\n")
        return path

    @cached_property
    def _replayed(self) -> list[Path]:
        """A configuration, and a file of the made market with the receive time before each line."""
        return self._files(1)

    @cached_property
    def _dealt(self) -> list[Path]:
        """The same market dealt out to three files, which only their merge puts into order."""
        return self._files(3)

    def _files(self, count: int) -> list[Path]:
        folder = self._bench.new_folder()
        config = folder / "tapewatch.yaml"
        config.write_text(document())
        (stream,) = self._bench.made.streams
        number = np.arange(len(stream.times))
        times = np.maximum.accumulate(stream.times - number) + number  # no two alike
        lines = [b"%d %s\n" % each for each in zip(times.tolist(), stream.values, strict=True)]
        paths = [folder / f"spot_benchmark_{part}" for part in range(count)]
        for part, path in enumerate(paths):
            path.write_bytes(b"".join(lines[part::count]))
        return [config, *paths]

    def _full(self, workload: Workload) -> float:
        bench = self._bench
        with pinned(WORK_CORE):
            found = fold(bench.config, bench.plan, workload.partitions, workload.chunks)
        must(found.records == workload.records, f"{found.records} of {workload.records} records were folded")
        must(found.scored > 0, "no row was scored")
        must(bool(found.alerts), "no alert was raised")
        before = self._folded.setdefault(workload.name, found)
        must(before.alerts == found.alerts, "two runs raised different alerts")
        return found.rate

    def _full_joined(self) -> float:
        bench, (streams, polls) = self._bench, self._joined
        with pinned(WORK_CORE):
            found = fold_source(bench.config, bench.plan, JoinedMemory(streams, polls))
        must(found.records == bench.made.records, f"{found.records} records of a joined log were folded")
        must(found.alerts == self._expected.alerts, "joined topics raised other alerts than one")
        return found.rate

    def _bare(self, workload: Workload) -> float:
        with pinned(WORK_CORE):
            found = bare(workload.sample, symbols_of(workload.sample))
        self._same_scores(workload.name, found)
        return found.rate

    def _quix(self) -> float:
        bench = self._bench
        found = run_worker(
            "quix_loop", bench.broker.bootstrap, bench.sample_topic, self._sample_file, python=bench.peers
        )
        self._same_scores("made", Looped(found["rate"], found["checksum"]))
        return float(found["rate"])

    def _bytewax(self) -> float:
        found = run_worker("bytewax_loop", self._sample_file, python=self._bench.peers)
        self._same_scores("made", Looped(found["rate"], found["checksum"]))
        return float(found["rate"])

    def _service(self) -> float:
        bench, expected = self._bench, self._expected
        config = service_document(bench.new_folder(), bench.broker.bootstrap, bench.topic)
        found = run_worker("service", config, bench.made.records)
        must(found["records"] == expected.records, "the service folded another number of records")
        must(found["scored"] == expected.scored, "the service scored another number of rows")
        alerts = tuple(tuple(each) for each in found["alerts"])
        must(
            [each for each in alerts if each[0] != "stale_feed"] == list(expected.alerts),
            "from Kafka other alerts were raised than from memory",
        )
        return float(found["rate"])

    def _poll(self) -> float:
        count = int(self._bench.made.records * _POLLED)
        found = run_worker("poll_loop", self._bench.broker.bootstrap, self._bench.topic, count)
        must(found["records"] >= count, "polling lost records")
        return float(found["rate"])

    def _confluent(self) -> float:
        bench, count = self._bench, self._bench.made.records
        found = run_worker(
            "confluent_columns", bench.broker.bootstrap, bench.topic, count, python=bench.peers
        )
        must(found["records"] == count, "confluent-kafka read another number of records")
        return float(found["rate"])

    def _replay(self, given: list[Path]) -> float:
        config, *paths = given
        alerts = config.with_suffix(".alerts")
        command = [
            sys.executable,
            "-m",
            "streamer",
            "replay",
            "-c",
            str(config),
            "-q",
            "--alerts",
            str(alerts),
        ]
        with pinned(WORK_CORE):
            done = subprocess.run(
                [*command, *map(str, paths)], capture_output=True, text=True, cwd=ROOT, check=False
            )
        found = _SUMMARY.search(done.stderr)
        must(done.returncode == 0 and found is not None, f"replay failed: {done.stderr[-2000:]}")
        assert found is not None
        must(int(found[1].replace(",", "")) == self._bench.made.records, "replay lost records")
        raised = len(alerts.read_bytes().splitlines())
        must(raised == len(self._expected.alerts), "replay raised another number of alerts")
        return float(found[2].replace(",", ""))

    def _same_scores(self, name: str, found: Looped) -> None:
        must(found.checksum > 0, "River scored nothing")
        before = self._looped.setdefault(name, found)
        must(before.checksum == found.checksum, "the same work came to other scores")
