"""Losses of EfficientPS, and assignment of targets.

The instance head has the five terms of Mask R-CNN, with sample counts set by the recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, interpolate, smooth_l1_loss

from bench.adapters.efficientps.boxes import encode
from bench.adapters.efficientps.config import TrainingConfig
from bench.adapters.efficientps.layers import nothing
from bench.adapters.efficientps.network import Network
from bench.adapters.efficientps.rpn import UNSCALED
from bench.adapters.torch_ops import pair_iou


@dataclass(frozen=True, eq=False)
class Things:
    """Things of one image.

    `boxes` (n, 4) x0, y0, x1, y1 in px; `things` (n,) indices among the thing classes; `targets` (n,) indices of the
    targets.
    """

    boxes: Tensor
    things: Tensor
    targets: Tensor


def things_of(index: Tensor, classes: Tensor, thing_classes: tuple[int, ...]) -> Things:
    """Return the things with pixels: `index` (h, w) int64 is the target of each pixel or -1, `classes` (T,)."""
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
    """Return the minimum or maximum of each owner; without any value, a number that makes its box empty."""
    start = torch.full((count,), -2 if kind == "amax" else 1 << 30, dtype=torch.int64, device=values.device)
    return start.scatter_reduce_(0, owner, values, kind)


def match_anchors(anchors: Tensor, boxes: Tensor, training: TrainingConfig) -> tuple[Tensor, Tensor]:
    """Assign (n, 4) anchors to (m, 4) boxes: (n,) int8, 1 positive, 0 negative, -1 neither; (n,) box of each anchor."""
    state = torch.zeros(len(anchors), dtype=torch.int8, device=anchors.device)
    if not len(boxes):
        return state, torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
    overlaps = pair_iou(boxes, anchors)
    best, which = overlaps.max(0)
    state[best >= training.anchor_negative] = -1
    state[best >= training.anchor_positive] = 1
    of_box = overlaps.amax(1)
    # Faster R-CNN: the anchors with the highest IoU of a box are positive, even if none reaches the threshold; several
    # can tie.
    favourite, anchor = ((overlaps >= of_box[:, None] - 1e-6) & (of_box >= training.anchor_least)[:, None]).nonzero(
        as_tuple=True
    )
    state[anchor] = 1
    which[anchor] = favourite
    return state, which


def sample_balanced(positive: Tensor, negative: Tensor, count: int, share: float) -> tuple[Tensor, Tensor]:
    """Sample positions from two masks (n,): at most `share` of `count` positives, filled up with negatives."""
    some = _some(positive, int(count * share))
    return some, _some(negative, count - len(some))


def _some(mask: Tensor, count: int) -> Tensor:
    positions = mask.nonzero()[:, 0]
    return positions[torch.randperm(len(positions), device=mask.device)[:count]]


def mask_targets(index: Tensor, boxes: Tensor, targets: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return (n, side, side) 0/1 masks of the targets in their boxes, and 0/1 masks of the cells with a label."""
    steps = (torch.arange(side, device=boxes.device) + 0.5) / side
    columns = (boxes[:, :1] + (boxes[:, 2:3] - boxes[:, :1]) * steps).long().clamp(0, index.shape[1] - 1)
    rows = (boxes[:, 1:2] + (boxes[:, 3:] - boxes[:, 1:2]) * steps).long().clamp(0, index.shape[0] - 1)
    found = index[rows[:, :, None], columns[:, None, :]]
    return (found == targets[:, None, None]).float(), (found >= 0).float()


IGNORED = -1


def losses(model: Network, pixels: Tensor, index: Sequence[Tensor], classes: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return the weighted terms of a batch by name; the loss is their sum.

    `pixels` (B, 3, h, w) float32, normalised. For each image `index` (h, w) int64, the target of each pixel or -1 if
    ignored, and `classes` (T,) int64, category indices. All on the model's device.
    """
    training = model.config.training
    things = [things_of(i, c, model.things) for i, c in zip(index, classes, strict=True)]
    features = model.features(pixels)
    proposals, logits, offsets, anchors = model.proposals(features, training=True)
    objectness, rpn_box = rpn_losses(logits, offsets, anchors, things, training)
    box_class, box_regression, mask = region_losses(model, features, proposals, index, things)
    terms = {
        "semantic": semantic_loss(model.semantic_head(features), index, classes, training),
        "rpn_objectness": objectness,
        "rpn_box": rpn_box,
        "box_class": box_class,
        "box_regression": box_regression,
        "mask": mask,
    }
    return {name: getattr(training, f"{name}_weight") * term for name, term in terms.items()}


def semantic_loss(
    logits: Tensor, index: Sequence[Tensor], classes: Sequence[Tensor], training: TrainingConfig
) -> Tensor:
    """Return the mean over images of the cross entropy of the hardest `hard_share` of their pixels.

    `logits` is (B, C, h / 4, w / 4). With `semantic_stride` > 1 a label is taken at one random position of each cell,
    the same in all cells of an image.
    """
    stride = training.semantic_stride
    if stride < 4:
        logits = interpolate(logits, scale_factor=4 // stride, mode="bilinear", align_corners=False)
    labels = torch.stack([_labels(i, c, stride) for i, c in zip(index, classes, strict=True)])
    pixel = cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="none").flatten(1)
    counts = (labels != IGNORED).flatten(1).sum(1)
    worst = [
        row.topk(max(1, int(n * training.hard_share)), sorted=False).values.mean()
        for row, n in zip(pixel, counts.tolist(), strict=True)
    ]
    return torch.stack(worst).mean()


def _labels(index: Tensor, classes: Tensor, stride: int) -> Tensor:
    # One position for all cells is one strided slice, and over many steps every pixel is met.
    top, left = torch.randint(stride, (2,)).tolist() if stride > 1 else (0, 0)
    chosen = index[top::stride, left::stride]
    # Index -1 finds the last entry.
    table = torch.cat([classes, classes.new_full((1,), IGNORED)])
    return table[chosen]


def rpn_losses(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    things: Sequence[Things],
    training: TrainingConfig,
) -> tuple[Tensor, Tensor]:
    """Return objectness of the sampled anchors and box regression of the positive ones, over the number sampled."""
    rows, wanted, shifts, aims = [], [], [], []
    for b, of_image in enumerate(things):
        state, which = match_anchors(anchors, of_image.boxes, training)
        positive, negative = sample_balanced(state == 1, state == 0, training.anchor_samples, 0.5)
        drawn = torch.cat([positive, negative])
        rows.append(logits[b, drawn])
        wanted.append((torch.arange(len(drawn), device=drawn.device) < len(positive)).float())
        shifts.append(offsets[b, positive])
        aims.append(encode(of_image.boxes[which[positive]], anchors[positive], UNSCALED))
    count = max(1, sum(len(row) for row in rows))
    objectness = binary_cross_entropy_with_logits(torch.cat(rows).float(), torch.cat(wanted), reduction="sum")
    box = smooth_l1_loss(torch.cat(shifts).float(), torch.cat(aims), beta=1 / 9, reduction="sum")
    return objectness / count, box / count


def region_losses(
    model: Network, features: Sequence[Tensor], proposals: Sequence[Tensor],
    index: Sequence[Tensor], things: Sequence[Things],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return class and box terms of the sampled proposals, and the mask term of the positive ones."""
    drawn = [_sample_proposals(p, t, model.config.training) for p, t in zip(proposals, things, strict=True)]
    boxes = [torch.cat([positive, negative]) for positive, negative, _ in drawn]
    class_logits, offsets = model.region(features, boxes)
    wanted, rows, aims, start = [], [], [], 0
    for (positive, negative, which), of_image in zip(drawn, things, strict=True):
        wanted += [of_image.things[which] + 1, of_image.things.new_zeros(len(negative))]
        rows.append(torch.arange(start, start + len(positive), device=which.device))
        aims.append(encode(of_image.boxes[which], positive, model.config.box.stds))
        start += len(positive) + len(negative)
    labels, positives = torch.cat(wanted), torch.cat(rows)
    shifts = offsets[positives, labels[positives] - 1]
    regression = smooth_l1_loss(shifts.float(), torch.cat(aims), beta=1.0, reduction="sum") / max(1, start)
    classification = cross_entropy(class_logits.float(), labels, reduction="sum") / max(1, start)
    return classification, regression, _mask_loss(model, features, drawn, index, things)


def _sample_proposals(proposals: Tensor, things: Things, training: TrainingConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Sample positive boxes, negative boxes, and the thing of each positive; ground-truth boxes are proposals too."""
    # As in detectron2: early proposals are poor, and ground-truth boxes give the head positives from the first step.
    boxes = torch.cat([things.boxes, proposals])
    if not len(things.boxes):
        none = torch.zeros(0, dtype=torch.int64, device=boxes.device)
        return boxes[none], boxes[_first(boxes, training.box_samples)], none
    best, which = pair_iou(boxes, things.boxes).max(1)
    matched = best >= training.box_positive
    positive, negative = sample_balanced(matched, ~matched, training.box_samples, training.box_positive_share)
    return boxes[positive], boxes[negative], which[positive]


def _first(boxes: Tensor, count: int) -> Tensor:
    return torch.arange(min(len(boxes), count), device=boxes.device)


def _mask_loss(
    model: Network, features: Sequence[Tensor], drawn: Sequence[tuple[Tensor, Tensor, Tensor]],
    index: Sequence[Tensor], things: Sequence[Things],
) -> Tensor:  # fmt: skip
    limit, side = model.config.training.mask_samples, 2 * model.config.mask.cells
    boxes = [positive[:limit] for positive, _, _ in drawn]
    which = [w[:limit] for _, _, w in drawn]
    if not sum(len(b) for b in boxes):
        zero: Tensor = nothing(model.mask_head)
        return zero
    logits = model.masks(features, boxes, torch.cat([t.things[w] for t, w in zip(things, which, strict=True)]))
    pairs = [mask_targets(i, b, t.targets[w], side) for i, b, t, w in zip(index, boxes, things, which, strict=True)]
    truth, known = (torch.cat(column) for column in zip(*pairs, strict=True))
    pixel = binary_cross_entropy_with_logits(logits.float(), truth, reduction="none") * known
    loss: Tensor = pixel.sum() / known.sum().clamp(min=1)
    return loss
