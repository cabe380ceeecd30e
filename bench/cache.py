"""Where this tool keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$BENCH_CACHE`, else a folder in the user's cache."""
    if chosen := os.environ.get("BENCH_CACHE"):
        return Path(chosen)
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "panoptic-bench"
    return Path.home() / ".cache" / "panoptic-bench"
