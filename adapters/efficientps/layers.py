"""Convolution layers with the paper's normalization: batch norm followed by a leaky ReLU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

LEAK = 0.01
EPSILON = 1e-3


class Norm(nn.BatchNorm2d):
    """Batch norm, then a leaky ReLU: equal to in-place activated batch norm (InPlace-ABN) for positive weights."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(super().forward(x), LEAK, inplace=True)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: if it is odd, one more pixel at the end than at the start."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, *,
        dilation: tuple[int, int] = (1, 1),
    ) -> None:  # fmt: skip
        inner = tuple(d * (kernel - 1) // 2 for d in dilation) if stride == 1 else (0, 0)
        super().__init__(
            inputs, outputs, kernel, stride, padding=(inner[0], inner[1]), groups=groups, dilation=dilation, bias=False
        )
        self.outer = kernel if stride > 1 else 0

    def forward(self, x: Tensor) -> Tensor:
        if self.outer:
            height, width = (self._missing(int(n)) for n in x.shape[-2:])
            # EfficientNet's weights come from TensorFlow, whose SAME padding puts the odd pixel at the end.
            x = pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return super().forward(x)

    def _missing(self, n: int) -> int:
        stride = self.stride[0]
        return max((-(-n // stride) - 1) * stride + self.outer - n, 0)


class ConvNorm(nn.Module):
    """A convolution without bias, then Norm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, groups: int = 1, dilation: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.conv = SameConv(inputs, outputs, kernel, groups=groups, dilation=dilation)
        self.bn = Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.conv(x))
        return y


class Separable(nn.Module):
    """Depthwise 3 × 3 and pointwise convolution, each followed by Norm."""

    def __init__(self, inputs: int, outputs: int, *, dilation: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(inputs, inputs, 3, groups=inputs, dilation=dilation)
        self.pointwise_conv = ConvNorm(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


def initialise(module: nn.Module) -> None:
    """Initialize weights with He's normal distribution (fan-out, per group) and biases with zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
            outputs = layer.weight.shape[1 if isinstance(layer, nn.ConvTranspose2d) else 0]
            window = layer.weight[0, 0].numel() if layer.weight.ndim == 4 else 1
            nn.init.normal_(layer.weight, std=(2 * groups / (outputs * window)) ** 0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def nothing(*modules: nn.Module) -> Tensor:
    """Return a zero that depends on every parameter: the loss of a head without training samples."""
    return torch.stack([p.sum() for m in modules for p in m.parameters()]).sum() * 0.0
