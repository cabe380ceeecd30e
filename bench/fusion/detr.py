"""DETR's post-processing (arXiv 2005.12872, appendix): every pixel goes to the query with the highest logit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.logits import ImageGeometry, SelectedQueries, resize


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
    winner = np.array([k if isthing[v] else first[v] for k, v in enumerate(kept.labels)], np.int32)[winner]
    # Dropping a small segment gives its pixels to others, so that the areas are counted again until all are large
    # enough.
    while alive:
        area = np.bincount(winner.ravel(), minlength=len(alive))
        if area.min() >= min_area_px:
            break
        alive = [k for position, k in enumerate(alive) if area[position] >= min_area_px]
        winner = _winners(kept.masks[alive], geometry)
    return winner, alive


def _winners(masks: Tensor, geometry: ImageGeometry) -> NDArray[np.int32]:
    """Return the (H, W) index of the highest of (n, h, w) logits, the first on a tie; zeros for n = 0."""
    rows = nearest(geometry.image_size[0], geometry.target_size[0])
    columns = nearest(geometry.image_size[1], geometry.target_size[1])
    winner = np.zeros(geometry.target_size, dtype=np.int32)
    best: NDArray[np.float32] | None = None
    for k, mask in enumerate(masks):
        # DETR takes the argmax at the size of its input and resizes that by NEAREST: only the picked pixels matter.
        logit = resize(mask, geometry.image_size).numpy()[rows[:, None], columns]
        if best is None:
            best = logit
            continue
        winner[logit > best] = k
        np.maximum(best, logit, out=best)
    return winner


def nearest(n_in: int, n_out: int) -> NDArray[np.intp]:
    """Return (n_out,) source indices of Pillow's NEAREST."""
    # Pillow adds the step again and again; its running sum can fall just short of an integer where a product does not.
    step = n_in / n_out
    steps = np.full(n_out, step)
    steps[0] = step * 0.5
    return np.cumsum(steps).astype(np.intp)
