"""What a network computes for one image, counted while it does.

A worker has a copy of this file, in an interpreter as old as Python 3.9; torch is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.types import Image


def count_macs(adapter: Any, image: Image) -> int | None:
    """Multiply-adds of an adapter's network for one image at its input size; None where it has no network of torch.

    An adapter's own `multiply_adds` goes first: a number, or a method that takes the image, as the adapters of
    transformers have one that computes nothing. Of any other that tells its `parameters`, one more `infer` is counted.
    Torch's `FlopCounterMode` counts, and its operations are halved: matrix multiplications and convolutions, those of
    attention among them. Sampling (as in deformable attention), normalisation, activations and resizing are not
    counted, as is usual. It is the computation of this image: where a network looks at proposals, another image has
    others.
    """
    own = getattr(adapter, "multiply_adds", None)
    if own is not None:
        return own(image) if callable(own) else int(own)
    if getattr(adapter, "parameters", None) is None:
        return None
    return _computed(adapter, image)


def _computed(adapter: Any, image: Image) -> int | None:
    """Counted while the image is computed once more: what a network does next may depend on what it found."""
    ready = adapter.preprocess(image)
    return counted(lambda: adapter.infer([ready]))


def counted(work: Callable[[], Any]) -> int | None:
    """Multiply-adds of what `work` has torch do; None without a torch that can count them.

    A network whose parameters want gradients cannot be counted in inference mode by every torch.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:  # no torch, or one from before it could count
        return None
    counter = FlopCounterMode(display=False)
    # A fused attention kernel may be unknown to the counter; written out, it is two products on every device.
    with sdpa_kernel(SDPBackend.MATH), counter:
        work()
    return int(counter.get_total_flops()) // 2 or None


def without_values(tensor: Any) -> Any:
    """A tensor of this shape, kind and device without values: what is computed from it has a shape and costs nothing.

    A computation whose amount depends on a value raises an error of torch.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv  # for places that are found, where their number is none

    return FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv()).from_tensor(tensor, static_shapes=True)
