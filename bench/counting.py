"""What a network computes for one image, counted while it does.

A worker has a copy of this file, in an interpreter as old as Python 3.9; torch is imported where it is used.
"""

from __future__ import annotations

from typing import Any

from bench.types import Image


def multiply_adds(adapter: Any, image: Image) -> int | None:
    """Multiply-adds of an adapter's network for one image at its input size; None where it has no network of torch.

    An adapter's own `multiply_adds` goes first: a number, or a method that takes the image. Of any other that tells
    its `parameters`, one more `infer` is counted by torch's `FlopCounterMode`, whose operations are halved: matrix
    multiplications and convolutions, those of attention among them. Sampling (as in deformable attention),
    normalisation, activations and resizing are not counted, as is usual. It is the computation of this image: where
    a network looks at proposals, another image has others.
    """
    own = getattr(adapter, "multiply_adds", None)
    if own is not None:
        return own(image) if callable(own) else int(own)
    if getattr(adapter, "parameters", None) is None:
        return None
    return _counted(adapter, image)


def _counted(adapter: Any, image: Image) -> int | None:
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:  # no torch, or one from before it could count
        return None
    ready = adapter.preprocess(image)
    counter = FlopCounterMode(display=False)
    # A fused attention kernel may be unknown to the counter; written out, it is two products on every device.
    with sdpa_kernel(SDPBackend.MATH), counter:
        adapter.infer([ready])
    return int(counter.get_total_flops()) // 2 or None
