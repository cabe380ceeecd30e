"""Latency of a model: one image at a time, with device synchronization and no parallel work."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, cycle, islice, pairwise
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import UsageError
from bench.models.adapter import Adapter
from bench.models.loading import load_adapter
from bench.models.spec import ModelSpec
from bench.results.latency import STAGES, Latency, write_latency
from bench.results.provenance import git_state, processor
from bench.types import Image, ProgressCallback, Sample

# Numbers of images; those of the warm-up are not counted.
WARM_UP, IMAGES = 10, 100

Clock = Callable[[], float]


def time_run(
    spec: ModelSpec, dataset: Dataset, folder: Path, *, device: str = "auto", on_image: ProgressCallback | None = None
) -> Path:
    """Measure a model on the first images of a data set, write timing.json into `folder`, and return its path.

    Measured from the image in memory to the prediction in memory, without reading, scoring and label mapping. The
    model's packages and weights must be available.
    """
    if not dataset.samples:
        raise UsageError(f"{dataset.name}:{dataset.split} has no image to time a model on; name another split")
    adapter = load_adapter(spec, device)
    seconds = measure(adapter, dataset.samples[:IMAGES], on_image=on_image)
    git = git_state(Path(__file__).parent)
    latency = Latency(
        seconds={name: tuple(row[name] for row in seconds) for name in seconds[0]},
        warm_up=WARM_UP,
        device=str(getattr(adapter, "device", device)),
        precision=spec.precision,
        hardware=str(getattr(adapter, "hardware", None) or processor() or "unknown"),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        commit=git["commit"] if git else None,
    )
    return write_latency(folder, latency)


def measure(
    adapter: Adapter,
    samples: Sequence[Sample],
    *,
    warm_up: int = WARM_UP,
    clock: Clock = time.perf_counter,
    on_image: ProgressCallback | None = None,
) -> list[dict[str, float]]:
    """Return the seconds of each stage per sample, after `warm_up` uncounted images (the first samples, repeated)."""
    measured = []
    # The first images are slower: kernels are chosen and memory is allocated (cuDNN autotuning, caching allocators).
    for k, image in enumerate(_images(samples, warm_up)):
        row = _once(adapter, image, clock)
        if k >= warm_up:
            measured.append(row)
        if on_image:
            on_image(k + 1, warm_up + len(samples))
    return measured


def _images(samples: Sequence[Sample], warm_up: int) -> Iterable[Image]:
    return (sample.read_image() for sample in chain(islice(cycle(samples), warm_up), samples))


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
