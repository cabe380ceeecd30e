"""nms and roi_align in pure torch, for frameworks without compiled operators.

Same definitions as in torchvision and mmcv: greedy suppression above the IoU threshold; RoIAlign of Mask R-CNN
(arXiv 1703.06870), where `aligned` shifts by half a pixel and a sampling ratio of 0 or less means ceil(bin size)
samples per bin.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Tensor = Any  # torch.Tensor; torch is imported where it is used


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Return the indices of kept boxes, best first, for (n, 4) corners and (n,) scores.

    `offset` 1 is the older convention in which a box includes its last pixel.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    over = (pair_iou(boxes[order], boxes[order], offset) > iou_threshold).cpu().numpy()
    gone, stays = np.zeros(len(order), dtype=bool), []
    for i, row in enumerate(over):
        if not gone[i]:
            stays.append(i)
            gone |= row
    return order[torch.tensor(stays, dtype=torch.long, device=order.device)]


def pair_iou(a: Tensor, b: Tensor, offset: int = 0) -> Tensor:
    """Return the (n, m) intersection over union of (n, 4) and (m, 4) boxes; 0 if both boxes are empty."""
    inner = _shared(a, b, 0, offset) * _shared(a, b, 1, offset)
    areas = (a[:, 2:] - a[:, :2] + offset).prod(-1)[:, None] + (b[:, 2:] - b[:, :2] + offset).prod(-1)[None]
    return inner / (areas - inner).clamp_(min=1e-9)


def _shared(a: Tensor, b: Tensor, axis: int, offset: int) -> Tensor:
    import torch

    low = torch.maximum(a[:, axis, None], b[None, :, axis])
    high = torch.minimum(a[:, axis + 2, None], b[None, :, axis + 2])
    return high.sub_(low).add_(offset).clamp_(min=0)


def batched_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float, suppress: Callable[..., Tensor] = nms
) -> Tensor:
    """Apply `suppress` within each of `groups` (n,), by shifting the boxes of different groups apart."""
    if not len(boxes):
        return groups.new_zeros(0)
    apart = groups.to(boxes) * (boxes.max() - boxes.min() + 1)
    return suppress(boxes + apart[:, None], scores, iou_threshold)


def roi_align(
    features: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Return (n, C, h, w) sample means of (B, C, H, W) features in (n, 5) regions: batch index, corners in pixels."""
    import torch

    height, width = output_size
    corners = rois[:, 1:] * spatial_scale - (0.5 if aligned else 0.0)
    low, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
    size = size if aligned else size.clamp(min=1)
    bins = size / size.new_tensor([width, height])
    samples = torch.full_like(bins, sampling_ratio) if sampling_ratio > 0 else bins.ceil()
    groups = torch.cat([rois[:, :1], samples], 1).long()
    images = torch.split(features, 1)  # not by index: the gradient of that is a whole batch of zeros each time
    parts, places = [], []
    for index, nx, ny in torch.unique(groups, dim=0).tolist():
        members = (groups == groups.new_tensor([index, nx, ny])).all(1).nonzero()[:, 0]
        places.append(members)
        if nx > 0 and ny > 0:
            xs = _positions(low[members, 0], size[members, 0], width * nx)
            ys = _positions(low[members, 1], size[members, 1], height * ny)
            values = _sampled(images[index], ys, xs)
            parts.append(torch.nn.functional.avg_pool2d(values, (ny, nx)) if nx * ny > 1 else values)
        else:
            parts.append(features.new_zeros(len(members), features.shape[1], height, width))
    if not parts:  # the sum keeps the gradient of a step without regions
        return features.new_zeros(0, features.shape[1], height, width) + 0 * features.sum()
    return torch.cat(parts)[torch.cat(places).argsort()]


def _positions(start: Tensor, size: Tensor, points: int) -> Tensor:
    """Return (n, points) sample positions in feature cells for (n,) starts and sizes."""
    import torch

    steps = (torch.arange(points, dtype=start.dtype, device=start.device) + 0.5) / points
    return start[:, None] + size[:, None] * steps


def _sampled(feature: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Sample (1, C, H, W) at (n, h) × (n, w) → (n, C, h, w), bilinear; 0 for points more than a pixel outside."""
    import torch

    channels, height, width = feature.shape[1:]
    n, rows, columns = len(ys), ys.shape[1], xs.shape[1]
    y, x = _normalized(ys, height), _normalized(xs, width)
    grid = torch.stack([x[:, None].expand(n, rows, columns), y[:, :, None].expand(n, rows, columns)], -1)
    values = torch.nn.functional.grid_sample(
        feature, grid.reshape(1, n * rows, columns, 2), padding_mode="border", align_corners=True
    )
    maps = values.view(channels, n, rows, columns).transpose(0, 1)
    outside = _outside(ys, height)[:, :, None] | _outside(xs, width)[:, None, :]
    return maps.masked_fill(outside[:, None], 0) if bool(outside.any()) else maps


def _normalized(position: Tensor, n: int) -> Tensor:
    return position.clamp(0, n - 1) * (2 / max(n - 1, 1)) - 1


def _outside(position: Tensor, n: int) -> Tensor:
    return (position < -1) | (position > n)
