"""Region of interest heads: class, box and mask of each proposal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from bench.adapters.efficientps.boxes import decode
from bench.adapters.efficientps.config import BoxConfig, MaskConfig
from bench.adapters.efficientps.layers import Separable
from bench.adapters.efficientps.ops import grouped_nms, roi_align

STRIDES = (4, 8, 16, 32)


def pooled(features: Sequence[Tensor], boxes: Sequence[Tensor], cells: int, sampling: int, finest_px: float) -> Tensor:
    """Pool (k, 4) boxes of each image from the pyramid → (n, C, cells, cells), image by image.

    Each box is pooled from the level that fits its size.
    """
    numbered = [torch.cat([b.new_full((len(b), 1), float(i)), b], 1) for i, b in enumerate(boxes)]
    # Reduced precision has too few digits for coordinates.
    rois = torch.cat(numbered).float()
    sides = (rois[:, 3:] - rois[:, 1:3]).clamp(min=0).prod(1).sqrt()
    # Feature Pyramid Networks (arXiv 1612.03144, equation 1): a box twice as large is pooled one level up.
    level = (sides / finest_px + 1e-6).log2().floor().clamp(0, len(features) - 1)
    parts, places = [], []
    for i, (x, stride) in enumerate(zip(features, STRIDES, strict=True)):
        here = (level == i).nonzero()[:, 0]
        if len(here):
            parts.append(roi_align(x.float(), rois[here], cells, 1 / stride, sampling))
            places.append(here)
    if not parts:
        return rois.new_zeros(0, features[0].shape[1], cells, cells)
    # Back from the order of levels to that of the boxes.
    return torch.cat(parts)[torch.cat(places).argsort()]


class BoxHead(nn.Module):
    """(n, C, cells, cells) → (n, 1 + things) class logits, background first, and (n, things, 4) box offsets."""

    def __init__(self, inputs: int, things: int, config: BoxConfig) -> None:
        super().__init__()
        flat = inputs * config.cells**2
        self.shared_fcs = nn.ModuleList([nn.Linear(flat, config.width), nn.Linear(config.width, config.width)])
        self.fc_cls = nn.Linear(config.width, 1 + things)
        self.fc_reg = nn.Linear(config.width, 4 * things)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.flatten(1)
        for layer in self.shared_fcs:
            x = relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x).view(len(x), -1, 4)


class MaskHead(nn.Module):
    """(n, C, cells, cells) → (n, things, 2 · cells, 2 · cells) mask logits."""

    def __init__(self, inputs: int, things: int, config: MaskConfig) -> None:
        super().__init__()
        widths = [inputs] + [config.width] * config.depth
        self.convs = nn.Sequential(*(Separable(a, b) for a, b in pairwise(widths)))
        self.upsample = nn.ConvTranspose2d(widths[-1], config.width, 2, 2)
        self.conv_logits = nn.Conv2d(config.width, things, 1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.conv_logits(relu(self.upsample(self.convs(x))))
        return logits


def detections(
    class_logits: Tensor, offsets: Tensor, proposals: Tensor, size: tuple[int, int], config: BoxConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the detections of one image of (h, w) pixels: (k,) scores, best first, (k,) int64 things, (k, 4) boxes.

    A proposal may give several detections of different classes.
    """
    scores = class_logits.float().softmax(1)[:, 1:]
    proposal, thing = (scores > config.score_threshold).nonzero(as_tuple=True)
    found = scores[proposal, thing]
    boxes = decode(offsets[proposal, thing], proposals[proposal], config.stds, size)
    kept = grouped_nms(boxes, found, thing, config.nms_iou)[: config.limit]
    return found[kept], thing[kept], boxes[kept]
