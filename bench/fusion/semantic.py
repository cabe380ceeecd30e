"""Semantic inference of query models, as in the papers: argmax over classes of Σ_q P(class | q) · P(mask q).

"No object" takes no part. The plain rule equals `semantic_inference` of MaskFormer and Mask2Former on masks at the
target size, as in their panoptic models; by tiles the result is the same.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.logits import (
    ImageGeometry,
    argmax_first,
    at_once,
    check_finite,
    check_shapes,
    class_probabilities,
    probabilities,
    single_threaded,
)
from bench.fusion.pixels import MOST_EXACT, probabilities_at
from bench.fusion.tiles import ROUNDING, MaskTiles
from bench.types import Categories

# Queries of a matrix product: 8 maps in memory beside the C maps of the result. Blocks of a fixed size add in a fixed
# order, so that the sum does not depend on the machine's memory.
_BLOCK = 8
_LEFT_OUT = 1e-4  # of the leading class's score in a tile: a query that can change less is a constant there
_TINY = 1e-30  # far above the least float32, where errors are no longer relative
_COLUMNS = 64  # of a matrix product, at least


def semantic(
    class_logits: Tensor, mask_logits: Tensor, geometry: ImageGeometry, categories: Categories
) -> NDArray[np.int32]:
    """Return the (H, W) category ids of (Q, C + 1) class and (Q, h, w) mask logits, computed on the CPU."""
    check_shapes(class_logits, mask_logits, len(categories))
    with torch.no_grad(), single_threaded():
        known = class_probabilities(class_logits.cpu())
        check_finite(mask_logits, "mask")
        return category_ids(
            tiled_semantic(known, MaskTiles(mask_logits.to("cpu", torch.float32), geometry))[0], categories
        )


def plain_semantic(known: Tensor, masks: Tensor, geometry: ImageGeometry) -> Tensor:
    """Return the (H, W) int32 class indices of (Q, C + 1) class probabilities and (Q, h, w) mask logits.

    All classes are added up at once on the CPU, elsewhere as many as the free memory holds.
    """
    height, width = geometry.target_size
    weights = known[:, :-1].T
    blocks = torch.split(weights, _classes_at_once(masks.device, len(weights), height * width))
    scores = (_scores(some, probabilities(masks, geometry), height * width) for some in blocks)
    return argmax_first(row for some in scores for row in some)[1].view(height, width)


def _classes_at_once(device: torch.device, classes: int, pixels: int) -> int:
    return classes if device.type == "cpu" else at_once(device, pixels)


def _scores(weights: Tensor, masks: Iterable[Tensor], pixels: int) -> Tensor:
    """Return (C, pixels): the sum of (C, Q) class times mask probabilities over the queries, in their order."""
    total = torch.zeros(len(weights), pixels, device=weights.device)
    source = (mask.reshape(-1) for mask in masks)
    for columns in torch.split(weights, _BLOCK, 1):
        total.addmm_(columns, torch.stack(list(islice(source, columns.shape[1]))))
    return total


def tiled_semantic(known: Tensor, tiles: MaskTiles) -> tuple[Tensor, float]:
    """Return the result of `plain_semantic` and the share of pixels that were computed by its own sums.

    In a tile, the score of a class lies between its sums over the least and the greatest mask probabilities. A class
    that leads all others over their whole range has the tile. Elsewhere the classes that may win are compared pixel by
    pixel, with a constant for queries that hardly change in the tile. Pixels where the two best are closer than what
    that leaves out, and rounding, are computed by the plain rule, so that ties and rounding fall as in it.
    """
    weights = known[:, :-1].T.contiguous()  # (C, Q)
    low, high = tiles.low.sigmoid(), tiles.high.sigmoid()
    middle, half = (high + low) / 2, (high - low) / 2
    rounding = 2 * (tiles.error + 4 * len(middle) * ROUNDING)  # of the difference of two scores, relative to the higher
    score = weights @ middle
    best, leader = score.max(0)
    may_win = _may_win(weights, middle, half, leader, rounding)
    changes = half * known[:, :-1].amax(1)[:, None]  # at most, of a difference of two scores
    kept = changes > _LEFT_OUT * best
    left_out, slope = (changes.masked_fill(kept, 0).sum(0) + _TINY).tolist(), rounding.tolist()
    constant = weights @ middle.masked_fill(kept, 0)
    result = tiles.paint(leader.to(torch.int32))
    unsure = torch.zeros(result.shape, dtype=torch.bool)
    count_and_index = torch.stack([torch.ones(len(weights)), torch.arange(len(weights))])
    for tile in (may_win.sum(0) > 1).nonzero()[:, 0].tolist():
        queries, classes = kept[:, tile].nonzero()[:, 0], may_win[:, tile].nonzero()[:, 0]
        parts = weights[classes[:, None], queries]
        scores = torch.addmm(constant[classes, tile, None], parts, tiles.probabilities(tile, queries))
        first = scores.amax(0)
        near = scores >= first - (first * slope[tile] + left_out[tile])
        count, index = count_and_index[:, classes] @ near.float()
        window = tiles.window(tile)
        result[window] = index.view(result[window].shape)
        unsure[window] = (count > 1).view(result[window].shape)
    places = unsure.nonzero().T
    exact = places.shape[1] / result.numel()
    if exact > MOST_EXACT:
        return plain_semantic(known, tiles.masks, tiles.geometry), 1.0
    if exact:
        # a product with few columns adds up in another order
        some = places.repeat(1, -(-_COLUMNS // places.shape[1]))
        single = probabilities_at(tiles.masks, tiles.geometry, *some)
        result[tuple(some)] = argmax_first(_scores(known[:, :-1].T, single, some.shape[1]))[1]
    return result, exact


def _may_win(weights: Tensor, middle: Tensor, half: Tensor, leader: Tensor, rounding: Tensor) -> Tensor:
    """Return (C, T) bool: the leader of each tile, and the classes that it does not lead over their whole range."""
    result = torch.empty(len(weights), len(leader), dtype=torch.bool)
    for k in set(leader.tolist()):
        mine = (leader == k).nonzero()[:, 0]
        ahead = weights[k] - weights
        least = ahead @ middle[:, mine] - ahead.abs() @ half[:, mine]
        result[:, mine] = least <= rounding[mine] * (weights[k] @ (middle + half)[:, mine]) + _TINY
    return result


def category_ids(index: Tensor, categories: Categories) -> NDArray[np.int32]:
    """Map category indices of any shape to int32 category ids."""
    ids = torch.tensor(categories.ids, dtype=torch.int32, device=index.device)
    return ids.index_select(0, index.reshape(-1)).view(index.shape).cpu().numpy()
