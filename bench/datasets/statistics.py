"""`bench data stats`: numbers of images, segments and pixels of a data set. Reads the truth, no images."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset
from bench.parallel import ordered_map
from bench.types import Categories, ProgressCallback, Sample

# The limit of small objects in COCO (cocoeval.py of pycocotools).
SMALL_PX = 32 * 32
CROWD, SEGMENT = 1, 0


@dataclass(frozen=True)
class ClassStats:
    """Statistics of a class. `segments` excludes crowds; both are None for semantic labels."""

    category_id: int
    name: str
    isthing: bool
    images: int
    segments: int | None
    crowds: int | None
    pixels: int


@dataclass(frozen=True)
class DatasetStats:
    """Statistics of a data set. `sizes` is "H x W" → images, most common first; `void_pixels` have no class."""

    dataset: str
    images: int
    sizes: dict[str, int]
    pixels: int
    void_pixels: int
    segments: int | None
    segments_per_image: dict[str, float] | None  # min, median, max; without crowds
    crowds: int | None
    small_share: float | None  # of segments, below SMALL_PX
    per_class: tuple[ClassStats, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Image:
    """Rows of one image, (n, 3) int64: category index, area in pixels, CROWD or SEGMENT."""

    size: tuple[int, int]
    rows: NDArray[np.int64]


def dataset_stats(data: Dataset, *, workers: int = 2, on_image: ProgressCallback | None = None) -> DatasetStats:
    images: list[_Image] = []
    for image in ordered_map(lambda sample: _read(sample, data.categories), data.samples, workers):
        images.append(image)
        if on_image is not None:
            on_image(len(images), len(data.samples))
    segmented = not data.samples or data.samples[0].read_semantic is None
    return _stats(data, images, segmented)


def _read(sample: Sample, categories: Categories) -> _Image:
    if sample.read_semantic is not None:
        return _semantic(sample.read_semantic(), categories)
    truth = sample.read_target()
    rows = [
        (categories.index_of[info.category_id], area, int(info.iscrowd))
        for info, area in zip(truth.segments_info, truth.areas.tolist(), strict=True)
    ]
    return _Image(truth.size, np.array(rows, dtype=np.int64).reshape(-1, 3))


def _semantic(ids: NDArray[np.int32], categories: Categories) -> _Image:
    numbers, pixels = np.unique(ids, return_counts=True)
    rows = [
        (categories.index_of[number], area, SEGMENT)
        for number, area in zip(numbers.tolist(), pixels.tolist(), strict=True)
        if number in categories.index_of
    ]
    return _Image((int(ids.shape[0]), int(ids.shape[1])), np.array(rows, dtype=np.int64).reshape(-1, 3))


def _stats(data: Dataset, images: list[_Image], segmented: bool) -> DatasetStats:
    rows = np.concatenate([np.empty((0, 3), np.int64), *(image.rows for image in images)])
    sizes = Counter(image.size for image in images)
    pixels = sum(height * width * count for (height, width), count in sizes.items())
    areas = rows[rows[:, 2] == SEGMENT, 1]
    each = [int((image.rows[:, 2] == SEGMENT).sum()) for image in images]
    spread = {"min": min(each), "median": median(each), "max": max(each)} if each else None
    return DatasetStats(
        dataset=f"{data.name}:{data.split}",
        images=len(images),
        sizes={f"{height} x {width}": count for (height, width), count in sizes.most_common()},
        pixels=pixels,
        void_pixels=pixels - int(rows[:, 1].sum()),
        segments=len(areas) if segmented else None,
        segments_per_image=spread if segmented else None,
        crowds=int((rows[:, 2] == CROWD).sum()) if segmented else None,
        small_share=float((areas < SMALL_PX).mean()) if segmented and len(areas) else None,
        per_class=_per_class(data.categories, images, rows, segmented),
    )


def _per_class(
    categories: Categories, images: list[_Image], rows: NDArray[np.int64], segmented: bool
) -> tuple[ClassStats, ...]:
    seen = Counter(place for image in images for place in set(image.rows[:, 0].tolist()))
    count = len(categories)
    crowd = rows[:, 2] == CROWD
    segments = np.bincount(rows[~crowd, 0], minlength=count).tolist()
    crowds = np.bincount(rows[crowd, 0], minlength=count).tolist()
    pixels = [int(rows[rows[:, 0] == k, 1].sum()) for k in range(count)]
    return tuple(
        ClassStats(
            category.id, category.name, category.isthing, seen[k],
            segments[k] if segmented else None, crowds[k] if segmented else None, pixels[k],
        )
        for k, category in enumerate(categories)
    )  # fmt: skip
