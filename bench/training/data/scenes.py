"""Decoded training images and their targets; the split into training and held-back images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.datasets.dataset import Dataset
from bench.errors import DataError, UsageError
from bench.training.recipe import Recipe
from bench.types import RGB, Categories, Panoptic, Sample

# Void, and crowd regions, which are no single instance.
IGNORED = 255


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """Decoded training image with its targets.

    `rgb` (H, W, 3) uint8; `index` (H, W) uint8, the target of each pixel or IGNORED; `classes` (T,) int64, category
    indices.
    """

    rgb: RGB
    index: NDArray[np.uint8]
    classes: NDArray[np.int64]


def targets_of(panoptic: Panoptic, categories: Categories) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return `index` and `classes` of a TrainingSample: the 254 largest segments; void and crowd are IGNORED."""
    kept = [i for i, segment in enumerate(panoptic.segments_info) if not segment.iscrowd]
    if len(kept) >= IGNORED:
        kept = sorted(sorted(kept, key=lambda i: -int(panoptic.areas[i]))[: IGNORED - 1])
    table = np.full(len(panoptic.segments_info) + 1, IGNORED, dtype=np.uint8)
    table[np.array(kept, dtype=np.int64) + 1] = np.arange(len(kept))
    classes = [categories.index_of[panoptic.segments_info[i].category_id] for i in kept]
    return table[panoptic.id_map], np.array(classes, dtype=np.int64)


def read_scene(sample: Sample, categories: Categories) -> TrainingSample:
    """Decode a sample (4 bytes a pixel in memory). Raises DataError if image and labels differ in size."""
    rgb, target = sample.read_image().rgb, sample.read_target()
    if rgb.shape[:2] != target.size:
        raise DataError(f"image {sample.image_id!r} is {rgb.shape[:2]} and its labels {target.size} (H, W) px")
    return TrainingSample(rgb, *targets_of(target, categories))


@dataclass(frozen=True, eq=False)
class TargetGrid:
    """Targets of one image on the grid of a loss, P cells and T targets; every target has cells.

    `index` (P,) int64, the target of each cell or -1; `classes` (T,) int64, category indices; `boxes` (T, 4) float32,
    centre x, centre y, width and height of the whole target as fractions of the input.
    """

    index: NDArray[np.int64]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float32]


def sample_targets(
    index: NDArray[np.uint8],
    classes: NDArray[np.int64],
    cells: tuple[int, int],
    rng: np.random.Generator,
    least: int = 1,
) -> TargetGrid:
    """Sample the target of each of `cells` (rows, columns) at one random pixel of the cell.

    Averaged over many steps, a cell has each target in proportion to its area. Targets with fewer than `least` cells
    are ignored.
    """
    rows = (np.arange(cells[0])[:, None] + rng.random(cells)) * (index.shape[0] / cells[0])
    columns = (np.arange(cells[1])[None] + rng.random(cells)) * (index.shape[1] / cells[1])
    chosen = index[rows.astype(np.int64), columns.astype(np.int64)].ravel()
    counts = np.bincount(chosen, minlength=IGNORED + 1)[: len(classes)]
    present = np.flatnonzero(counts >= least)
    table = np.full(IGNORED + 1, -1, dtype=np.int64)
    table[present] = np.arange(len(present))
    return TargetGrid(table[chosen], classes[present], boxes_of(index)[present])


def boxes_of(index: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (255, 4) centre x, centre y, width and height of each target as fractions; zeros if it has no pixels."""
    boxes = np.zeros((IGNORED, 4), dtype=np.float32)
    low, high = _extents(index)
    there = np.flatnonzero(high[:, 0] >= low[:, 0])
    size = np.array([index.shape[1], index.shape[0]], dtype=np.float32)
    start, end = low[there] / size, (high[there] + 1) / size
    boxes[there] = np.concatenate([(start + end) / 2, end - start], axis=1)
    return boxes


def _extents(index: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the minimum and maximum (x, y) of each target, (255, 2) each; 0 and -1 if it has no pixels."""
    height, width = index.shape
    rows = np.zeros((height, IGNORED + 1), dtype=bool)
    columns = np.zeros((width, IGNORED + 1), dtype=bool)
    rows[np.arange(height)[:, None], index] = True
    columns[np.arange(width)[None, :], index] = True
    there = rows[:, :IGNORED].any(axis=0, keepdims=True).T
    # argmax of booleans is the first True.
    first = np.stack([columns.argmax(0), rows.argmax(0)], axis=1)[:IGNORED]
    last = np.stack([width - 1 - columns[::-1].argmax(0), height - 1 - rows[::-1].argmax(0)], axis=1)[:IGNORED]
    return np.where(there, first, 0), np.where(there, last, -1)


def split(data: Dataset, recipe: Recipe) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return training and held-back samples; these are evenly spaced, since a split is sorted by city."""
    if "panoptic" not in data.carries:
        carried = " and ".join(data.carries)
        raise UsageError(
            f"{data.name} has {carried} labels only, and training needs instances; "
            "train on a data set that carries panoptic labels, such as cityscapes or minicity"
        )
    samples, held_back = data.samples, recipe.held_back
    if not 0 < held_back < len(samples):
        raise UsageError(f"held_back: {held_back} of {len(samples)} scenes leaves none to learn from or to check")
    held = set(_spaced(len(samples), held_back))
    learn = [sample for i, sample in enumerate(samples) if i not in held]
    if recipe.images is not None:
        if not 0 < recipe.images <= len(learn):
            raise UsageError(f"images: {recipe.images} of the {len(learn)} scenes that are not held back")
        learn = [learn[i] for i in _spaced(len(learn), recipe.images)]
    return learn, [samples[i] for i in sorted(held)]


def _spaced(count: int, wanted: int) -> list[int]:
    return [i * count // wanted for i in range(wanted)]


def scaled(scene: TrainingSample, longest_edge: int) -> TrainingSample:
    """Resize so that the longer side is `longest_edge` px: the image bilinear, the targets nearest."""
    height, width = scene.index.shape
    factor = longest_edge / max(height, width)
    if factor == 1:
        return scene
    to = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Pillow first shrinks by a whole factor, which is fast, and down to 3 times the size, which hardly shows.
    rgb = PilImage.fromarray(scene.rgb).resize(to, PilImage.Resampling.BILINEAR, reducing_gap=3.0)
    index = PilImage.fromarray(scene.index).resize(to, PilImage.Resampling.NEAREST)
    return TrainingSample(np.asarray(rgb), np.asarray(index), scene.classes)


@dataclass(eq=False)
class SampleCache:
    """Training samples by index, cached in memory up to `budget` bytes. Read from several threads."""

    samples: Sequence[Sample]
    categories: Categories
    longest_edge: int | None
    budget: int
    kept: dict[int, TrainingSample] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, number: int) -> TrainingSample:
        if (known := self.kept.get(number)) is not None:
            return known
        scene = read_scene(self.samples[number], self.categories)
        if self.longest_edge is not None:
            scene = scaled(scene, self.longest_edge)
        size = scene.rgb.nbytes + scene.index.nbytes
        if size <= self.budget:
            self.budget -= size
            self.kept[number] = scene
        return scene
