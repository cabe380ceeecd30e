"""Multiply-adds (MACs) of a network for one image, counted during inference."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.types import Image


def count_macs(adapter: Any, image: Image) -> int | None:
    """Return the multiply-adds of an adapter's network for one image at its input size; None if they cannot be counted.

    The adapter's own `multiply_adds` is preferred: a number, or a method that takes the image. Otherwise, if it has
    `parameters`, one more `infer` is counted by torch's `FlopCounterMode` (FLOPs / 2): matrix multiplications,
    convolutions and attention. Sampling (as in deformable attention), normalization, activations and resizing are not
    counted, as is usual. If the network depends on proposals, the count depends on the image.
    """
    own = getattr(adapter, "multiply_adds", None)
    if own is not None:
        return own(image) if callable(own) else int(own)
    if getattr(adapter, "parameters", None) is None:
        return None
    ready = adapter.preprocess(image)
    return counted(lambda: adapter.infer([ready]))


def counted(work: Callable[[], Any]) -> int | None:
    """Return the multiply-adds that torch performs in `work`; None if there are none or torch has no FlopCounterMode.

    In inference mode, some versions of torch cannot count a network whose parameters require gradients.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:
        # torch is missing, or older than FlopCounterMode.
        return None
    counter = FlopCounterMode(display=False)
    # FlopCounterMode does not count every fused attention kernel. The MATH backend computes attention as two products.
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    # The counter takes a multiply-add for two operations.
    return int(counter.get_total_flops()) // 2 or None


def without_values(tensor: Any) -> Any:
    """Return a fake tensor of the same shape, dtype and device: operations on it infer shapes and compute nothing.

    An operation whose amount of work depends on a value raises a torch error.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    # A ShapeEnv gives results like nonzero(), whose size depends on values, a symbolic size.
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    return FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()).from_tensor(tensor, static_shapes=True)
