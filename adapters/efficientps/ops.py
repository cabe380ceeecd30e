"""Non-maximum suppression and RoIAlign from torchvision if it works, else the same in pure torch.

torchvision must match the version of torch; otherwise its import raises RuntimeError. Install the matching pair to
use its faster operators.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample


def _torchvision_ops() -> ModuleType | None:
    try:
        import torchvision.ops

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError):
        return None
    ops: ModuleType = torchvision.ops
    return ops


TORCHVISION: Any = _torchvision_ops()


def nms(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Return the (k,) int64 indices of kept boxes, best first, for (n, 4) x0 y0 x1 y1 and (n,) scores.

    Greedy: a box is dropped if its IoU with a better kept one exceeds `iou`.
    """
    if TORCHVISION is not None:
        kept: Tensor = TORCHVISION.nms(boxes, scores, iou)
        return kept
    return plain_nms(boxes, scores, iou)


def plain_nms(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    order = scores.argsort(descending=True, stable=True)
    kept = greedy((pair_iou(boxes[order], boxes[order]) > iou).cpu().numpy())
    return order[torch.from_numpy(kept).to(order.device)]


def greedy(overlaps: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices of kept boxes, given (n, n) bool overlaps sorted best first."""
    dead, kept = np.zeros(len(overlaps), dtype=bool), []
    for i, row in enumerate(overlaps):
        if not dead[i]:
            kept.append(i)
            dead |= row
    return np.array(kept, dtype=np.int64)


def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Apply `nms` within each of `groups` (n,), by shifting the boxes of different groups apart."""
    if not len(boxes):
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    apart = groups.to(boxes.dtype) * (boxes.max() - boxes.min() + 1)
    return nms(boxes + apart[:, None], scores, iou)


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the (n, m) intersection over union of (n, 4) and (m, 4) boxes; 0 if both boxes are empty."""
    inner = _overlap(a, b, 0) * _overlap(a, b, 1)
    areas = (a[:, 2:] - a[:, :2]).prod(-1)[:, None] + (b[:, 2:] - b[:, :2]).prod(-1)[None]
    return inner / (areas - inner).clamp_(min=1e-9)


def _overlap(a: Tensor, b: Tensor, axis: int) -> Tensor:
    low = torch.maximum(a[:, axis, None].contiguous(), b[None, :, axis].contiguous())
    high = torch.minimum(a[:, axis + 2, None].contiguous(), b[None, :, axis + 2].contiguous())
    return high.sub_(low).clamp_(min=0)


def roi_align(x: Tensor, rois: Tensor, cells: int, scale: float, sampling: int) -> Tensor:
    """Return (n, C, cells, cells) of (B, C, H, W) features in (n, 5) regions: batch index and box in pixels.

    `scale` is feature cells per pixel; each bin is the mean of `sampling`² points, with half-pixel centers.
    """
    if TORCHVISION is not None:
        pooled: Tensor = TORCHVISION.roi_align(x, rois, (cells, cells), scale, sampling, aligned=True)
        return pooled
    return plain_roi_align(x, rois, cells, scale, sampling)


def plain_roi_align(x: Tensor, rois: Tensor, cells: int, scale: float, sampling: int) -> Tensor:
    pooled = x.new_zeros(len(rois), x.shape[1], cells, cells)
    numbers = rois[:, 0].long()
    images = torch.split(x, 1)  # not by index: the gradient of that is a whole batch of zeros each time
    parts, places = [], []
    for b in sorted(set(numbers.tolist())):
        here = (numbers == b).nonzero()[:, 0]
        parts.append(_sample(images[b], rois[here, 1:] * scale - 0.5, cells, sampling))
        places.append(here)
    if not parts:
        return pooled + 0 * x.sum()
    return torch.cat(parts)[torch.cat(places).argsort()]


def _sample(x: Tensor, boxes: Tensor, cells: int, sampling: int) -> Tensor:
    """Sample (1, C, H, W) in (n, 4) boxes in feature coordinates → (n, C, cells, cells), by one `grid_sample`."""
    height, width = x.shape[-2:]
    points = cells * sampling
    steps = (torch.arange(points, dtype=x.dtype, device=x.device) + 0.5) / points
    boxes = boxes.to(x.dtype)
    columns = boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps
    rows = boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps
    grid = torch.stack(
        [
            _normalised(columns, int(width))[:, None, :].expand(-1, points, -1),
            _normalised(rows, int(height))[:, :, None].expand(-1, -1, points),
        ],
        -1,
    )
    flat = grid.reshape(1, len(boxes) * points, points, 2)
    values = grid_sample(x, flat, padding_mode="border", align_corners=True)
    values = values.view(x.shape[1], len(boxes), points, points).transpose(0, 1)
    away = _away(rows, int(height))[:, :, None] | _away(columns, int(width))[:, None, :]
    if bool(away.any()):
        values = values * ~away[:, None]
    return avg_pool2d(values, sampling) if sampling > 1 else values


def _normalised(position: Tensor, n: int) -> Tensor:
    return position.clamp(0, n - 1) * (2 / max(n - 1, 1)) - 1


def _away(position: Tensor, n: int) -> Tensor:
    return (position < -1) | (position > n)
