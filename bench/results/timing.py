"""Time, memory and energy of a run, measured by `bench run --timing`; not part of any checksum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError
from bench.io.config import read_record
from bench.io.files import write_json

# A file of its own: times depend on the machine, and are not a part of the checksum.
FILE = "timing.json"
MEASURE_AGAIN = "measure again with bench run --timing"
STAGES = ("preprocess", "infer", "postprocess", "total")
# Percentile → images that it needs. One in a hundred lies above the 99th: of fewer images it would be their maximum.
NEEDS = {50: 1, 95: 20, 99: 100}


@dataclass(frozen=True)
class Throughput:
    """Seconds of `images` images in batches of `batch_size`, and the joules of the device, None if unknown.

    The stages come one after the other, from images in memory to predictions in memory.
    """

    images: int
    batch_size: int
    seconds: float
    joules: float | None = None

    def __post_init__(self) -> None:
        if self.images < 1 or self.seconds <= 0:
            raise DataError("`images` and `seconds` of `throughput` must be positive")

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    @property
    def joules_per_image(self) -> float | None:
        return None if self.joules is None else self.joules / self.images

    def to_json(self) -> dict[str, Any]:
        return {
            "images_per_second": self.images_per_second, "batch_size": self.batch_size, "images": self.images,
            "seconds": self.seconds, "joules": self.joules, "joules_per_image": self.joules_per_image,
        }  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """Seconds per stage of `n` images in their order, after `warm_up` images that are not counted.

    Batch size 1, sequential. `seconds` has "read" and the keys of STAGES, or no stages between if the device cannot be
    synchronized. "total" lasts from the image in memory to the prediction in main memory. Peaks are in bytes, from
    before the first image to the last batch of `throughput`, weights included. `notes` gives the reason for values that
    are None: quantity → sentence.
    """

    seconds: Mapping[str, tuple[float, ...]]
    warm_up: int
    device: str
    precision: str
    hardware: str
    date: str
    commit: str | None = None
    throughput: Throughput | None = None
    process_peak_bytes: int | None = None
    device_peak_bytes: int | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.seconds.get("total"):
            raise DataError("`seconds` has no values for `total`")
        if any(len(values) != self.n for values in self.seconds.values()):
            raise DataError("`seconds` has stages with different numbers of images")

    @property
    def n(self) -> int:
        return len(self.seconds["total"])

    # Percentiles: a mean would follow single images that another process delayed.
    def percentile(self, at: int, stage: str = "total") -> float | None:
        """Return a percentile (a key of NEEDS) in seconds, interpolated linearly; None of too few images."""
        if self.n < NEEDS[at]:
            return None
        return float(np.percentile(np.array(self.stages()[stage]), at))

    @property
    def p50(self) -> float:
        """Median seconds per image, from its pixels to its prediction."""
        return float(np.median(self.seconds["total"]))

    @property
    def peak_bytes(self) -> int | None:
        """Peak memory of the device if the model runs on one, else of the process."""
        return self.process_peak_bytes if self.device == "cpu" else self.device_peak_bytes

    def stages(self) -> dict[str, tuple[float, ...]]:
        """Return `seconds`, and as "whole" the sums of "read" and "total"."""
        read = self.seconds.get("read")
        whole = {} if read is None else {"whole": tuple(map(sum, zip(read, self.seconds["total"], strict=True)))}
        return {**self.seconds, **whole}

    def reasons(self) -> dict[str, str]:
        """Return quantity → why it is None; percentiles of too few images included."""
        few = [(at, least) for at, least in NEEDS.items() if self.n < least]
        return {**{f"p{at}": f"needs {least} images, {self.n} were measured" for at, least in few}, **self.notes}

    def summary(self) -> dict[str, Any]:
        """Return everything except the single measurements, in seconds, bytes and joules."""
        return {
            "n": self.n, "batch_size": 1, "warm_up": self.warm_up, "device": self.device, "precision": self.precision,
            "hardware": self.hardware, "date": self.date, "commit": self.commit,
            "summary": {name: {f"p{at}": self.percentile(at, name) for at in NEEDS} for name in self.stages()},
            "throughput": self.throughput and self.throughput.to_json(),
            "process_peak_bytes": self.process_peak_bytes, "device_peak_bytes": self.device_peak_bytes,
            "notes": self.reasons(),
        }  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the content of timing.json: the summary, then every measurement, in seconds."""
        return {**self.summary(), "seconds": {name: list(values) for name, values in self.seconds.items()}}


def write_timing(folder: Path, timing: Timing) -> Path:
    write_json(folder / FILE, timing.to_json())
    return folder / FILE


def read_timing(folder: Path) -> Timing | None:
    """Return the timing of a run, or None if it was not measured. Raises DataError if timing.json is invalid."""
    path = folder / FILE
    return read_record(path, Timing, MEASURE_AGAIN) if path.is_file() else None
