"""Metrics and health: over HTTP, of a real engine at work on a real store."""

from __future__ import annotations

import json
import queue
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from drift_market import drift_plan, hours
from fakes.alert_bodies import commit
from fakes.delivering import receiver_set
from fakes.exposition import fetch, lint, value
from list_source import ListSource, MemoryLog
from market_bytes import LOG, T0, market, records, trade
from pipeline_world import RULES, World, cycle, plan_of

from alerts.receivers.receiver import PermanentError, RetryableError
from streamer.app import standing_report
from streamer.app.service_manager import ServiceManager
from streamer.app.standing_report import StandingReport
from streamer.errors import TapewatchError
from streamer.messages.records import NO_TIME, Partition, Record
from streamer.notify.heartbeat import Counts, HeartbeatSender
from streamer.notify.heartbeat_settings import HeartbeatSettings
from streamer.notify.notifier import Notifier
from streamer.notify.sender_context import SenderContext
from streamer.pipeline.checkpointing import CompletedCheckpoint
from streamer.pipeline.engine import Engine
from streamer.pipeline.plan import Plan
from streamer.pipeline.progress import WorkProgress
from streamer.serve.observer import Observer
from streamer.serve.server import Checks, serving
from streamer.store.database import Database, open_store
from streamer.store.silences import StoreSilences
from streamer.store.work_file import WorkFile

FREE = ("127.0.0.1", 0)
S = 1_000_000_000


@dataclass
class Broker(ListSource):
    """A log in memory that also says how it stands."""

    @property
    def answers(self) -> bool:
        return self.reachable

    def ends(self) -> dict[Partition, int]:
        return {log.partition: log.log_end for log in self.logs}

    def asked_ends(self) -> dict[Partition, int]:
        return self.ends()

    def read_to(self) -> dict[Partition, int]:
        return {}


@dataclass
class Service:
    """An engine with somebody looking on, and what it serves."""

    world: World
    source: Broker
    observer: Observer
    database: Database
    address: tuple[str, int]
    engine: Engine | None = None

    def work(self, polls: int | None = None) -> None:
        """One process of the engine, until the source has no more."""
        watched = self.observer.watching(self.source, lambda: self.engine.runners if self.engine else {})
        with self.world.process(watched, watch=self.observer.watch) as engine:
            self.engine = engine
            engine.run(lambda: polls is not None and self.source.polls >= polls)
            self.look()

    def look(self) -> None:
        assert self.engine is not None
        self.observer.look(self.engine.runners, self.source.ends(), self.source.answers)

    def get(self, path: str) -> tuple[int, str]:
        return fetch(self.address, path)

    def value(self, name: str, **labels: str) -> float | None:
        return value(self.get("/metrics")[1], name, **labels)


@contextmanager
def served(folder: Path, source: Broker, plan: Plan | None = None) -> Iterator[Service]:
    world = World(folder, plan or plan_of(), batch_size=50)
    folder.mkdir(exist_ok=True)
    database = open_store(str(world.store))
    observer = Observer(world.plan, ("desk", "ops"), database, world.time, world.time.now)
    checks = Checks(observer.healthy, observer.ready, observer.alive, observer.detail)
    with serving(FREE, observer.registry, checks) as address:
        assert address is not None
        yield Service(world, source, observer, database, address)
    database.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    source = Broker([MemoryLog(LOG, market(3_000))], cycle([150, 7]))
    with served(tmp_path / "store", source) as found:
        yield found


def test_the_exposition_is_as_prometheus_wants_it_from_the_start(service: Service) -> None:
    _, before = service.get("/metrics")
    assert lint(before) == []
    service.work()
    service.observer.metrics.delivery("desk", "delivered", 1, 0.3)
    service.observer.checkpoint(CompletedCheckpoint(4_096, 1_000_000, 0.2, 0.001))
    status, after = service.get("/metrics")
    assert status == 200
    assert lint(after) == []
    names = {line.split(" ")[2] for line in after.splitlines() if line.startswith("# TYPE")}
    assert names == {line.split(" ")[2] for line in before.splitlines() if line.startswith("# TYPE")}
    assert len(names) > 25
    assert all(name.startswith("tapewatch_") for name in names)


def test_every_metric_is_written_down(service: Service) -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    listed = re.findall(r"`(tapewatch_[a-z_]+)(?:\{([a-z,]*)\})?`(?=[, |])", page)
    exposed = re.findall(r"^# TYPE (\S+)", service.get("/metrics")[1], re.MULTILINE)
    assert {name for name, _ in listed} == set(exposed)


def test_a_clock_that_lied_is_counted(tmp_path: Path) -> None:
    times = [T0 + at * S + (12 * 365 * 86_400 * S if at == 20 else 0) for at in range(40)]
    values = [trade(ts, 100.0) for ts in times]
    found = [Record(at, value, int(NO_TIME)) for at, value in enumerate(values)]
    with served(tmp_path / "store", Broker([MemoryLog(LOG, found)])) as service:
        service.work()
        assert service.value("tapewatch_clock_steps_back_total", clock="instrument") == 1
        assert service.value("tapewatch_clock_steps_back_total", clock="log") == 1
        far_off = service.value("tapewatch_far_off_events_total")
        assert far_off is not None
        assert 1 <= far_off <= 6, "the lie, and those that refute it"


def test_labels_that_are_known_are_there_before_anything_happens(service: Service) -> None:
    for transition in ("fired", "updated", "resolved"):
        for rule, severity in (("move", "warning"), ("move", "critical"), ("big", "info")):
            labels = {"rule": rule, "severity": severity, "transition": transition}
            assert service.value("tapewatch_alert_transitions_total", **labels) == 0
    assert service.value("tapewatch_deliveries_total", receiver="ops", outcome="muted") == 0
    assert service.value("tapewatch_scored_events_total", detector="far", status="warming") == 0
    assert service.value("tapewatch_score_count", detector="tape") == 0
    assert service.value("tapewatch_dead_letters_total", reason="bad_json") == 0


def test_everything_that_happened_is_counted(service: Service) -> None:
    service.work()
    seen = service.world.seen
    transitions = [each for step in seen for each in step.outcome.transitions]
    assert len(transitions) > 50
    alike = Counter((each.rule, each.severity, each.transition) for each in transitions)
    for (rule, severity, transition), wanted in alike.items():
        same = {"rule": rule, "severity": severity, "transition": transition}
        assert service.value("tapewatch_alert_transitions_total", **same) == wanted
    fired = sum(each.transition == "fired" for each in transitions)
    assert service.value("tapewatch_event_to_decision_seconds_count") == fired
    assert service.value("tapewatch_records_total", topic="trades") == 3_000
    assert service.value("tapewatch_batch_seconds_count") == sum(step.records > 0 for step in seen)
    statuses = [status for step in seen for each in step.outcome.scores for status in each.status]
    assert service.value("tapewatch_scored_events_total") == len(statuses)
    ready = sum(status == 1 for status in statuses)
    assert service.value("tapewatch_scored_events_total", status="ready") == ready
    assert service.value("tapewatch_score_count") == ready
    last = {each.alert_id: each.transition for each in transitions}  # who comes back is open again
    assert service.value("tapewatch_open_episodes") == sum(what != "resolved" for what in last.values())
    counts = service.observer.counts()
    assert (counts.records, counts.alerts) == (3_000, fired)


def test_dead_letters_beyond_those_that_are_kept_are_counted_too(service: Service) -> None:
    service.work()
    dead = service.value("tapewatch_dead_letters_total")
    kept = service.world.ask("SELECT count(*) FROM dead_letters")[0][0]
    more = service.world.ask("SELECT sum(count) FROM dead_letter_floods")[0][0]
    assert more > 0
    assert dead == kept + more
    assert service.observer.counts().dead_letters == dead
    line = standing_report.minute_line(service.observer.counts(), Counts(), 60.0)
    assert line.endswith(f", {dead:,.0f} dead letters")


def test_what_is_derived_again_is_not_counted_again(service: Service) -> None:
    service.world.every_s = 1e9
    service.world.killed(service.source, 20)
    before = len(service.world.alerts())
    assert before > 0
    service.source.polls, service.source.on_poll = 0, lambda number: None
    service.source.positions = {}
    service.work()
    again = service.value("tapewatch_rederived_records_total")
    assert again
    assert again + (service.value("tapewatch_records_total") or 0) == 3_000
    assert service.value("tapewatch_alert_transitions_total") == len(service.world.alerts()) - before


def test_what_a_reload_resolves_is_counted_when_it_happens(service: Service) -> None:
    without = plan_of(RULES[: RULES.index("  held:")])
    resolved = {"rule": "held", "transition": "resolved"}
    counted: list[float | None] = []

    def on_poll(number: int) -> None:
        if number == 21:
            assert service.engine is not None
            service.look()
            counted.append(service.value("tapewatch_open_episodes", rule="held"))
            counted.append(service.value("tapewatch_alert_transitions_total", **resolved))
            service.engine.reload(without)
            counted.append(service.value("tapewatch_alert_transitions_total", **resolved))

    service.source.on_poll = on_poll
    service.work()
    were_open, before, after = counted
    assert were_open
    assert before is not None
    assert after == before + were_open
    assert service.value("tapewatch_alert_transitions_total") == len(service.world.alerts())


def test_how_things_stand(service: Service) -> None:
    assert service.value("tapewatch_partitions", state="live") == 0
    service.source.endless = True
    service.work(polls=10)
    place = {"topic": "trades", "partition": "0"}
    assert service.value("tapewatch_partitions", state="live") == 1
    assert service.value("tapewatch_lag_records", **place) == 3_000 - service.source.positions[LOG]
    assert service.value("tapewatch_instruments", **place) == 3
    assert service.value("tapewatch_detector_instruments", detector="tape") == 3
    assert service.value("tapewatch_journal_pending_entries", **place) is not None
    assert service.value("tapewatch_source_up") == 1
    service.source.reachable = False
    service.look()
    assert service.value("tapewatch_source_up") == 0
    assert service.observer.counts().source == "not answering"


def test_late_and_unused_are_counted_from_this_process_on(tmp_path: Path) -> None:
    values = [(T0 + n * S, trade(T0 + n * S, 100.0)) for n in range(20)]
    late = [(T0 + 30 * S, trade(T0 + n * S, 100.0)) for n in range(5)]
    log = MemoryLog(LOG, records(values + late))
    with served(tmp_path / "store", Broker([log])) as service:
        service.work()
        assert service.value("tapewatch_late_events_total") == 5
    log.records += records(late, first=25)
    with served(tmp_path / "store", Broker([log])) as service:
        service.work()
        assert service.engine is not None
        assert [runner.task.late for runner in service.engine.runners.values()] == [10]
        assert service.value("tapewatch_late_events_total") == 5


def test_drifts_are_counted_by_what_was_watched(tmp_path: Path) -> None:
    source = Broker([MemoryLog(LOG, hours(3_200, 1, spread_from=3_000, trades=0.0))], cycle([500]))
    with served(tmp_path / "store", source, drift_plan("spread_bps, alert_rate")) as service:
        assert service.value("tapewatch_drifts_total", watched="spread_bps") == 0
        assert service.value("tapewatch_alert_transitions_total", rule="drift", transition="fired") == 0
        service.work()
        assert service.value("tapewatch_drifts_total", watched="spread_bps") == 1
        assert service.value("tapewatch_drifts_total", watched="alert_rate") == 0
        assert service.value("tapewatch_drift_series", watched="spread_bps") == 1
        assert service.value("tapewatch_alert_transitions_total", rule="drift", transition="fired") == 1
        assert lint(service.get("/metrics")[1]) == []


def test_ready_when_partitions_are_there_and_recovered(service: Service) -> None:
    assert service.get("/readyz") == (503, '{"status": "failing", "reason": "no partition is assigned"}\n')
    assert service.get("/livez") == (200, '{"status": "ok"}\n')
    figures = {"status": "ok", "step_age_s": 0.0, "behind": None, "undelivered_s": 0.0}
    assert json.loads(service.get("/healthz")[1]) == figures
    service.work()
    assert json.loads(service.get("/healthz")[1]) == {**figures, "behind": 0}
    assert service.get("/readyz") == (200, '{"status": "ok"}\n')


class Broken:
    """A receiver that is away, with an address that is nobody's business."""

    def deliver(self, delivery: object, record: object) -> None:
        raise RetryableError("http_503", everything=True)


def test_health_goes_by_the_notify_half_and_tells_no_secrets(service: Service) -> None:
    context = SenderContext(service.database, service.world.time, watch=service.observer.metrics.delivery)
    notifier = Notifier(receiver_set({"ops": Broken()}), context)
    service.observer.follow(notifier)
    notifier.start()
    commit(service.database, ("a", 0))
    StoreSilences(service.database).mute("big", 2_000.0, 1_000.0)
    notifier.wake()
    assert not notifier.stop(0.5)
    service.work()
    assert service.value("tapewatch_deliveries_total", receiver="ops", outcome="retried") == 1
    assert service.value("tapewatch_deliveries_pending", receiver="ops") == 1
    assert service.value("tapewatch_rule_muted_until_timestamp_seconds", rule="big") == 2_000
    status, said = service.get("/healthz")
    assert (status, json.loads(said)["reason"]) == (503, "an alert for ops has waited for 16m (http_503)")
    assert service.get("/livez")[0] == 200, "a restart would not help"
    notifier._failure = ValueError("https://hooks.example/T0/secret")
    status, said = service.get("/healthz")
    assert status == 503
    assert json.loads(said)["reason"].startswith("delivery stopped: ValueError; ")
    assert service.get("/livez")[0] == 503


class Refusing:
    """A receiver that takes nothing."""

    def deliver(self, delivery: object, record: object) -> None:
        raise PermanentError("http_400: because of its tenant", answer="no such tenant")


def test_what_is_parked_is_on_the_page_and_in_the_heartbeat(service: Service) -> None:
    context = SenderContext(service.database, service.world.time, watch=service.observer.metrics.delivery)
    quiet = {"to": ["ops"], "routes": [{"when": "origin == service", "to": []}]}
    notifier = Notifier(receiver_set({"ops": Refusing()}, quiet), context)
    service.observer.follow(notifier)
    assert service.get("/healthz")[0] == 200
    notifier.start()
    commit(service.database, ("a", 0), ("b", 0))
    notifier.wake()
    assert notifier.stop(10.0)
    status, said = service.get("/healthz")
    assert status == 503
    assert service.get("/livez")[0] == 200, "restarting it would change nothing"
    assert json.loads(said) == {
        "status": "failing",
        "reason": "ops refuses what is sent to it: 2 deliveries parked (http_400)",
        "step_age_s": 0.0,
        "behind": None,
        "undelivered_s": 0.0,
        "parked": [{"receiver": "ops", "count": 2, "reason": "http_400"}],
    }
    beats = HeartbeatSettings.model_validate({"to": "ops"})
    HeartbeatSender(service.database, beats, service.world.time, service.observer.counts).beat()
    with service.database.read() as connection:
        (body,) = connection.exec_driver_sql("SELECT body FROM outbox WHERE rule = 'heartbeat'").scalars()
    assert json.loads(body)["text"].endswith("; parked: 2 to ops (http_400)")


def test_other_pages_and_the_store_in_trouble(service: Service) -> None:
    assert service.get("/")[0] == 404
    assert service.get("/metrics?x=1")[0] == 200
    with service.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE silences")
    assert service.get("/metrics") == (500, "the store does not answer\n")
    assert service.get("/healthz")[0] == 200


def test_people_get_a_line_a_minute_and_the_manager_a_sign_of_life_while_nothing_is_stuck(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(standing_report, "EVERY_S", 0.2)
    monkeypatch.setattr(standing_report, "_LOOK_S", 0.05)
    service.work()
    service.observer.delivery("desk", "delivered", 2)
    lines = queue.SimpleQueue[str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(20)
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"})
        report = StandingReport(
            service.observer, manager, lambda *given: lines.put(standing_report.minute_line(*given))
        )
        with report.reporting():
            said = told.recv(9_999).decode()
            assert said.startswith("STATUS=at work: 3,000 records, ")
            assert re.search(r", 2 delivered, 0 behind, \d+ dead letters\nWATCHDOG=1$", said)
            assert re.fullmatch(
                r"in the last \d+ s: 0 records, 0 alerts, 0 delivered, 0 behind", lines.get(timeout=20)
            )
            progress = WorkProgress(WorkFile(tmp_path / "work", 0.0))
            progress.idle_s = 20.0
            service.observer.follow_progress(progress)
            while "NOT WELL" not in (said := told.recv(9_999).decode()):
                pass
            assert said.startswith("STATUS=NOT WELL: no step has finished for 20s")
            assert "WATCHDOG" not in said, "a step hangs"
            while "NOT WELL" not in (line := lines.get(timeout=20)):
                pass
            assert line.endswith("; NOT WELL: no step has finished for 20s")


FINE = Checks(lambda: None, lambda: None)


def test_an_address_in_use_is_one_clear_line(service: Service) -> None:
    other = serving(service.address, service.observer.registry, FINE)
    with pytest.raises(TapewatchError) as raised, other:
        pass
    host, port = service.address
    assert str(raised.value) == (
        f"serve.address: {host}:{port} is in use: "
        "stop the process that listens there, or set another address, or off"
    )
    assert raised.value.exit_code == 1


def test_off_serves_nothing_and_leaving_frees_the_port(service: Service) -> None:
    with serving(None, service.observer.registry, FINE) as address:
        assert address is None
    with serving(FREE, service.observer.registry, FINE) as address:
        assert address is not None
        idle = socket.create_connection(address)
    with serving(address, service.observer.registry, FINE):
        assert fetch(address, "/healthz")[0] == 200
    idle.close()


BAD = {
    "# HELP x_total Ok.\n# TYPE x_total gauge\nx_total 1\n": "only a counter ends in _total",
    "# HELP x \n# TYPE x gauge\nx 1\n": "no help, or none that is a sentence",
    "# HELP x_ms A time.\n# TYPE x_ms gauge\nx_ms 1\n": "not in base units",
    "# HELP x_bytes_old A.\n# TYPE x_bytes_old gauge\nx_bytes_old 1\n": "bytes is not at the end",
    "# HELP x A.\n# TYPE x gauge\nx 1\nx 1\n": "comes 2 times",
    "# HELP X A.\n# TYPE X gauge\nX 1\n": "not small words",
    "# HELP gauge_x A.\n# TYPE gauge_x gauge\ngauge_x 1\n": "its kind is part of its name",
    "# HELP x A.\n# TYPE x gauge\nx 1\n# HELP x A.\n# TYPE x gauge\nx 2\n": "declared 2 times",
}


@pytest.mark.parametrize(("text", "problem"), BAD.items(), ids=BAD.values())
def test_the_look_over_finds_what_is_wrong(text: str, problem: str) -> None:
    assert any(problem in found for found in lint(text))
