"""Non-maximum suppression and RoIAlign from torchvision if it works, else the same in pure torch."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.adapters import torch_ops


def _torchvision_ops() -> ModuleType | None:
    # A torchvision built for another version of torch imports, and raises RuntimeError when it is called.
    try:
        import torchvision.ops

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError, AttributeError):
        return None
    ops: ModuleType = torchvision.ops
    return ops


OPS: Any = _torchvision_ops() or torch_ops


def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Return the (k,) int64 indices of kept boxes, best first; boxes of different `groups` (n,) do not meet."""
    kept: Tensor = torch_ops.batched_nms(boxes, scores, groups, iou, OPS.nms)
    return kept


def roi_align(x: Tensor, rois: Tensor, cells: int, scale: float, sampling: int) -> Tensor:
    """Return (n, C, cells, cells) of (B, C, H, W) features in (n, 5) regions: batch index and box in pixels.

    `scale` is feature cells per pixel; each bin is the mean of `sampling`² points, with half-pixel centers.
    """
    pooled: Tensor = OPS.roi_align(x, rois, (cells, cells), scale, sampling, True)
    return pooled
