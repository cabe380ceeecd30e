"""Semantic logits and instances → Panoptic, by the rule of EfficientPS (arXiv 2004.02307, section 3.4).

Where the paper gives no detail, the rule follows the outputs of the authors' code: see `fuse_instances`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from bench.errors import ModelError, UsageError
from bench.fusion.logits import Size, argmax_first, check_finite, single_threaded
from bench.fusion.presets import FusionSpec
from bench.fusion.semantic import category_ids
from bench.types import Categories, Panoptic, SegmentInfo

# The authors' code weights the mask logits of an instance by 4; the paper does not mention it.
_MASK_GAIN = 4.0


@dataclass(frozen=True, eq=False)
class Instances:
    """n instances of one image, in any order; they may overlap.

    `scores` (n,) float32 in 0..1; `labels` (n,) int64, category indices of things; `boxes` (n, 4) float32 x0 y0 x1 y1
    in pixels of the image, pixel i spanning i to i + 1, possibly beyond the image; `masks`: n tensors (h, w) float32 of
    mask logits, of any size, each stretched over its box.
    """

    scores: Tensor
    labels: Tensor
    boxes: Tensor
    masks: Sequence[Tensor]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if not n == len(self.labels) == len(self.boxes) == len(self.masks) or self.boxes.shape != (n, 4):
            boxes = tuple(self.boxes.shape)
            raise ModelError(f"{n} instances with {len(self.labels)} labels, boxes {boxes}, {len(self.masks)} masks")


@dataclass(frozen=True)
class Window:
    """Rectangle of rows and columns of the image, ends excluded; may be empty."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, max(self.top, self.bottom)), slice(self.left, max(self.left, self.right))

    def __and__(self, other: Window) -> Window:
        return Window(
            max(self.top, other.top), max(self.left, other.left),
            min(self.bottom, other.bottom), min(self.right, other.right),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Placed:
    """Instance placed on the image: `mask` are the logits in `window`; outside they are 0."""

    k: int
    window: Window
    mask: Tensor


def fuse_instances(semantic: Tensor, instances: Instances, categories: Categories, spec: FusionSpec) -> Panoptic:
    """Fuse (C, H, W) semantic logits at the image's size, in category order, and instances to segments.

    In descending order of scores, an instance is dropped if more than `overlap_threshold` of its mask is taken. The
    others have the logits (σ(a) + σ(b)) · (a + b), with a four times the mask logit and b the semantic logit of the
    class inside the box, both 0 elsewhere. These compete with the semantic logits of stuff. A pixel that stuff wins
    gets its semantic argmax, and is void if that is a thing or has an area under `min_area_px`.

    As in the authors' code, a logit outside the box is 0 and not -∞: where all stuff is negative, the best instance
    takes the pixel, except with `spec.confined`. A mask without a pixel passes the overlap test. Segment ids
    (`source_id`) start at 0, not 1, if no pixel is left to stuff.
    """
    _check(semantic, instances, categories, spec)
    with torch.no_grad(), single_threaded():
        logits = semantic.to("cpu", torch.float32)
        stuff = torch.from_numpy(np.flatnonzero(~categories.isthing))
        placed = _place(instances, (int(logits.shape[1]), int(logits.shape[2])), spec)
        owner = _compete(logits, stuff, placed, instances, spec.confined)
        best_class = argmax_first(logits)[1]
    return _segments(owner.numpy(), best_class.numpy(), placed, instances, categories, spec)


def semantic_map(semantic: Tensor, categories: Categories) -> NDArray[np.int32]:
    """Return the argmax of (C, H, W) logits as (H, W) category ids."""
    with torch.no_grad(), single_threaded():
        return category_ids(argmax_first(semantic.to("cpu", torch.float32))[1], categories)


def _check(semantic: Tensor, instances: Instances, categories: Categories, spec: FusionSpec) -> None:
    if spec.rule != "efficientps":
        raise UsageError(f"the fusion rule {spec.rule} is for query models; instances take efficientps or cascade")
    if semantic.ndim != 3 or len(semantic) != len(categories) or 0 in semantic.shape:
        raise ModelError(f"semantic logits are {tuple(semantic.shape)}, but {len(categories)} classes need (C, H, W)")
    wrong = [i for i in instances.labels.tolist() if not 0 <= i < len(categories) or not categories.isthing[i]]
    if wrong:
        raise ModelError(f"an instance has class index {wrong[0]}, which is not a thing of the categories")
    check_finite(semantic, "semantic")
    check_finite(instances.boxes, "box")


def _place(instances: Instances, size: Size, spec: FusionSpec) -> list[_Placed]:
    """Return the instances that pass the score and overlap thresholds, best first."""
    taken = torch.zeros(size, dtype=torch.bool)
    placed = []
    for k in instances.scores.argsort(descending=True, stable=True).tolist():
        # Scores descend, so that no later instance passes either.
        if float(instances.scores[k]) <= spec.score_threshold:
            break
        check_finite(instances.masks[k], "mask")
        box = instances.boxes[k].tolist()
        one = _Placed(k, *paste(instances.masks[k].to("cpu", torch.float32), box, size))
        inside, before = one.mask.sigmoid() > spec.mask_threshold, taken[one.window.slices]
        area = int(inside.sum())
        if area and int((inside & before).sum()) / area > spec.overlap_threshold:
            continue
        before |= inside
        placed.append(one)
    return placed


def paste(mask: Tensor, box: Sequence[float], size: Size) -> tuple[Window, Tensor]:
    """Stretch (h, w) logits over `box`, bilinear; return the window of the image that they cover, and the logits in it.

    They fade to 0 over half a cell of the mask beyond the box.
    """
    x0, y0, x1, y1 = box
    cell_x, cell_y = max(x1 - x0, 1e-6) / mask.shape[1], max(y1 - y0, 1e-6) / mask.shape[0]
    reach = Window(
        int(np.floor(y0 - cell_y)), int(np.floor(x0 - cell_x)), int(np.ceil(y1 + cell_y)), int(np.ceil(x1 + cell_x))
    )
    window = reach & Window(0, 0, *size)
    rows, columns = (torch.arange(s.start, s.stop, dtype=torch.float32) + 0.5 for s in window.slices)
    if not len(rows) or not len(columns):
        return window, torch.zeros(len(rows), len(columns))
    y, x = (rows - y0) * (2 / max(y1 - y0, 1e-6)) - 1, (columns - x0) * (2 / max(x1 - x0, 1e-6)) - 1
    grid = torch.stack([x[None].expand(len(y), -1), y[:, None].expand(-1, len(x))], -1)
    return window, grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0]


def box_window(box: Sequence[float], size: Size) -> Window:
    """Return the pixels of a box, its corners rounded to the nearest, halves up, clipped to the image."""
    left, top, right, bottom = (int(np.floor(value + 0.5)) for value in box)
    return Window(top, left, bottom, right) & Window(0, 0, *size)


def _compete(logits: Tensor, stuff: Tensor, placed: Sequence[_Placed], of: Instances, confined: bool) -> Tensor:
    """Return (H, W) int32: the index in `placed` of the instance that wins the pixel, -1 for stuff."""
    size = int(logits.shape[1]), int(logits.shape[2])
    best = argmax_first(logits[stuff])[0] if len(stuff) else torch.full(size, -torch.inf)
    owner = torch.full(size, -1, dtype=torch.int32)
    # Outside of its window an instance has the logit 0. All of these are equal and the first wins, so that only the
    # area where no earlier instance had one has to be compared.
    open_ = Window(0, 0, *size)
    for j, one in enumerate(placed):
        if not confined:
            _leak(best, owner, open_, one.window, j)
            open_ = open_ & one.window
        fused = _fused(logits[int(of.labels[one.k])], one, box_window(of.boxes[one.k].tolist(), size), confined)
        here, whose = best[one.window.slices], owner[one.window.slices]
        wins = fused > here
        whose[wins] = j
        here[wins] = fused[wins]
    return owner


def _leak(best: Tensor, owner: Tensor, where: Window, window: Window, j: int) -> None:
    """Give instance j the logit 0 outside its window. `where` is the area in which no earlier instance had a 0."""
    rows, columns = where.slices
    wins = best[rows, columns] < 0
    if not wins.any():
        return
    inner = where & window
    if inner.bottom > inner.top and inner.right > inner.left:
        wins[inner.top - where.top : inner.bottom - where.top, inner.left - where.left : inner.right - where.left] = (
            False
        )
    owner[rows, columns][wins] = j
    best[rows, columns][wins] = 0


def _fused(logits: Tensor, one: _Placed, box: Window, confined: bool) -> Tensor:
    """Return the fused logits of an instance in its window; `logits` (H, W) are the semantic ones of its class."""
    rows, columns = (box & one.window).slices
    inside = torch.zeros(one.mask.shape, dtype=torch.bool)
    top, left = one.window.top, one.window.left
    inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = True
    a = _MASK_GAIN * one.mask
    b = logits[one.window.slices] * inside
    fused = (a.sigmoid() + b.sigmoid()) * (a + b)
    return fused.masked_fill_(~inside, -torch.inf) if confined else fused


def _segments(
    owner: NDArray[np.int32], best_class: NDArray[np.int32], placed: Sequence[_Placed],
    of: Instances, categories: Categories, spec: FusionSpec,
) -> Panoptic:  # fmt: skip
    """Build the Panoptic: things in descending order of scores, then stuff in category order."""
    n = len(placed)
    # One code a pixel: things by their position, then classes.
    code = np.where(owner >= 0, owner, n + best_class)
    area = np.bincount(code.ravel(), minlength=n + len(categories))
    wanted = np.concatenate([np.full(n, 1), np.where(categories.isthing, 0, max(spec.min_area_px, 1))])
    shown = np.flatnonzero((wanted > 0) & (area >= wanted))
    first = 0 if bool((owner >= 0).all()) else 1
    infos = []
    for i, c in enumerate(shown.tolist(), start=first):
        label = int(of.labels[placed[c].k]) if c < n else c - n
        score = float(of.scores[placed[c].k]) if c < n else None
        infos.append(SegmentInfo(categories.ids[label], score=score, source_id=i))
    ids = np.zeros(len(area), dtype=np.int32)
    ids[shown] = np.arange(1, len(shown) + 1)
    return Panoptic(ids[code], tuple(infos))
