"""Semantic inference of query models, as in the papers."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.logits import (
    ImageGeometry,
    argmax_first,
    check_finite,
    check_shapes,
    class_probabilities,
    single_threaded,
    to_target,
)
from bench.types import Categories

# Queries of a matrix product: 8 maps in memory beside the C maps of the result.
_BLOCK = 8


def semantic(
    class_logits: Tensor, mask_logits: Tensor, geometry: ImageGeometry, categories: Categories
) -> NDArray[np.int32]:
    """Return (H, W) category ids: argmax over classes of Σ_q P(class | q) · P(mask q), without "no object".

    It equals `semantic_inference` of MaskFormer and Mask2Former on masks at the target size, as in their panoptic
    models.
    """
    check_shapes(class_logits, mask_logits, len(categories))
    with torch.no_grad(), single_threaded():
        weights = class_probabilities(class_logits)[:, :-1].T  # (C, Q)
        check_finite(mask_logits, "mask")
        height, width = geometry.target_size
        total = torch.zeros(len(categories), height * width)
        for start in range(0, len(mask_logits), _BLOCK):
            masks = mask_logits[start : start + _BLOCK].to("cpu", torch.float32)
            block = torch.stack([to_target(mask, geometry).sigmoid().view(-1) for mask in masks])
            # Blocks of a fixed size add in a fixed order, so that the sum does not depend on the machine's memory.
            total.addmm_(weights[:, start : start + _BLOCK], block)
        return category_ids(argmax_first(total)[1], categories).reshape(height, width)


def category_ids(index: Tensor, categories: Categories) -> NDArray[np.int32]:
    """Map category indices of any shape to int32 category ids."""
    ids = torch.tensor(categories.ids, dtype=torch.int32)
    return ids.index_select(0, index.reshape(-1)).view(index.shape).numpy()
