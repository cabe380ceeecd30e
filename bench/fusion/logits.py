"""Raw class and mask logits: checked, filtered, resized; and which query wins each pixel."""

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
    """Where the logits lie, all (h, w) in pixels.

    Mask logits cover `padded_size`, the network's input; the image is `image_size` of it, at the top
    left; the result has `target_size`, the size of the original image.
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
    """The K queries past the score threshold, in query order; float32 on the CPU."""

    scores: Tensor  # (K,) probability of the best class
    labels: list[int]  # (K,) index of the best class
    masks: Tensor  # (K, h, w) logits


@dataclass(frozen=True, eq=False)
class PixelAssignment:
    """Which query won each pixel, and how surely.

    `code` (H, W) is 2k + 1 where query k won with a mask probability >= the threshold, 2k where it won
    below it; `area` (K, 2) counts both, below first; `extent` (K,) is the pixels of each query past the
    threshold, won or not.
    """

    code: NDArray[Any]
    area: NDArray[np.int64]
    extent: tuple[int, ...]


@contextmanager
def single_threaded() -> Iterator[None]:
    """One torch thread inside: for maps of this size a busy neighbour makes more threads far slower."""
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
    """Class logits must be (Q, classes + 1), mask logits (Q, h, w)."""
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
    """(Q, C + 1) → the same in float32 on the CPU, rows adding up to 1."""
    logits = class_logits.to("cpu", torch.float32)
    check_finite(logits, "class")
    return logits.softmax(-1)


def select(class_logits: Tensor, mask_logits: Tensor, threshold: float) -> SelectedQueries:
    """The queries whose best class is not "no object" (the last column) and scores > `threshold`.

    Only their masks leave the device, become float32 and are checked.
    """
    probabilities = class_probabilities(class_logits)
    scores, labels = probabilities.max(-1)
    keep = ((labels != probabilities.shape[1] - 1) & (scores > threshold)).nonzero()[:, 0]
    masks = mask_logits[keep.to(mask_logits.device)].to("cpu", torch.float32)
    check_finite(masks, "mask")
    return SelectedQueries(scores[keep], labels[keep].tolist(), masks)


def check_finite(logits: Tensor, kind: str) -> None:
    """NaN and infinity pass through `aminmax`, which is 20 times cheaper than `isfinite`."""
    if not logits.numel() or bool(torch.stack(torch.aminmax(logits)).isfinite().all()):
        return
    bad = int((~logits.isfinite()).sum())
    raise ModelError(
        f"{bad} of {logits.numel()} {kind} logits are NaN or infinite: "
        "try --precision fp32; if they stay, the checkpoint is broken"
    )


def resize(mask: Tensor, size: Size) -> Tensor:
    """(h, w) → `size`, bilinear with half-pixel centres; to its own size it is the identity, bit for bit."""
    if tuple(mask.shape) == size:
        return mask
    return interpolate(mask[None, None], size=size, mode="bilinear", align_corners=False)[0, 0]


def to_target(mask: Tensor, geometry: ImageGeometry) -> Tensor:
    """Mask logits (h, w) → `target_size`: to the padded input, cut, to the target.

    Two resizes, as detectron2's `sem_seg_postprocess` does; one would decide about 0.15 % of pixels
    otherwise.
    """
    height, width = geometry.image_size
    return resize(resize(mask, geometry.padded_size)[:height, :width], geometry.target_size)


def argmax_first(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Maximum and position of the first maximum over some float tensors of one shape, the positions int32.

    A running maximum: torch's argmax over the first axis is slow.
    """
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
    """The argmax of score × mask probability, the first query on a tie.

    `probabilities` yields a fresh (H, W) for each of the (K,) `scores`; only one is held at a time.
    `weigh_first`: compare the weighted probability with the threshold, as transformers does.
    """
    best = np.full(size, -1, dtype=np.float32)
    code = np.zeros(size, dtype=np.uint8 if len(scores) <= 128 else np.int16)
    extent: list[int] = []
    for k, probability in enumerate(probabilities):
        p = probability.numpy()
        if weigh_first:
            p *= scores[k].numpy()
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
    """(K, 2) id of a query's pixels below and past the threshold, (H, W) code → (H, W) ids."""
    index = torch.from_numpy(code.astype(np.int32).ravel())
    return torch.from_numpy(ids.ravel()).index_select(0, index).view(code.shape).numpy()
