"""JSON kernels: bytes and wanted fields in, columns and flags out; docs/scanning.md says how they work."""

from streamer.decoding.json.interner import Interner
from streamer.decoding.json.scan_plan import JsonField
from streamer.decoding.json.scanner import Scan, Scanner

__all__ = ["Interner", "JsonField", "Scan", "Scanner"]
