"""Canary secrets, planted wherever a secret can be, are in nothing that the service writes or says."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import forked
import pytest
from broker.local import free_port
from captured import FILES, best_captures
from daemon import Daemon, configure, edited, tapewatch
from scraping import Metrics
from stores import ask

RECORDS = 2_000
CANARIES = {
    "SLACK_BOT_TOKEN": "xoxb-canary-7f3e91",
    "OPS_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"canaryofthewebhook5a1").decode(),
    "OPS_AUTHORIZATION": "Bearer canary-header-c0ffee",
    "KAFKA_PASSWORD": "canary-kafka-pass-88",
}
IN_A_FILE = "canary-in-a-file-d15ea5e"
IN_A_URL = "canary-userinfo-beef"


class Echo(BaseHTTPRequestHandler):
    """Refuses everything, and repeats all that it was sent, in ways that servers do."""

    def do_POST(self) -> None:
        said = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
        sent = {name.lower(): value for name, value in self.headers.items()}
        token = sent.get("authorization", "")
        is_slack = self.path.startswith("/api/")
        answer = {"ok": False, "error": f"not_for_{token}", "headers": sent, "body": said, "path": self.path}
        self.send_response(200 if is_slack else 400, f"no {token}")
        self.send_header("X-Echo", token or "none")
        body = json.dumps(answer).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def leaks(name: str, data: bytes) -> list[str]:
    """Canaries in what was written, plain or in the encodings that a secret is sent in."""
    secrets = {*CANARIES.values(), IN_A_FILE, IN_A_URL, "canaryofthewebhook5a1"}
    words = {part for secret in secrets for part in secret.split()} - {"Bearer"}
    forms = {form for word in words for form in (word.encode(), base64.b64encode(word.encode()).rstrip(b"="))}
    return [f"{name}: {form.decode()}" for form in forms if form in data]


@pytest.mark.timeout(240)
def test_no_canary_is_in_anything_that_is_written(
    broker: str, topic_factory: Any, echo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("daemon.SECRETS", CANARIES)
    elsewhere = tmp_path / "secrets"
    elsewhere.mkdir()
    file = elsewhere / "hook"
    file.write_text(f"{echo}/services/{IN_A_FILE}\n")
    file.chmod(0o600)
    written = tmp_path / "written"
    written.mkdir()
    topic, port = topic_factory("spot", 1), free_port()
    alerts = written / "alerts.jsonl"
    config = configure(
        "sensitive.yaml",
        written,
        bootstrap=broker,
        topics={topic: "binance"},
        files=FILES,
        checkpoint={"every": "1s"},
        serve={"address": f"127.0.0.1:{port}"},
        log={"level": "debug"},
    )

    def plant(document: Any) -> None:
        slack = {"channel": "C0123456789", "api_url": f"{echo}/api/"}
        document["receivers"] = {
            "desk": {"slack": {**slack, "token": {"env": "SLACK_BOT_TOKEN"}}},
            "hook": {"slack": {"incoming_webhook": {"file": str(file)}}},
            "ops": {
                "webhook": {
                    "url": f"{echo}/ops",
                    "secret": {"env": "OPS_WEBHOOK_SECRET"},
                    "headers": {"Authorization": {"env": "OPS_AUTHORIZATION"}},
                }
            },
            "kept": {"file": {"path": str(alerts)}},
        }
        document["route"] = {"to": ["desk", "hook", "ops", "kept"]}
        document["heartbeat"] = {"to": "kept", "every": "10s"}

    edited(config, plant)
    tapewatch("publish", "-c", config, "-t", topic, "--limit", str(RECORDS), best_captures().spot[0])
    store = config.with_suffix(".db")
    pages: list[str] = []
    with Daemon(config) as daemon:
        metrics = Metrics(daemon, port)
        metrics.wait("tapewatch_records_total", lambda count: count == RECORDS)
        parked = "SELECT count(DISTINCT receiver) FROM deliveries WHERE attempts > 0 AND answer IS NOT NULL"
        daemon.wait_until(lambda: ask(store, parked)[0][0] >= 3, "each was refused, with an answer")
        metrics.wait("tapewatch_checkpoints_total", lambda count: count > 0)
        pages += [metrics.get(page)[1] for page in ("/metrics", "/healthz", "/readyz", "/livez", "/none")]
        assert daemon.stop() == 0
        pages.append(daemon.output())
    shown = ask(store, "SELECT group_concat(alert_id) FROM outbox WHERE rule != 'heartbeat'")[0][0].split(
        ","
    )[0]
    for command in (["alerts"], ["alerts", "--json"], ["why", shown], ["why", shown, "--json"], ["check"]):
        done = tapewatch(*command, "-c", config, expect=None)
        pages += [done.stdout, done.stderr]
    pages += refused_with_a_secret_in_it(config, echo)
    found = [leak for page in pages for leak in leaks("a page, a log or a command", page.encode())]
    for path in written.rglob("*"):
        if path.is_file():
            found += leaks(path.name, path.read_bytes())
    assert found == []
    assert [path for path in written.rglob("*") if "checkpoints" in str(path)]
    assert alerts.stat().st_size > 0


def refused_with_a_secret_in_it(config: Path, echo: str) -> list[str]:
    """What commands say of files in which a secret was written where none belongs, or cannot be used."""
    host, said = echo.removeprefix("http://"), []

    def commanded(change: Any) -> None:
        other = config.parent.parent / "other.yaml"
        other.write_text(config.read_text())
        edited(other, change)
        for command in ("check", "run"):
            done = forked.tapewatch(command, "-c", other, environ=CANARIES, timeout_s=60)
            assert done.returncode in (1, 2), done.stderr
            said.extend([done.stdout, done.stderr])

    commanded(lambda d: d["receivers"]["ops"]["webhook"].update(url=f"http://me:{IN_A_URL}@{host}/ops"))
    commanded(lambda d: d["receivers"]["ops"]["webhook"].update(proxy=f"http://me:{IN_A_URL}@{host}"))
    commanded(lambda d: d["receivers"]["desk"]["slack"].update(token=CANARIES["SLACK_BOT_TOKEN"]))
    sasl = {"mechanism": "PLAIN", "username": "u", "password": {"env": "KAFKA_PASSWORD"}}
    commanded(lambda d: d["source"]["kafka"].update(security={"sasl": sasl}))
    return said
