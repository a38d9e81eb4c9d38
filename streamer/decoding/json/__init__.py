"""JSON kernels: from bytes and requested fields to columns and flags; docs/scanning.md explains them."""

from streamer.decoding.json.interner import Interner
from streamer.decoding.json.scan_plan import JsonField
from streamer.decoding.json.scanner import Scan, Scanner

__all__ = ["Interner", "JsonField", "Scan", "Scanner"]
