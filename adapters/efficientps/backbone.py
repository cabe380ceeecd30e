"""EfficientNet (Tan and Le, arXiv 1905.11946) as modified in EfficientPS.

No squeeze-and-excitation, and a leaky ReLU after every batch norm. Tensor names are those of timm and geffnet, so
that their weights can be loaded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from bench.adapters.efficientps.config import BackboneConfig, Stage
from bench.adapters.efficientps.layers import Norm, SameConv

# B0, and the multipliers of width and depth (table 1 of the paper; authors' code for B1 to B7).
B0 = (
    Stage(3, 1, 1, 16, 1), Stage(3, 2, 6, 24, 2), Stage(5, 2, 6, 40, 2), Stage(3, 2, 6, 80, 3),
    Stage(5, 1, 6, 112, 3), Stage(5, 2, 6, 192, 4), Stage(3, 1, 6, 320, 1),
)  # fmt: skip
B0_STEM, B0_HEAD = 32, 1280
SCALES = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4),
    "b4": (1.4, 1.8), "b5": (1.6, 2.2), "b6": (1.8, 2.6), "b7": (2.0, 3.1),
}  # fmt: skip
STRIDES = (4, 8, 16, 32)


def scaled_width(width: float) -> int:
    """Round to the nearest multiple of 8, or the next one up if that is below 90 % of `width`."""
    # make_divisible of MobileNet and EfficientNet: channels in multiples of 8, never more than 10 % fewer.
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


def explicit(config: BackboneConfig) -> tuple[int, tuple[Stage, ...], int]:
    """Return the channels of the stem, the stages, and the channels of the head."""
    if config.variant == "own":
        return config.stem or 0, config.stages, config.head or 0
    width, depth = SCALES[config.variant]
    stages = tuple(
        Stage(s.kernel, s.stride, s.expand, scaled_width(s.width * width), math.ceil(s.blocks * depth)) for s in B0
    )
    return scaled_width(B0_STEM * width), stages, scaled_width(B0_HEAD * width)


class Shallow(nn.Module):
    """Depthwise and pointwise convolution: the block without expansion."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = SameConv(inputs, inputs, kernel, stride, inputs), Norm(inputs)
        self.conv_pw, self.bn2 = SameConv(inputs, outputs, 1), Norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return x + y if self.residual else y


class Inverted(nn.Module):
    """Inverted bottleneck: pointwise expansion, depthwise convolution, pointwise projection."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.conv_pw, self.bn1 = SameConv(inputs, inner, 1), Norm(inner)
        self.conv_dw, self.bn2 = SameConv(inner, inner, kernel, stride, inner), Norm(inner)
        self.conv_pwl, self.bn3 = SameConv(inner, outputs, 1), Norm(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + y if self.residual else y


def blocks_of(stage: Stage, inputs: int) -> nn.Sequential:
    blocks: list[nn.Module] = []
    for i in range(stage.blocks):
        stride = stage.stride if i == 0 else 1
        shape = (inputs if i == 0 else stage.width, stage.width, stage.kernel, stride)
        blocks.append(Shallow(*shape) if stage.expand == 1 else Inverted(*shape, stage.expand))
    return nn.Sequential(*blocks)


class EfficientNet(nn.Module):
    """(B, 3, h, w) → features at strides 4, 8, 16 and 32, with `widths` channels."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        stem, stages, head = explicit(config)
        self.conv_stem, self.bn1 = SameConv(3, stem, 3, 2), Norm(stem)
        inputs = (stem, *(stage.width for stage in stages))
        self.blocks = nn.ModuleList(blocks_of(stage, n) for stage, n in zip(stages, inputs, strict=False))
        self.conv_head, self.bn2 = SameConv(inputs[-1], head, 1), Norm(head)
        self.taps = taps(stages)
        self.widths = (*(stages[i].width for i in self.taps), head)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.bn1(self.conv_stem(x))
        found = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in self.taps:
                found.append(x)
        return [*found, self.bn2(self.conv_head(x))]


def taps(stages: Sequence[Stage]) -> tuple[int, ...]:
    """Return the indices of the last stages at strides 4, 8 and 16.

    Raises ValueError if a stride is missing or the last one is not 32.
    """
    stride, last = 2, dict[int, int]()
    for i, stage in enumerate(stages):
        stride *= stage.stride
        last[stride] = i
    if stride != 32 or not {4, 8, 16} <= last.keys():
        raise ValueError(f"the stages have strides {sorted(last)}; they must pass 4, 8 and 16 and end at 32")
    return tuple(last[s] for s in STRIDES[:3])
