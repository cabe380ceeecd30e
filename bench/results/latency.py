"""The latency of a run, measured one image at a time by `bench run --timing`; not part of any checksum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.io.config import read_record
from bench.io.files import write_json

# A file of its own: latency depends on the machine, and is not a part of the checksum.
FILE = "timing.json"
MEASURE_AGAIN = "measure again with bench run --timing"
STAGES = ("preprocess", "infer", "postprocess", "total")


@dataclass(frozen=True)
class Latency:
    """Seconds per stage of `n` images in their order, after `warm_up` images that are not counted.

    Batch size 1, sequential. `seconds` has the keys of STAGES, or "total" alone if the device cannot be synchronized.
    "total" ends when the prediction is in main memory.
    """

    seconds: Mapping[str, tuple[float, ...]]
    warm_up: int
    device: str
    precision: str
    hardware: str
    date: str
    commit: str | None = None

    def __post_init__(self) -> None:
        if not self.seconds.get("total"):
            raise DataError("`seconds` has no values for `total`")

    @property
    def n(self) -> int:
        return len(self.seconds["total"])

    # Median and 95th percentile: a mean would follow single images that another process delayed.
    @property
    def p50(self) -> float:
        """Median seconds per image, from its pixels to its prediction."""
        return percentile(self.seconds["total"], 50)

    @property
    def p95(self) -> float:
        return percentile(self.seconds["total"], 95)

    def to_json(self) -> dict[str, Any]:
        """Return the content of timing.json: a summary (p50 and p95 per stage), then every measurement, in seconds."""
        return {
            "n": self.n, "batch_size": 1, "warm_up": self.warm_up, "device": self.device, "precision": self.precision,
            "hardware": self.hardware, "date": self.date, "commit": self.commit,
            "summary": {name: {"p50": percentile(s, 50), "p95": percentile(s, 95)} for name, s in self.seconds.items()},
            "seconds": {name: list(values) for name, values in self.seconds.items()},
        }  # fmt: skip


def percentile(values: Sequence[float], at: float) -> float:
    """Return the percentile `at` (0 to 100), interpolated linearly."""
    return float(np.percentile(np.array(values), at))


def write_latency(folder: Path, latency: Latency) -> Path:
    write_json(folder / FILE, latency.to_json())
    return folder / FILE


def read_latency(folder: Path) -> Latency | None:
    """Return the latency of a run, or None if it was not measured. Raises DataError if timing.json is invalid."""
    path = folder / FILE
    if not path.is_file():
        return None
    return read_record(path, Latency, MEASURE_AGAIN)
