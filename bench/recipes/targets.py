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
    """`index` and `classes` of a Scene; void and crowd pixels belong to no target."""
    kept = [i for i, segment in enumerate(panoptic.segments_info) if not segment.iscrowd]
    if len(kept) >= IGNORED:
        raise DataError(f"{len(kept)} segments in one image; training takes at most {IGNORED - 1}")
    table = np.full(len(panoptic.segments_info) + 1, IGNORED, dtype=np.uint8)
    table[np.array(kept, dtype=np.int64) + 1] = np.arange(len(kept))
    classes = [categories.index_of[panoptic.segments_info[i].category_id] for i in kept]
    return table[panoptic.id_map], np.array(classes, dtype=np.int64)


def read_scene(sample: Sample, categories: Categories) -> Scene:
    """A sample, read whole into memory (4 bytes a pixel)."""
    return Scene(sample.read_image().rgb, *targets_of(sample.read_target(), categories))


@dataclass(frozen=True, eq=False)
class Cells:
    """Targets of one image at the resolution of the mask logits: `index` (P,) int64, the target of each
    cell or -1; `classes` (T,) int64. Every target has cells."""

    index: NDArray[np.int64]
    classes: NDArray[np.int64]


def pick_cells(
    index: NDArray[np.uint8], classes: NDArray[np.int64], cell_px: int, rng: np.random.Generator, least: int = 1
) -> Cells:
    """One random pixel decides each cell of `cell_px`² pixels, so that a cell's mean over the steps is the
    share of the target in it. Targets of fewer than `least` cells are ignored."""
    height, width = index.shape[0] // cell_px, index.shape[1] // cell_px
    blocks = index.reshape(height, cell_px, width, cell_px).swapaxes(1, 2).reshape(height * width, -1)
    chosen = blocks[np.arange(len(blocks)), rng.integers(0, cell_px * cell_px, len(blocks))]
    counts = np.bincount(chosen, minlength=IGNORED + 1)[: len(classes)]
    present = np.flatnonzero(counts >= least)
    table = np.full(IGNORED + 1, -1, dtype=np.int64)
    table[present] = np.arange(len(present))
    return Cells(table[chosen], classes[present])
