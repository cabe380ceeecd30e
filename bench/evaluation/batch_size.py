"""The batch size of `--batch-size auto`: that of an earlier run with the same settings, or the largest that fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.evaluation.identity import identity_digest
from bench.evaluation.session import run_folder
from bench.io.files import read_json
from bench.io.pictures import read_size
from bench.models.adapter import Adapter
from bench.models.devices import empty_cache, is_out_of_memory, memory_limit, peak_memory
from bench.types import Image, Sample

PROBED = "batch_size_probed"  # key of run.json
MOST = 64  # images: more are hardly faster, and are held in main memory, too
SHARE = 0.8  # of the memory of a device that a batch may take; post-processing needs the rest


def recorded_batch_size(out: Path | str, dataset: Dataset, identity: Mapping[str, Any]) -> int | None:
    """Return the probed batch size of the newest run below `out` that differs from `identity` in nothing else, if any.

    The content of the data may differ, too: an interrupted run is resumed after a file of it was repaired.
    """
    found = []
    for path in run_folder(out, dataset, identity).parent.glob("*/run.json"):
        with suppress(DataError, OSError):
            meta = read_json(path)
            size = meta.get("batch_size")
            settings = identity_digest({**identity, "batch_size": size}, without=["content"])
            if meta.get(PROBED) and meta.get("settings") == settings:
                found.append((path.stat().st_mtime, int(size)))
    return max(found)[1] if found else None


def probed_batch_size(adapter: Adapter, dataset: Dataset, device: str, *, in_worker: bool = False) -> int:
    """Return the largest power of two, up to MOST, of images that the network takes at once on an accelerator.

    Tried with the largest pictures of the data set, doubling until memory is out or SHARE of it is taken. Where the
    memory cannot be measured, as in a worker, half of the largest is returned. 1 if a single image does not fit.
    """
    limit = None if in_worker else memory_limit(device)
    images, size = _largest(dataset.samples), 1
    while 2 * size <= min(MOST, len(dataset.samples)) and _fits(adapter, images, 2 * size, device, limit):
        size *= 2
    if not in_worker:
        empty_cache(device)
    return size if limit is not None else max(1, size // 2)


def _fits(adapter: Adapter, images: Sequence[Image], size: int, device: str, limit: int | None) -> bool:
    try:
        adapter.infer([adapter.preprocess(image) for image in islice(cycle(images), size)])
    # Any other error is raised again by the run, which names the image.
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    peak = None if limit is None else peak_memory(device)
    return limit is None or peak is None or peak <= SHARE * limit


def _largest(samples: Sequence[Sample]) -> list[Image]:
    """Return the pictures with the most pixels, the widest and the highest: a batch is padded to the size of all."""
    sizes = {sample.image_id: _size(sample) for sample in samples}
    height, width = ({name: size[axis] for name, size in sizes.items()} for axis in (0, 1))
    chosen = {
        max(sizes, key=lambda name: height[name] * width[name]),
        max(sizes, key=lambda name: width[name] / height[name]),
        max(sizes, key=lambda name: height[name] / width[name]),
    }
    return [sample.read_image() for sample in samples if sample.image_id in chosen]


def _size(sample: Sample) -> tuple[int, int]:
    if sample.image_file is not None:
        with suppress(DataError):
            return read_size(sample.image_file)  # type: ignore[arg-type]
    return sample.read_image().size
