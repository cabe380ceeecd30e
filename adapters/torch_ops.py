"""nms and roi_align in pure torch, for frameworks without compiled operators. Runs on Python 3.9.

Same definitions as in torchvision and mmcv: greedy suppression above the IoU threshold; RoIAlign of Mask R-CNN
(arXiv 1703.06870), where `aligned` shifts by half a pixel and a sampling ratio of 0 or less means ceil(bin size)
samples per bin.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Tensor = Any  # torch.Tensor; torch is imported where it is used


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Return the indices of kept boxes, best first, for (n, 4) corners and (n,) scores.

    `offset` 1 is the older convention in which a box includes its last pixel.
    """
    import torch

    order = scores.argsort(descending=True, stable=True)
    corners = boxes[order]
    size = corners[:, 2:] - corners[:, :2] + offset
    area = size.prod(1)
    low = torch.maximum(corners[:, None, :2], corners[None, :, :2])
    high = torch.minimum(corners[:, None, 2:], corners[None, :, 2:])
    shared = (high - low + offset).clamp_(min=0).prod(2)
    over = (shared / (area[:, None] + area[None] - shared) > iou_threshold).triu_(1).cpu().numpy()
    gone = np.zeros(len(order), dtype=bool)
    stays = []
    for i in range(len(order)):
        if not gone[i]:
            stays.append(i)
            gone |= over[i]
    return order[torch.tensor(stays, dtype=torch.long, device=order.device)]


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Apply `nms` within each group, by shifting the boxes of different groups apart."""
    if not boxes.numel():
        return groups.new_zeros(0)
    apart = groups.to(boxes) * (boxes.max() - boxes.min() + 1)
    return nms(boxes + apart[:, None], scores, iou_threshold)


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
    result = features.new_zeros((len(rois), features.shape[1], height, width))
    shift = 0.5 if aligned else 0.0
    corners = rois[:, 1:] * spatial_scale - shift
    size = corners[:, 2:] - corners[:, :2]
    bins = (size if aligned else size.clamp(min=1)) / size.new_tensor([width, height])
    samples = torch.full_like(bins, sampling_ratio) if sampling_ratio > 0 else bins.ceil()
    groups = torch.cat([rois[:, :1], samples], 1).long()
    for index, nx, ny in torch.unique(groups, dim=0).tolist():
        if nx > 0 and ny > 0:
            members = (groups == groups.new_tensor([index, nx, ny])).all(1).nonzero()[:, 0]
            xs = _positions(corners[members, 0], bins[members, 0], width, nx)
            ys = _positions(corners[members, 1], bins[members, 1], height, ny)
            sampled = _sampled(features[index], ys, xs)
            result[members] = torch.nn.functional.avg_pool2d(sampled, (ny, nx))
    return result


def _positions(start: Tensor, step: Tensor, bins: int, samples: int) -> Tensor:
    """Return (n, bins * samples) sample positions in feature pixels for (n,) starts and bin sizes."""
    import torch

    offsets = (torch.arange(bins * samples, dtype=start.dtype, device=start.device) + 0.5) / samples
    return start[:, None] + step[:, None] * offsets


def _sampled(feature: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Sample (C, H, W) at (n, h) × (n, w) → (n, C, h, w), bilinear; 0 for points more than a pixel outside."""
    import torch

    channels, height, width = feature.shape
    n, rows, columns = len(ys), ys.shape[1], xs.shape[1]
    outside = ((ys < -1) | (ys > height))[:, :, None] | ((xs < -1) | (xs > width))[:, None, :]
    y = ys.clamp(0, height - 1) * (2 / max(height - 1, 1)) - 1
    x = xs.clamp(0, width - 1) * (2 / max(width - 1, 1)) - 1
    grid = torch.stack([x[:, None].expand(n, rows, columns), y[:, :, None].expand(n, rows, columns)], -1)
    values = torch.nn.functional.grid_sample(
        feature[None], grid.reshape(1, n * rows, columns, 2), padding_mode="border", align_corners=True
    )
    maps = values.view(channels, n, rows, columns).transpose(0, 1)
    return maps.masked_fill(outside[:, None], 0)
