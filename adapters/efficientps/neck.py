"""The two-way feature pyramid: a top-down and a bottom-up path in parallel, summed."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.adapters.efficientps.layers import ConvNorm, Separable


class TwoWayPyramid(nn.Module):
    """Features at strides 4 to 32 → the same strides with `width` channels. Layers are stored from stride 32 to 4."""

    def __init__(self, widths: Sequence[int], width: int, separable: bool) -> None:
        super().__init__()
        self.lateral_convs_top = nn.ModuleList(ConvNorm(n, width, 1) for n in reversed(widths))
        self.lateral_convs_bottom = nn.ModuleList(ConvNorm(n, width, 1) for n in reversed(widths))
        self.fpn_convs = nn.ModuleList(
            Separable(width, width) if separable else ConvNorm(width, width, 3) for _ in widths
        )

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        coarse_first = list(reversed(features))
        top = gathered([conv(x) for conv, x in zip(self.lateral_convs_top, coarse_first, strict=True)])
        bottom = gathered([conv(x) for conv, x in zip(self.lateral_convs_bottom, coarse_first, strict=True)][::-1])
        sums = [a + b for a, b in zip(top, reversed(bottom), strict=True)]
        return [conv(x) for conv, x in zip(self.fpn_convs, sums, strict=True)][::-1]


def gathered(features: Sequence[Tensor]) -> list[Tensor]:
    """Return cumulative sums over the levels; each sum is resized (nearest) to the next level."""
    sums = [features[0]]
    for x in features[1:]:
        sums.append(x + interpolate(sums[-1], size=x.shape[-2:], mode="nearest"))
    return sums
