"""What compiled kernels are kept under: numba looks at a kernel's file, not at those that it is made of."""

from __future__ import annotations

import zlib
from pathlib import Path

from streamer.decoding.json.fingerprint import FINGERPRINT as OF_SCAN

_FILES = (
    *sorted(Path(__file__).parent.glob("*.py")),
    Path(__file__).parents[1] / "event_fields.py",
    *(Path(__file__).parents[2] / "messages" / name for name in ("batch.py", "texts.py", "records.py")),
)

FINGERPRINT = zlib.crc32(b"".join(path.read_bytes() for path in _FILES), OF_SCAN)
"""Changes with any file that kernels here are made of; one that mentions it is compiled anew then."""
