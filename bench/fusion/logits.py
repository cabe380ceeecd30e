"""Class and mask logits: validation, query selection, resizing, assignment of pixels to queries."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
    """K queries above the score threshold, in query order; float32 on the CPU."""

    scores: Tensor  # (K,) probability of the best class
    labels: list[int]  # (K,) index of the best class
    masks: Tensor  # (K, h, w) logits


@dataclass(frozen=True, eq=False)
class PixelAssignment:
    """Winning query of each pixel.

    `code` (H, W) is 2k + 1 if query k won with a mask probability >= the threshold, 2k if it won below it. `area` (K,
    2) counts both, below first. `extent` (K,) counts the pixels of each query at or above the threshold, won or not.
    """

    code: NDArray[Any]
    area: NDArray[np.int64]
    extent: tuple[int, ...]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Use one torch thread."""
    # For maps of this size, more threads are far slower on a busy machine.
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
    """Return the softmax of (Q, C + 1) logits, float32 on the CPU. Raise ModelError for NaN and infinities."""
    logits = class_logits.to("cpu", torch.float32)
    check_finite(logits, "class")
    return logits.softmax(-1)


def select(class_logits: Tensor, mask_logits: Tensor, threshold: float) -> SelectedQueries:
    """Select the queries whose best class is not "no object" (the last column) and scores > `threshold`.

    Only their masks are copied to the CPU, converted to float32 and checked.
    """
    probabilities = class_probabilities(class_logits)
    scores, labels = probabilities.max(-1)
    # panoptic_inference of MaskFormer and Mask2Former: the class is the best of all with "no object", and a query whose
    # best is "no object" is out, however likely its second is.
    keep = ((labels != probabilities.shape[1] - 1) & (scores > threshold)).nonzero()[:, 0]
    masks = mask_logits[keep.to(mask_logits.device)].to("cpu", torch.float32)
    check_finite(masks, "mask")
    return SelectedQueries(scores[keep], labels[keep].tolist(), masks)


def check_finite(logits: Tensor, kind: str) -> None:
    """Raise ModelError for NaN and infinities."""
    # Both pass through `aminmax`, which is 20 times cheaper than `isfinite`.
    if not logits.numel() or bool(torch.stack(torch.aminmax(logits)).isfinite().all()):
        return
    bad = int((~logits.isfinite()).sum())
    raise ModelError(
        f"{bad} of {logits.numel()} {kind} logits are NaN or infinite: "
        "try --precision fp32; if they stay, the checkpoint is broken"
    )


def resize(mask: Tensor, size: Size) -> Tensor:
    """Resize (h, w) to `size`, bilinear with half-pixel centres. A mask of that size is returned as it is."""
    if tuple(mask.shape) == size:
        return mask
    return interpolate(mask[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


def to_target(mask: Tensor, geometry: ImageGeometry) -> Tensor:
    """Resize mask logits (h, w) to `target_size`: to the padded input, crop to the image, to the target."""
    # Twice, as detectron2's `sem_seg_postprocess` does; a single resize changes about 0.15 % of the pixels.
    height, width = geometry.image_size
    return resize(resize(mask, geometry.padded_size)[:height, :width], geometry.target_size)


def argmax_first(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the maximum and the int32 index of the first maximum over float tensors of one shape."""
    # A running maximum, since torch's argmax over the first axis is slow.
    source = iter(rows)
    best = next(source).clone()
    index = torch.zeros(best.shape, dtype=torch.int32)
    for c, row in enumerate(source, start=1):
        torch.maximum(index, (row > best).to(torch.int32) * c, out=index)
        torch.maximum(best, row, out=best)
    return best, index


def assign_pixels(
    probabilities: Iterable[Tensor], scores: Tensor, size: Size, threshold: float, *, weigh_first: bool
) -> PixelAssignment:
    """Assign each pixel to the query with the highest score × mask probability, the first on a tie.

    `probabilities` yields a new (H, W) for each of the (K,) `scores`; it is overwritten, and only one is held at a
    time. `weigh_first` compares the weighted probability with the threshold, as transformers does.
    """
    best = np.full(size, -1, dtype=np.float32)
    # Codes go up to 2 * 127 + 1 for 128 queries; in one byte a pass over the map is faster.
    code = np.zeros(size, dtype=np.uint8 if len(scores) <= 128 else np.int16)
    extent: list[int] = []
    for k, probability in enumerate(probabilities):
        p = probability.numpy()
        if weigh_first:
            p *= scores[k].numpy()
        # transformers multiplies masks by scores before the threshold, the papers compare the mask alone.
        past = p >= threshold
        extent.append(int(np.count_nonzero(past)))
        if not weigh_first:
            p *= scores[k].numpy()
        # k grows, so a later winner has the larger code: a maximum replaces a slow masked write
        np.maximum(code, (p > best) * (past + code.dtype.type(2 * k)), out=code)
        np.maximum(best, p, out=best)
    area = torch.bincount(torch.from_numpy(code.ravel()), minlength=2 * len(extent))
    return PixelAssignment(code, area.view(-1, 2).numpy(), tuple(extent))


def fill_ids(ids: NDArray[np.int32], code: NDArray[Any]) -> NDArray[np.int32]:
    """Map (H, W) codes to ids; `ids` (K, 2) are those of a query's pixels below and above the threshold."""
    index = torch.from_numpy(code.astype(np.int32).ravel())
    return torch.from_numpy(ids.ravel()).index_select(0, index).view(code.shape).numpy()
