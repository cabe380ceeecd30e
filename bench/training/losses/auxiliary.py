"""Auxiliary dense head on the mask features: class and target centroid of every cell. It is not saved."""

# The queries of a small network learn late, since they get small gradients until each has settled on a position; a loss
# for every cell trains the features from the first step on.

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, smooth_l1_loss

from bench.training.data.batches import Target
from bench.training.recipe import DenseSpec

# Wavelengths of the position code, as fractions of the image's width: the longest is unique over it, the others are
# finer.
WAVES = (2.0, 0.5, 0.25, 0.125)
CODE = 4 * len(WAVES)  # sine and cosine, of x and y


class DenseHead(nn.Module):
    """1×1 convolution from `width` features to class logits and the code of a position."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, classes + CODE, 1)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.project(features)
        return logits


def dense_loss(dense: Tensor, targets: Sequence[Target], grid: tuple[int, int], spec: DenseSpec) -> dict[str, Tensor]:
    """Return the weighted terms of `dense` (B, C + CODE, h, w), averaged over images.

    `grid` is (rows, columns) of the targets' cells; coarser features are upsampled. Ignored cells do not count.
    """
    if dense.shape[-2:] != grid:
        dense = interpolate(dense, grid, mode="bilinear", align_corners=False)
    terms: dict[str, list[Tensor]] = {"semantic": [], "centre": []}
    for flat, target in zip(dense.float().flatten(2), targets, strict=True):
        cells = (target.index >= 0).nonzero()[:, 0]
        if len(cells):
            here = flat[:, cells].T
            terms["semantic"].append(spec.semantic_weight * _semantic(here[:, :-CODE], target, cells, spec))
            terms["centre"].append(spec.centre_weight * _centre(here[:, -CODE:], target, cells, grid[1]))
        else:
            for values in terms.values():
                values.append(flat.sum() * 0)
    return {
        name: torch.stack(values).mean() for name, values in terms.items() if name == "semantic" or spec.centre_weight
    }


def _semantic(logits: Tensor, target: Target, cells: Tensor, spec: DenseSpec) -> Tensor:
    """Return the mean cross entropy of (N, C) logits plus the mean over the hardest `hard_share` of the cells."""
    each = cross_entropy(logits, target.classes[target.index[cells]], reduction="none")
    hardest = each.topk(max(1, int(len(each) * spec.hard_share)), sorted=False).values
    return each.mean() + hardest.mean()


def _centre(code: Tensor, target: Target, cells: Tensor, columns: int) -> Tensor:
    """Return smooth L1 between (N, CODE) codes of cells and the codes of their targets' centroids.

    A cell has weight 1 / sqrt(area of its target).
    """
    of = target.index[cells]
    count = torch.bincount(of, minlength=len(target.classes)).clamp_min(1).float()
    # Between equal weight for cells, where stuff would drown things, and equal weight for targets.
    weight = (1 / count.sqrt())[of]
    wanted = code_of(centroids(target, cells, count, columns))[of]
    error = smooth_l1_loss(code, wanted, reduction="none", beta=0.5).mean(1)
    return (error * weight).sum() / weight.sum()


def centroids(target: Target, cells: Tensor, count: Tensor, columns: int) -> Tensor:
    """Return (T, 2) mean x and y of each target's cells as fractions of the width; `count` (T,) is their number."""
    of, number = target.index[cells], len(target.classes)
    places = (cells % columns / columns, cells.div(columns, rounding_mode="floor") / columns)
    return torch.stack([torch.zeros(number, device=of.device).index_add_(0, of, p) / count for p in places], 1)


def code_of(places: Tensor) -> Tensor:
    """Return (T, CODE) sines and cosines of (T, 2) positions."""
    phase = torch.cat([places * (2 * math.pi / wave) for wave in WAVES], 1)
    return torch.cat([phase.sin(), phase.cos()], 1)
