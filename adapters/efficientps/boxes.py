"""Anchors, and box offsets. A box is x0 y0 x1 y1 in pixels of the network input, with continuous coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# As in Detectron: without a limit exp() of an untrained offset overflows.
_LARGEST = math.log(1000 / 16)


def anchors(sizes: Sequence[tuple[int, int]], strides: Sequence[int], scale: float, ratios: Sequence[float]) -> Tensor:
    """Return (n, 4) anchors: level by level, row by row, one per height-to-width ratio. `sizes` are (h, w) cells."""
    levels = []
    for (height, width), stride in zip(sizes, strides, strict=True):
        side = scale * stride
        halves = torch.tensor([(side / math.sqrt(r) / 2, side * math.sqrt(r) / 2) for r in ratios])
        y, x = (torch.arange(n, dtype=torch.float32).add_(0.5).mul_(stride) for n in (height, width))
        centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[:, :, None]  # (h, w, 1, 2)
        levels.append(torch.cat([centres - halves, centres + halves], -1).reshape(-1, 4))
    return torch.cat(levels)


def encode(boxes: Tensor, origins: Tensor, stds: Sequence[float]) -> Tensor:
    """Return (n, 4) offsets of boxes from `origins`: center shift / side and log of side ratio, divided by `stds`."""
    sides = (origins[:, 2:] - origins[:, :2]).clamp(min=1e-3)
    wanted = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3)
    shift = (boxes[:, :2] + boxes[:, 2:] - origins[:, :2] - origins[:, 2:]) / (2 * sides)
    return torch.cat([shift, (wanted / sides).log()], 1) / boxes.new_tensor(stds)


def decode(offsets: Tensor, origins: Tensor, stds: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Return the boxes of offsets, clipped to an image of (h, w) pixels; the inverse of `encode`."""
    offsets = offsets.float() * offsets.new_tensor(stds, dtype=torch.float32)
    sides = (origins[:, 2:] - origins[:, :2]).clamp(min=1e-3)
    centres = (origins[:, :2] + origins[:, 2:]) / 2 + offsets[:, :2] * sides
    halves = sides * offsets[:, 2:].clamp(max=_LARGEST).exp() / 2
    low, high = centres - halves, centres + halves
    limit = offsets.new_tensor([size[1], size[0]])
    return torch.cat([low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)], 1)
