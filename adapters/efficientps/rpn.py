"""Region proposal network on all levels of the pyramid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from bench.adapters.efficientps.boxes import decode
from bench.adapters.efficientps.config import RpnConfig
from bench.adapters.efficientps.ops import grouped_nms

UNSCALED = (1.0, 1.0, 1.0, 1.0)


class Rpn(nn.Module):
    """Objectness and box offsets of every anchor, with weights shared between levels."""

    # Without normalization, since batch statistics differ between the levels that share the weights.

    def __init__(self, inputs: int, config: RpnConfig) -> None:
        super().__init__()
        width, count = config.width, len(config.ratios)
        self.rpn_conv: nn.Module = nn.Conv2d(inputs, width, 3, padding=1)
        if config.separable:
            depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
            self.rpn_conv = nn.Sequential(depthwise, nn.Conv2d(inputs, width, 1))
        self.rpn_cls = nn.Conv2d(width, count, 1)
        self.rpn_reg = nn.Conv2d(width, 4 * count, 1)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        """Return (B, n) logits and (B, n, 4) offsets in anchor order, and the number of anchors per level."""
        logits, offsets = [], []
        for x in features:
            y = relu(self.rpn_conv(x), inplace=True)
            logits.append(self.rpn_cls(y).permute(0, 2, 3, 1).flatten(1))
            offsets.append(self.rpn_reg(y).permute(0, 2, 3, 1).reshape(len(x), -1, 4))
        return torch.cat(logits, 1), torch.cat(offsets, 1), tuple(level.shape[1] for level in logits)


@torch.no_grad()
def propose(
    logits: Tensor, offsets: Tensor, anchors: Tensor, levels: Sequence[int],
    size: tuple[int, int], config: RpnConfig, *, training: bool,
) -> Tensor:  # fmt: skip
    """Return (k, 4) proposals, best first, from (n,) logits and (n, 4) offsets of one image of (h, w) pixels."""
    candidates = config.training_candidates if training else config.candidates
    limit = config.training_proposals if training else config.proposals
    chosen, level, start = [], [], 0
    for i, n in enumerate(levels):
        best = logits[start : start + n].topk(min(candidates, n)).indices
        chosen.append(best + start)
        level.append(torch.full_like(best, i))
        start += n
    index, groups = torch.cat(chosen), torch.cat(level)
    boxes, scores = decode(offsets[index], anchors[index], UNSCALED, size), logits[index].float()
    # Clipping to the image leaves some boxes without an area.
    solid = ((boxes[:, 2:] - boxes[:, :2]) > 1e-3).all(1).nonzero()[:, 0]
    boxes, scores, groups = boxes[solid], scores[solid], groups[solid]
    kept: Tensor = boxes[grouped_nms(boxes, scores, groups, config.nms_iou)[:limit]]
    return kept
