"""Semantic head: dense prediction cells on coarse levels, convolutions on fine levels, aligned and summed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from bench.adapters.efficientps.config import SemanticConfig
from bench.adapters.efficientps.layers import ConvNorm, Separable


class DensePredictionCell(nn.Module):
    """Context module (Chen et al., arXiv 1809.04184): an entry, three branches from it, a fourth after the third.

    The outputs of all five are concatenated.
    """

    def __init__(self, inputs: int, config: SemanticConfig) -> None:
        super().__init__()
        entry, *branches = config.dilations
        width = config.cell_width
        self.entry = Separable(inputs, width, dilation=entry)
        self.branches = nn.ModuleList(Separable(width, width, dilation=d) for d in branches)
        self.join = ConvNorm(5 * width, config.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        entry = self.entry(x)
        near, wide, wider, after = self.branches
        third = wider(entry)
        y: Tensor = self.join(torch.cat([entry, near(entry), wide(entry), third, after(third)], 1))
        return y


def fine_features(inputs: int, width: int) -> nn.Sequential:
    """Build the large-scale feature extractor (LSFE) of the paper."""
    return nn.Sequential(Separable(inputs, width), Separable(width, width))


class SemanticHead(nn.Module):
    """Pyramid features (strides 4 to 32) → (B, classes, h / 4, w / 4) logits."""

    def __init__(self, inputs: int, classes: int, config: SemanticConfig) -> None:
        super().__init__()
        width = config.width
        self.lateral_convs_ss = nn.ModuleList(DensePredictionCell(inputs, config) for _ in range(2))
        self.lateral_convs_ls = nn.ModuleList(fine_features(inputs, width) for _ in range(2))
        self.aligning_convs = nn.ModuleList(fine_features(width, width) for _ in range(2))
        self.conv_logits = nn.Conv2d(4 * width, classes, 1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        at4, at8, at16, at32 = features
        coarse = [cell(x) for cell, x in zip(self.lateral_convs_ss, (at32, at16), strict=True)]
        fine = [convs(x) for convs, x in zip(self.lateral_convs_ls, (at8, at4), strict=True)]
        joined = [coarse[0], coarse[1] + enlarged(coarse[0], coarse[1])]
        for aligning, x in zip(self.aligning_convs, fine, strict=True):
            joined.append(x + enlarged(aligning(joined[-1]), x))
        # The paper upsamples the four levels to stride 4, concatenates them and applies one 1 × 1 convolution.
        # Upsampling and that convolution commute, so each level is convolved first: the same sum at a third of the
        # cost.
        shares = self.conv_logits.weight.chunk(4, 1)
        total = conv2d(joined[-1], shares[-1], self.conv_logits.bias)
        for share, x in zip(shares[:-1], joined[:-1], strict=True):
            total = total + enlarged(conv2d(x, share), total)
        return total


def enlarged(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
