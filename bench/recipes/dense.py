"""An auxiliary head of training: it asks of the mask features what every cell shows. It is not saved.

The queries of a small network learn late, since little reaches them before they have settled on places; a term
for every cell teaches the features below them from the first step on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate

from bench.recipes.batches import Target
from bench.recipes.specs import DenseSpec


class DenseHead(nn.Module):
    """A 1×1 convolution from `width` features to the classes, and to one more map: is this cell at a border?"""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, classes + 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.project(features)
        return logits


def dense_loss(logits: Tensor, targets: Sequence[Target], grid: tuple[int, int], spec: DenseSpec) -> dict[str, Tensor]:
    """Weighted terms of `logits` (B, C + 1, h, w) against the cells, which are a `grid` (rows, columns).

    Features coarser than the cells are enlarged. Void counts for nothing, and borders with it are none.
    """
    if logits.shape[-2:] != grid:
        logits = interpolate(logits, grid, mode="bilinear", align_corners=False)
    logits = logits.float()
    index = torch.stack([t.index for t in targets]).view(-1, *grid)
    wanted = torch.stack([_classes(t) for t in targets]).view(-1, *grid)
    count = (wanted >= 0).sum().clamp_min(1)
    semantic = cross_entropy(logits[:, :-1], wanted, ignore_index=-1, reduction="sum") / count
    terms = {"semantic": spec.semantic_weight * semantic}
    if spec.boundary_weight:
        each = binary_cross_entropy_with_logits(logits[:, -1], borders(index).float(), reduction="none")
        terms["boundary"] = spec.boundary_weight * (each * (index >= 0)).sum() / count
    return terms


def _classes(target: Target) -> Tensor:
    """(P,) the class of each cell, or -1."""
    last = torch.full((1,), -1, dtype=torch.int64, device=target.index.device)
    return torch.cat([target.classes, last])[target.index]


def borders(index: Tensor) -> Tensor:
    """(B, h, w) bool: a neighbour to the right, left, above or below belongs to another target."""
    at = torch.zeros_like(index, dtype=torch.bool)
    for axis in (1, 2):
        size = index.shape[axis] - 1
        here, there = index.narrow(axis, 0, size), index.narrow(axis, 1, size)
        differ = (here != there) & (here >= 0) & (there >= 0)
        at.narrow(axis, 0, size).logical_or_(differ)
        at.narrow(axis, 1, size).logical_or_(differ)
    return at
