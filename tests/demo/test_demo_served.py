"""`tapewatch demo` is scraped while it runs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import forked
import pytest
from fakes.exposition import fetch, lint, value

from streamer.config.file import ConfigFile
from streamer.config.load import load_text
from streamer.demo.configuration import DEMO_CONFIG
from streamer.demo.service import where_to_listen

Address = tuple[str, int]


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[tuple[Address, subprocess.Popen[bytes]]]:
    """A demonstration at work, and where it says that it serves."""
    said = folder / "said.txt"
    with said.open("wb") as out:
        command = [sys.executable, "-m", "streamer", "demo", *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "COLUMNS": "200"})
    try:
        deadline, found = time.monotonic() + 120, None
        while found is None and process.poll() is None and time.monotonic() < deadline:
            found = re.search(r"are at http://(127\.0\.0\.1):(\d+)", said.read_text())
            time.sleep(0.02)
        assert found is not None, said.read_text()
        yield (found[1], int(found[2])), process
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.timeout(150)
def test_metrics_and_health_are_up_while_it_runs_and_gone_after(tmp_path: Path) -> None:
    with running(tmp_path, "--minutes", "15", "--speed", "150", "--port", "0") as (address, process):
        ready, page = 0, ""
        while not (ready == 200 and value(page, "tapewatch_deliveries_total", outcome="delivered")):
            assert process.poll() is None, (tmp_path / "said.txt").read_text()
            ready, page = fetch(address, "/readyz")[0], fetch(address, "/metrics")[1]
            time.sleep(0.2)
        assert lint(page) == []
        assert fetch(address, "/healthz") == (200, '{"status": "ok"}\n')
        assert value(page, "tapewatch_records_total", topic="simulated")
        assert value(page, "tapewatch_alert_transitions_total", transition="fired")
        assert value(page, "tapewatch_source_up") == 1
        assert value(page, "tapewatch_partitions", state="live") == 3
        assert process.wait(60) == 0
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            fetch(address, "/metrics")


def test_a_port_that_is_asked_for_and_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = forked.tapewatch("demo", "--port", port)
    assert done.returncode == 1
    assert f"127.0.0.1:{port} is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = taken.getsockname()[1]
        assert where_to_listen(serving_at(f"127.0.0.1:{busy}"), None) == ("127.0.0.1", 0)
    assert where_to_listen(serving_at(f"127.0.0.1:{busy}"), None) == ("127.0.0.1", busy)
    assert where_to_listen(serving_at("off"), None) is None
    assert where_to_listen(serving_at("off"), 9999) == ("127.0.0.1", 9999)


def serving_at(address: str) -> ConfigFile:
    return load_text(f'{DEMO_CONFIG}serve: {{address: "{address}"}}\n')
