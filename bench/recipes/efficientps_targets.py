"""Which anchors and regions stand for which target, and the masks that they should have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.adapters.efficientps.config import TrainingConfig
from bench.adapters.efficientps.ops import pair_iou


@dataclass(frozen=True, eq=False)
class Things:
    """The things of one image: `boxes` (n, 4) x0 y0 x1 y1 px, `things` (n,) their number among the thing classes,
    `targets` (n,) their number in the map of targets."""

    boxes: Tensor
    things: Tensor
    targets: Tensor


def things_of(index: Tensor, classes: Tensor, thing_classes: tuple[int, ...]) -> Things:
    """(h, w) int64 target of each pixel or -1, (T,) classes → the things that have pixels, and their boxes."""
    count = len(classes)
    number = torch.full((int(max(thing_classes)) + 1,), -1, dtype=torch.int64, device=classes.device)
    number[list(thing_classes)] = torch.arange(len(thing_classes), device=classes.device)
    things = torch.where(classes < len(number), number[classes.clamp(max=len(number) - 1)], -1)
    rows, columns = (index >= 0).nonzero(as_tuple=True)
    owner = index[rows, columns]
    edges = [_extreme(columns, owner, count, "amin"), _extreme(rows, owner, count, "amin")]
    edges += [_extreme(columns, owner, count, "amax") + 1, _extreme(rows, owner, count, "amax") + 1]
    boxes = torch.stack(edges, 1).float()
    shown = ((boxes[:, 2] > boxes[:, 0]) & (things >= 0)).nonzero()[:, 0]
    return Things(boxes[shown], things[shown], shown)


def _extreme(values: Tensor, owner: Tensor, count: int, kind: str) -> Tensor:
    """The least or greatest value of each owner; of one without any, such that its box is empty."""
    start = torch.full((count,), -2 if kind == "amax" else 1 << 30, dtype=torch.int64, device=values.device)
    return start.scatter_reduce_(0, owner, values, kind)


def match_anchors(anchors: Tensor, boxes: Tensor, training: TrainingConfig) -> tuple[Tensor, Tensor]:
    """(n, 4) anchors and (m, 4) boxes → (n,) int8: 1 positive, 0 negative, -1 neither; (n,) the box of each."""
    state = torch.zeros(len(anchors), dtype=torch.int8, device=anchors.device)
    if not len(boxes):
        return state, torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    overlaps = pair_iou(boxes, anchors)
    best, which = overlaps.max(0)
    state[best >= training.anchor_negative] = -1
    state[best >= training.anchor_positive] = 1
    of_box = overlaps.amax(1)
    favourite, anchor = ((overlaps >= of_box[:, None] - 1e-6) & (of_box >= training.anchor_least)[:, None]).nonzero(
        as_tuple=True
    )
    state[anchor] = 1
    which[anchor] = favourite
    return state, which


def draw(positive: Tensor, negative: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Positions drawn from two masks (n,): at most `share` of `count` positives, filled up with negatives."""
    some = _some(positive, int(count * share))
    return some, _some(negative, count - len(some))


def _some(mask: Tensor, count: int) -> Tensor:
    positions = mask.nonzero()[:, 0]
    return positions[torch.randperm(len(positions), device=mask.device)[:count]]


def mask_targets(index: Tensor, boxes: Tensor, targets: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """(n, side, side) 0 or 1: where the target is in its box, at the cells' centres; and where that is known."""
    steps = (torch.arange(side, device=boxes.device) + 0.5) / side
    columns = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps).long().clamp(0, index.shape[1] - 1)
    rows = (boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps).long().clamp(0, index.shape[0] - 1)
    found = index[rows[:, :, None], columns[:, None, :]]
    return (found == targets[:, None, None]).float(), (found >= 0).float()
