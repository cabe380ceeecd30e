"""transformers' panoptic post-processing including its known defects, for tests and comparison."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.fusion.assignment import Assign, PixelAssignment, assign_pixels, fill_ids
from bench.fusion.logits import SelectedQueries, Size, resize
from bench.fusion.presets import FusionSpec


@dataclass(frozen=True)
class HfSegment:
    """Entry of transformers' `segments_info`; several may share an id."""

    id: int
    label_id: int
    was_fused: bool
    score: float  # rounded to 6 digits


@torch.no_grad()
def hf_segments(
    kept: SelectedQueries, target_size: Size, fuse: Collection[int], spec: FusionSpec, assign: Assign = assign_pixels
) -> tuple[Tensor, list[HfSegment]]:
    """Return the (H, W) int32 ids and the segments of `post_process_panoptic_segmentation` (transformers 5.23).

    Differences from the papers: probabilities are resized, through a fixed inner size for Mask2Former; padding is
    stretched with the image; masks are multiplied by scores before the area test; a pixel is not void if its winner is
    below the mask threshold; and after a class of `fuse`, numbering continues from the id of that class, so that ids
    collide. Ids are -1 everywhere if no query is selected (float32 in transformers).
    """
    if not kept.labels:
        return torch.full(target_size, -1, dtype=torch.int32), []
    inner = spec.inner_size or (kept.masks.shape[1], kept.masks.shape[2])
    masks = (resize(resize(mask, inner).sigmoid(), target_size) for mask in kept.masks)
    result = assign(masks, kept.scores, target_size, spec.mask_threshold, weigh_first=True)
    ids = np.zeros((len(kept.labels), 2), dtype=np.int32)
    segments: list[HfSegment] = []
    fused: dict[int, int] = {}  # label → id
    scores = kept.scores.tolist()
    current = 0
    for k, label in enumerate(kept.labels):
        if not _passes(result, k, spec.overlap_threshold):
            continue
        # The defect: numbering continues from the id of a fused class, so that a later thing takes an id that is in
        # use.
        current = fused.get(label, current + 1)
        ids[k] = current
        if label in fuse:
            fused[label] = current
        segments.append(HfSegment(current, label, label in fuse, round(scores[k], 6)))
    return torch.from_numpy(fill_ids(ids, result.code)), segments


def _passes(result: PixelAssignment, k: int, threshold: float) -> bool:
    won, extent = int(result.area[k].sum()), result.extent[k]
    # transformers divides two integer tensors, which gives float32; near the threshold float64 decides otherwise.
    return won > 0 and extent > 0 and float(np.float32(won) / np.float32(extent)) > threshold
