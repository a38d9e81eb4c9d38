"""JSON kernels: bytes and wanted fields in, columns and flags out; docs/scanning.md says how they work."""

from streamer.scan.interner import Interner
from streamer.scan.plan import Field
from streamer.scan.scanner import Scan, Scanner

__all__ = ["Field", "Interner", "Scan", "Scanner"]
