"""A real broker on a core of its own, and topics that hold a workload."""

from __future__ import annotations

import importlib.util
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import must
from benchmarks.machine import OTHER_CORE, pinned
from benchmarks.process import run_worker
from benchmarks.workload import Stream

if TYPE_CHECKING:
    from benchmarks.bench import Bench

_LOCAL = Path(__file__).parents[1] / "tests" / "broker" / "local.py"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker listens.

    Parameters
    ----------
    bootstrap
        Host and port.
    """

    bootstrap: str

    @staticmethod
    @contextmanager
    def opened(given: str | None) -> Iterator[Broker]:
        """The broker that is given, or one as a local process, which needs what the tests' needs."""
        if given is not None:
            yield Broker(given)
            return
        local = _local_broker()
        try:
            with pinned(OTHER_CORE):
                local.start()
            yield Broker(local.bootstrap)
        finally:
            local.stop()

    def topic(self, name: str) -> str:
        """A new topic of one partition; to the name something is added that makes it unique."""
        from kafka import KafkaAdminClient

        topic = f"{name}.{uuid.uuid4().hex[:12]}"
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.create_topics(
                {topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
            )
        finally:
            admin.close()
        return topic

    def filled(self, name: str, stream: Stream, bench: Bench) -> str:
        """A new topic that holds a stream's records, keyed by instrument, in batches of 16 KB.

        The peers' producer fills it where it is there, as it is quicker; no figure hangs on that.
        """
        bench.say(f"filling a topic with {len(stream):,} records")
        topic = self.topic(name)
        path = bench.new_folder() / "values"
        write_values(path, stream)
        worker = "fill" if bench.peers is None else "fill_confluent"
        sent = run_worker(worker, self.bootstrap, topic, path, python=bench.peers, core=None)
        must(sent["records"] == len(stream), f"{sent['records']} of {len(stream)} records went into {topic}")
        return topic


def write_values(path: Path, stream: Stream) -> None:
    """A stream as lines: the record's timestamp in ms, the key, the value; no value holds a line's end."""
    times = (stream.times // 1_000_000).tolist()
    with path.open("wb") as out:
        for ms, value in zip(times, stream.values, strict=True):
            out.write(b"%d %s %s\n" % (ms, key_of(value), value))


def key_of(value: bytes) -> bytes:
    """The instrument, as `publish` keys records."""
    return value[11 : value.index(b"@")].upper()


def _local_broker() -> Any:
    """The tests' broker; tests are no package, so it is loaded from its file."""
    spec = importlib.util.spec_from_file_location("benchmarks_local_broker", _LOCAL)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_LOCAL} is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LocalBroker()
