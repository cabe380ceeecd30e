"""Class and mask logits: validation, query selection, resizing."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.errors import ModelError

Size = tuple[int, int]  # (h, w) in pixels


@dataclass(frozen=True)
class ImageGeometry:
    """Sizes of one image, all (h, w) in pixels.

    Mask logits cover `padded_size`, the input of the network. The image is `image_size` of it, at the top left. The
    result has `target_size`, the size of the original image.
    """

    padded_size: Size
    image_size: Size
    target_size: Size

    def __post_init__(self) -> None:
        if min(self.padded_size + self.image_size + self.target_size) < 1:
            raise ModelError(f"sizes must be positive: {self}")
        if self.image_size[0] > self.padded_size[0] or self.image_size[1] > self.padded_size[1]:
            raise ModelError(f"the image {self.image_size} is larger than its padding {self.padded_size}")


@dataclass(frozen=True, eq=False)
class SelectedQueries:
    """K queries above the score threshold, in query order; float32 on the device of the logits."""

    queries: Tensor  # (K,) their indices

    scores: Tensor  # (K,) probability of the best class
    labels: list[int]  # (K,) index of the best class
    masks: Tensor  # (K, h, w) logits


@contextmanager
def single_threaded() -> Iterator[None]:
    """Use one torch thread. For maps of this size, more threads are far slower on a busy machine."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_shapes(class_logits: Tensor, mask_logits: Tensor, classes: int) -> None:
    """Raise ModelError unless class logits are (Q, classes + 1) and mask logits (Q, h, w)."""
    if class_logits.ndim != 2 or class_logits.shape[1] != classes + 1:
        raise ModelError(
            f"class logits are {tuple(class_logits.shape)}, but {classes} classes and no-object need "
            f"(queries, {classes + 1}): do the checkpoint and its categories belong together?"
        )
    if mask_logits.ndim != 3 or mask_logits.shape[0] != class_logits.shape[0] or 0 in mask_logits.shape[1:]:
        raise ModelError(
            f"mask logits are {tuple(mask_logits.shape)}, but {class_logits.shape[0]} queries need "
            f"({class_logits.shape[0]}, h, w)"
        )


def class_probabilities(class_logits: Tensor) -> Tensor:
    """Return the softmax of (Q, C + 1) logits, float32 on their device. Raise ModelError for NaN and infinities."""
    logits = class_logits.to(torch.float32)
    check_finite(logits, "class")
    return logits.softmax(-1)


def select(probabilities: Tensor, mask_logits: Tensor, threshold: float) -> SelectedQueries:
    """Select the queries whose best class is not "no object" (the last column) and has a probability > `threshold`.

    Only their masks are converted to float32 and checked.
    """
    scores, labels = probabilities.max(-1)
    # panoptic_inference of MaskFormer and Mask2Former: the class is the best of all with "no object", and a query whose
    # best is "no object" is out, however likely its second is.
    keep = ((labels != probabilities.shape[1] - 1) & (scores > threshold)).nonzero()[:, 0]
    masks = mask_logits[keep].to(torch.float32)
    check_finite(masks, "mask")
    return SelectedQueries(keep, scores[keep], labels[keep].tolist(), masks)


def check_finite(logits: Tensor, kind: str) -> None:
    """Raise ModelError for NaN and infinities.

    Both pass through `aminmax`, which is 20 times cheaper than `isfinite`.
    """
    if not logits.numel() or bool(torch.stack(torch.aminmax(logits)).isfinite().all()):
        return
    bad = int((~logits.isfinite()).sum())
    raise ModelError(
        f"{bad} of {logits.numel()} {kind} logits are NaN or infinite: "
        "try --precision fp32; if they stay, the checkpoint is broken"
    )


def resize(mask: Tensor, size: Size) -> Tensor:
    """Resize (h, w) or (n, h, w) to `size`, bilinear with half-pixel centres. A mask of that size is returned as is."""
    if tuple(mask.shape[-2:]) == size:
        return mask
    resized = interpolate(mask.view(1, -1, *mask.shape[-2:]), size=size, mode="bilinear", align_corners=False)
    return resized.view(*mask.shape[:-2], *size)


def to_target(mask: Tensor, geometry: ImageGeometry) -> Tensor:
    """Resize mask logits (h, w) or (n, h, w) to `target_size`: to the padded input, crop to the image, to the target.

    It resizes twice, as detectron2's `sem_seg_postprocess` does; a single resize changes about 0.15 % of pixels.
    """
    height, width = geometry.image_size
    return resize(resize(mask, geometry.padded_size)[..., :height, :width], geometry.target_size)


def probabilities(masks: Tensor, geometry: ImageGeometry) -> Iterator[Tensor]:
    """Yield the (H, W) probabilities of (n, h, w) mask logits at the target size, in order; some are made at once."""
    pixels = max(height * width for height, width in (geometry.padded_size, geometry.target_size))
    for block in torch.split(masks, at_once(masks.device, 2 * pixels)):
        yield from to_target(block, geometry).sigmoid()


def at_once(device: torch.device, numbers: int) -> int:
    """Return how many arrays of so many float32 numbers to hold: what fits a quarter of a device's free memory.

    1 on the CPU, where one mask at a time stays in the caches.
    """
    return 1 if device.type == "cpu" else max(1, free_memory(device) // (16 * numbers))


def free_memory(device: torch.device) -> int:
    """Return the bytes that an accelerator has left, those that torch has cached included; 4 GiB if unknown."""
    module: Any = getattr(torch, device.type, None)
    if hasattr(module, "mem_get_info"):  # of CUDA and XPU
        cached = module.memory_reserved(device) - module.memory_allocated(device)
        return int(module.mem_get_info(device)[0]) + int(cached)
    if hasattr(module, "recommended_max_memory"):  # of MPS
        return int(module.recommended_max_memory()) - int(module.current_allocated_memory())
    return 4 << 30


def argmax_first(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the maximum and the int32 index of the first maximum over float tensors of one shape.

    It keeps a running maximum, since torch's argmax over the first axis is slow.
    """
    source = iter(rows)
    best = next(source).clone()
    index = torch.zeros(best.shape, dtype=torch.int32, device=best.device)
    for c, row in enumerate(source, start=1):
        torch.maximum(index, (row > best).to(torch.int32) * c, out=index)
        torch.maximum(best, row, out=best)
    return best, index
