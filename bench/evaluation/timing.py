"""Time, memory and energy of a model: latency one image at a time, throughput in batches; no parallel work."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain, cycle, islice, pairwise
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import UsageError
from bench.models.adapter import Adapter
from bench.models.devices import device_name, device_peak, device_uuid
from bench.models.loading import open_model
from bench.models.nvml import energy_counter
from bench.models.spec import ModelSpec
from bench.parallel import batches
from bench.results.memory import process_peak, reset_process_peak
from bench.results.provenance import git_state, processor
from bench.results.timing import STAGES, Throughput, Timing, write_timing
from bench.types import Image, ProgressCallback, Sample

# Numbers of images; those of the warm-up are not counted.
WARM_UP, IMAGES = 10, 100
# Images that are read before a stretch of batches: the counter of joules advances in steps of up to 100 ms.
STRETCH = 16

Clock = Callable[[], float]
Joules = Callable[[], float]


def time_run(
    spec: ModelSpec,
    dataset: Dataset,
    folder: Path,
    *,
    batch_size: int = 1,
    device: str = "auto",
    on_image: ProgressCallback | None = None,
) -> Path:
    """Measure a model on the first images of a data set, write timing.json into `folder`, and return its path.

    A model with an environment of its own is measured in its worker, and the way of images and predictions through the
    worker's pipe with it. The model's packages and weights must be available.
    """
    if not dataset.samples:
        raise UsageError(f"{dataset.name}:{dataset.split} has no image to time a model on; name another split")
    samples = dataset.samples[:IMAGES]
    with open_model(spec, device) as adapter:
        gauges = Gauges(adapter, device)
        # Of single images without joules, the latencies hold the throughput.
        cuts = timed_batches(samples, batch_size) if batch_size > 1 or gauges.joules else []
        tick = _ticks(WARM_UP + len(samples) + sum(map(len, cuts)), on_image)
        rows = measure(adapter, samples, tick=tick)
        if cuts:
            throughput = measure_batches(adapter, cuts, joules=gauges.joules, tick=tick)
        else:
            throughput = Throughput(len(rows), 1, sum(row["total"] for row in rows))
        peaks = gauges.peaks()
    git = git_state(Path(__file__).parent)
    timing = Timing(
        seconds={name: tuple(row[name] for row in rows) for name in rows[0]},
        warm_up=WARM_UP,
        device=gauges.device,
        precision=spec.precision,
        hardware=gauges.hardware,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        commit=git["commit"] if git else None,
        throughput=throughput,
        **peaks,
    )
    return write_timing(folder, timing)


class Gauges:
    """Peak memory of the process and the device of a loaded model from now on, and the counter of joules or None.

    A model in a worker is a process of its own (`pid`), whose torch gives `hardware`, `uuid` and `device_peak`.
    """

    def __init__(self, adapter: Any, device: str) -> None:
        self.device = str(getattr(adapter, "device", device))
        here = not hasattr(adapter, "pid")
        name = getattr(adapter, "hardware", None) or (device_name(self.device) if here else None)
        self.hardware = str(name or processor() or "unknown")
        self.joules, no_joules = energy_counter(device_uuid(self.device) if here else adapter.uuid)
        self._pid = os.getpid() if here else adapter.pid
        self._device_peak = partial(device_peak, self.device) if here else adapter.device_peak
        self._notes = {"energy": no_joules} if no_joules else {}
        self._device_peak(reset=True)
        if not reset_process_peak(self._pid):
            self._notes["process peak"] = "is since the start of the process, as this system cannot reset it"

    def peaks(self) -> dict[str, Any]:
        """Return the fields of `Timing` for the peaks, with a note for each that is None."""
        process, device, notes = process_peak(self._pid), self._device_peak(), dict(self._notes)
        if process is None:
            notes["process peak"] = "is not known of another process on this system"
        if device is None:
            notes["device peak"] = (
                "needs a device that is not the CPU"
                if self.device == "cpu"
                else f"is not known to torch of {self.device}"
            )
        return {"process_peak_bytes": process, "device_peak_bytes": device, "notes": notes}


def measure(
    adapter: Adapter,
    samples: Sequence[Sample],
    *,
    warm_up: int = WARM_UP,
    clock: Clock = time.perf_counter,
    tick: Callable[[], object] = lambda: None,
) -> list[dict[str, float]]:
    """Return the seconds of each stage per sample, after `warm_up` uncounted images (the first samples, repeated)."""
    measured = []
    # The first images are slower: kernels are chosen and memory is allocated (cuDNN autotuning, caching allocators).
    for k, sample in enumerate(chain(islice(cycle(samples), warm_up), samples)):
        begun = clock()
        image = sample.read_image()
        row = {"read": clock() - begun, **_once(adapter, image, clock)}
        if k >= warm_up:
            measured.append(row)
        tick()
    return measured


def measure_batches(
    adapter: Adapter,
    cuts: Sequence[Sequence[Sample]],
    *,
    joules: Joules | None = None,
    clock: Clock = time.perf_counter,
    tick: Callable[[], object] = lambda: None,
) -> Throughput:
    """Return seconds and joules of batches of one size. The first ones, of WARM_UP images, are not counted.

    Images are read before each stretch of batches, and reading is not counted.
    """
    size = len(cuts[0])
    warm = _warm_up(size)
    seconds = spent = 0.0
    for k, stretch in enumerate([cuts[:warm], *batches(cuts[warm:], max(1, STRETCH // size))]):
        held = [[sample.read_image() for sample in cut] for cut in stretch]
        begun, charge = clock(), joules() if joules else 0.0
        for images in held:
            _batch(adapter, images)
        if k:
            seconds += clock() - begun
            spent += joules() - charge if joules else 0.0
        for _ in range(size * len(stretch)):
            tick()
    return Throughput(size * (len(cuts) - warm), size, seconds, spent if joules else None)


def timed_batches(samples: Sequence[Sample], batch_size: int) -> list[list[Sample]]:
    """Return the batches of the warm-up and those to measure, all full: samples are repeated, a rest is left out."""
    source = cycle(samples)
    count = _warm_up(batch_size) + max(1, len(samples) // batch_size)
    return [list(islice(source, batch_size)) for _ in range(count)]


def _warm_up(batch_size: int) -> int:
    return -(-WARM_UP // batch_size)


def _ticks(total: int, on_image: ProgressCallback | None) -> Callable[[], object]:
    """Return a function that reports one more image of `total`."""
    done = iter(range(1, total + 1))
    return lambda: on_image and on_image(next(done), total)


def _batch(adapter: Adapter, images: Sequence[Image]) -> None:
    # No wait for the device: a prediction is in main memory when it is returned.
    outputs = adapter.infer([adapter.preprocess(image) for image in images])
    for output, image in zip(outputs, images, strict=True):
        adapter.postprocess(output, image.size)


def _once(adapter: Adapter, image: Image, clock: Clock) -> dict[str, float]:
    """Return the seconds of each stage of one image.

    If the device cannot be synchronized, only "total" is returned: the prediction is in main memory when it ends.
    """
    # CUDA kernels run asynchronously, so that a clock without synchronization measures only their launch.
    wait: Any = getattr(adapter, "synchronize", None)
    waits = wait is not None or getattr(adapter, "device", "cpu") == "cpu"
    times = [clock()]
    ready = adapter.preprocess(image)
    times.append(clock())
    (output,) = adapter.infer([ready])
    if wait is not None:
        wait()
    times.append(clock())
    adapter.postprocess(output, image.size)
    times.append(clock())
    stages = dict(zip(STAGES, (b - a for a, b in pairwise(times)), strict=False))
    return {**(stages if waits else {}), STAGES[-1]: times[-1] - times[0]}
