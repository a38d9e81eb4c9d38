"""The captures as they are: the generated ones always, the real ones where TAPEWATCH_DATA says where."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from decoding.decode_once import a_format

from streamer.decoding.formats import DecodeContext
from streamer.messages.batch import Kind
from streamer.sources.files.file_records import FileInput, FileRecords

REAL_COUNTS = {
    "spot_btcusdt_20240808.gz": {"quote": 28040, "trade": 9757, "depthUpdate": 3451, "depth_snapshot": 1},
    "spot_ethusdt_20240808.gz": {"quote": 24077, "trade": 6106, "depthUpdate": 3434, "depth_snapshot": 1},
    "usdm_btcusdt_20240808.gz": {"quote": 66089, "trade": 21313, "depthUpdate": 6551, "depth_snapshot": 1},
}
COINBASE: dict[str, Any] = {
    "event_type": {
        "path": "type",
        "map": {"match": "trade", "last_match": "trade", "ticker": "metric"},
        "ignore": ["l2update", "snapshot", "subscriptions"],
    },
    "symbol": "product_id",
    "ts_event": {"path": "time", "unit": "iso"},
    "sequence": "sequence",
    "trade": {
        "price": "price",
        "size": "size",
        "trade_id": "trade_id",
        "aggressor_side": {"path": "side", "map": {"buy": "sell", "sell": "buy"}},
    },
    "metric": {"value": "volume_24h"},
}
BITMEX: dict[str, Any] = {
    "events": "data",
    "event_type": {"path": "^.table", "map": {"trade": "trade", "quote": "quote"}, "ignore": ["orderBookL2"]},
    "symbol": "symbol",
    "ts_event": {"path": "timestamp", "unit": "iso"},
    "trade": {
        "price": "price",
        "size": "size",
        "trade_id": "trdMatchID",
        "aggressor_side": {"path": "side", "map": {"Buy": "buy", "Sell": "sell"}},
    },
    "quote": {"bid_price": "bidPrice", "bid_size": "bidSize", "ask_price": "askPrice", "ask_size": "askSize"},
}
CSV = {
    "event_type": "trade",
    "symbol": {"from": "file", "pattern": "([^_]+)"},
    "ts_event": {"path": "ts_ms", "unit": "ms"},
    "trade": {"price": "price", "size": "amount", "aggressor_side": "side"},
}


def _counts(file: FileInput, settings: object) -> Counter[str]:
    """Events by kind, what is ignored by name, dead letters as ``dead:reason``."""
    found: Counter[str] = Counter()
    records = list(FileRecords(file))
    decoded = a_format(settings).decode(records, DecodeContext(file.name, "here"))
    found.update(Kind(kind).name.lower() for kind in decoded.batch.kind.tolist())
    found.update(dict(decoded.ignored))
    found.update(f"dead:{letter.reason}" for letter in decoded.dead)
    return found


def _by_eye(path: Path) -> Counter[str]:
    """The same counts by the plainest means there are."""
    found: Counter[str] = Counter()
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        message = json.loads(line.split(" ", 1)[1])
        event = message.get("data", message)
        if "result" in event:
            found["subscription_ack"] += 1
        elif "lastUpdateId" in event:
            found["depth_snapshot"] += 1
        else:
            name = event.get("e", "bookTicker")
            found[{"bookTicker": "quote"}.get(name, name)] += 1
    return found


@pytest.fixture(scope="module")
def real(data_dir: Path | None) -> Path:
    if data_dir is None:
        pytest.skip("TAPEWATCH_DATA is not set; the committed captures are decoded in any case")
    return data_dir


@pytest.mark.parametrize("name", ["spot_btcusdt.gz", "spot_ethusdt.gz", "usdm_btcusdt.gz"])
def test_committed_binance_captures_decode_whole(captures: Path, name: str) -> None:
    file = FileInput(captures / name, "ns")
    counts = _counts(file, "binance")
    assert counts == _by_eye(file.path)
    assert counts.total() == 12_000
    assert {"trade", "quote", "depthUpdate"} < set(counts)


def test_committed_captures_of_own_events_decode_whole(captures: Path) -> None:
    counts = _counts(FileInput(captures / "tapewatch.jsonl.gz"), "tapewatch")
    assert set(counts) == {"trade", "quote", "order", "status", "metric", "heartbeat"}
    assert counts.total() == 2_403
    assert _counts(FileInput(captures / "trades.csv.gz"), CSV) == {"trade": 4_000}


def _generator(captures: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", captures / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_committed_captures_are_what_the_script_writes(captures: Path) -> None:
    written: dict[str, list[str]] = _generator(captures).captures()
    assert {path.name for path in captures.glob("*.gz")} == set(written)
    for name, lines in written.items():
        assert gzip.decompress((captures / name).read_bytes()).decode().splitlines() == lines
    assert sum(path.stat().st_size for path in captures.glob("*.gz")) < 1_000_000


def test_quotes_run_behind_trades_in_the_committed_captures(captures: Path) -> None:
    """The trap of the real ones: spot's quotes take the receiver's clock, which is 1.27 s behind."""
    records = list(FileRecords(FileInput(captures / "spot_btcusdt.gz", "ns")))
    batch = a_format("binance").decode(records, DecodeContext("t", "here")).batch
    lag_ms = (batch.ts - batch.record_ts) / 1e6
    assert (lag_ms[batch.kind == Kind.QUOTE] == 0).all()
    assert (lag_ms[batch.kind == Kind.TRADE] > 1_200).all()


@pytest.mark.parametrize("name", sorted(REAL_COUNTS))
def test_real_binance_captures_decode_whole(real: Path, name: str) -> None:
    assert _counts(FileInput(real / "binance" / name, "ns"), "binance") == REAL_COUNTS[name]


def test_real_coinbase_capture_decodes_whole(real: Path) -> None:
    counts = _counts(FileInput(real / "captures" / "COINBASE.ws.28.0.gz", "s"), COINBASE)
    assert counts == {"trade": 107, "metric": 107, "l2update": 9719, "snapshot": 10, "subscriptions": 3}


def test_real_bitmex_capture_decodes_but_for_what_is_no_table(real: Path) -> None:
    """The welcome and the thirty acknowledgements name no table."""
    counts = _counts(FileInput(real / "captures" / "BITMEX.ws.1.0.gz", "s"), BITMEX)
    assert counts == {"trade": 27, "quote": 436, "orderBookL2": 1979, "dead:missing_field": 31}


def test_real_trades_in_tables_decode_whole(real: Path) -> None:
    for path in sorted((real / "pumps").glob("*_*.csv.gz"))[:2]:
        rows = gzip.decompress(path.read_bytes()).count(b"\n") - 1
        assert _counts(FileInput(path), CSV) == {"trade": rows}
