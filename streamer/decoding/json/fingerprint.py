"""What compiled kernels are kept under: numba looks at a kernel's file, not at those that it is made of."""

from __future__ import annotations

import zlib
from pathlib import Path

FINGERPRINT = zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))
"""Changes with any file of this package; a kernel that mentions it is compiled anew then."""
