"""DETR's post-processing (arXiv 2005.12872, appendix): every pixel goes to the query with the highest logit."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.logits import ImageGeometry, SelectedQueries, argmax_first, at_once, resize


def detr_segments(
    kept: SelectedQueries, geometry: ImageGeometry, isthing: NDArray[np.bool_], min_area_px: int
) -> tuple[NDArray[np.int32], list[int]]:
    """Return (H, W) indices into the second result, and the selected queries that have a segment.

    As in the reference, a stuff class of several queries goes to its first query in the first round. The other queries
    then have no pixels and are dropped, and all pixels are assigned again among the rest. So stuff is not merged.
    Scores are not used, there is no void, and logits of a padded batch are stretched whole to the image. Every index is
    0 if no query is left.
    """
    alive = list(range(len(kept.labels)))
    winner = _winners(kept.masks, geometry)
    # Reversed, so that the first query of a class overwrites the later ones.
    first = {label: k for k, label in reversed(list(enumerate(kept.labels)))}
    own = [k if isthing[label] else first[label] for k, label in enumerate(kept.labels)]
    winner = torch.tensor(own, dtype=torch.int32, device=winner.device)[winner]
    # Dropping a small segment gives its pixels to others, so that the areas are counted again until all are large
    # enough.
    while alive:
        area = torch.bincount(winner.ravel(), minlength=len(alive)).tolist()
        if min(area) >= min_area_px:
            break
        alive = [k for position, k in enumerate(alive) if area[position] >= min_area_px]
        winner = _winners(kept.masks[alive], geometry)
    return winner.cpu().numpy(), alive


def _winners(masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """Return the (H, W) int32 index of the highest of (n, h, w) logits, the first on a tie; zeros for n = 0."""
    (height, width), (out_height, out_width) = geometry.image_size, geometry.target_size
    rows = torch.from_numpy(nearest(height, out_height)).to(masks.device)
    columns = torch.from_numpy(nearest(width, out_width)).to(masks.device)
    # DETR takes the argmax at the size of its input and resizes that by NEAREST: only the picked pixels matter.
    logits = (
        mask[rows[:, None], columns]
        for some in torch.split(masks, at_once(masks.device, 2 * height * width))
        for mask in resize(some, geometry.image_size)
    )
    return argmax_first(logits)[1] if len(masks) else torch.zeros(geometry.target_size, dtype=torch.int32)


def nearest(n_in: int, n_out: int) -> NDArray[np.intp]:
    """Return (n_out,) source indices of Pillow's NEAREST."""
    # Pillow adds the step again and again; its running sum can fall just short of an integer where a product does not.
    step = n_in / n_out
    steps = np.full(n_out, step)
    steps[0] = step * 0.5
    return np.cumsum(steps).astype(np.intp)
