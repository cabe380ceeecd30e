"""Ground truth as a set of targets: which target each pixel belongs to, and the class of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.types import RGB, Categories, Panoptic, Sample

IGNORED = 255  # void, and crowd regions, which stand for no single instance


@dataclass(frozen=True, eq=False)
class Scene:
    """A training image: `rgb` (H, W, 3) uint8; `index` (H, W) uint8, the target of each pixel or IGNORED;
    `classes` (T,) int64, positions in the categories."""

    rgb: RGB
    index: NDArray[np.uint8]
    classes: NDArray[np.int64]


def targets_of(panoptic: Panoptic, categories: Categories) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`index` and `classes` of a Scene; void and crowd pixels belong to no target. Of more than 254 segments
    the smallest are ignored."""
    kept = [i for i, segment in enumerate(panoptic.segments_info) if not segment.iscrowd]
    if len(kept) >= IGNORED:
        kept = sorted(sorted(kept, key=lambda i: -int(panoptic.areas[i]))[: IGNORED - 1])
    table = np.full(len(panoptic.segments_info) + 1, IGNORED, dtype=np.uint8)
    table[np.array(kept, dtype=np.int64) + 1] = np.arange(len(kept))
    classes = [categories.index_of[panoptic.segments_info[i].category_id] for i in kept]
    return table[panoptic.id_map], np.array(classes, dtype=np.int64)


def read_scene(sample: Sample, categories: Categories) -> Scene:
    """A sample, read whole into memory (4 bytes a pixel)."""
    rgb, target = sample.read_image().rgb, sample.read_target()
    if rgb.shape[:2] != target.size:
        raise DataError(f"image {sample.image_id!r} is {rgb.shape[:2]} and its labels {target.size} (H, W) px")
    return Scene(rgb, *targets_of(target, categories))


@dataclass(frozen=True, eq=False)
class Cells:
    """Targets of one image at the resolution that a loss looks at: `index` (P,) int64, the target of each
    cell or -1; `classes` (T,) int64; `boxes` (T, 4) float32, centre, width and height as fractions of the
    input, of the whole targets. Every target has cells."""

    index: NDArray[np.int64]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float32]


def pick_cells(
    index: NDArray[np.uint8],
    classes: NDArray[np.int64],
    cells: tuple[int, int],
    rng: np.random.Generator,
    least: int = 1,
) -> Cells:
    """One random pixel decides each of `cells` (rows, columns), so that a cell's mean over the steps is the
    share of the target in it. Targets of fewer than `least` cells are ignored."""
    rows = (np.arange(cells[0])[:, None] + rng.random(cells)) * (index.shape[0] / cells[0])
    columns = (np.arange(cells[1])[None] + rng.random(cells)) * (index.shape[1] / cells[1])
    chosen = index[rows.astype(np.int64), columns.astype(np.int64)].ravel()
    counts = np.bincount(chosen, minlength=IGNORED + 1)[: len(classes)]
    present = np.flatnonzero(counts >= least)
    table = np.full(IGNORED + 1, -1, dtype=np.int64)
    table[present] = np.arange(len(present))
    return Cells(table[chosen], classes[present], boxes_of(index)[present])


def boxes_of(index: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(255, 4) centre x, centre y, width, height of each number's pixels, as fractions; zeros where it has none."""
    boxes = np.zeros((IGNORED, 4), dtype=np.float32)
    low, high = _extents(index)
    there = np.flatnonzero(high[:, 0] >= low[:, 0])
    size = np.array([index.shape[1], index.shape[0]], dtype=np.float32)
    start, end = low[there] / size, (high[there] + 1) / size
    boxes[there] = np.concatenate([(start + end) / 2, end - start], axis=1)
    return boxes


def _extents(index: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(255, 2) the least and the greatest (x, y) of each number: by which numbers each row and column has."""
    height, width = index.shape
    rows = np.zeros((height, IGNORED + 1), dtype=bool)
    columns = np.zeros((width, IGNORED + 1), dtype=bool)
    rows[np.arange(height)[:, None], index] = True
    columns[np.arange(width)[None, :], index] = True
    there = rows[:, :IGNORED].any(axis=0, keepdims=True).T
    first = np.stack([columns.argmax(0), rows.argmax(0)], axis=1)[:IGNORED]
    last = np.stack([width - 1 - columns[::-1].argmax(0), height - 1 - rows[::-1].argmax(0)], axis=1)[:IGNORED]
    return np.where(there, first, 0), np.where(there, last, -1)
